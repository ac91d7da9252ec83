"""NUTS by a learned Hamiltonian that is watched as it goes, as published. Approximate: for comparison alone.

Source: Dhulipala, Che and Shields (2023), Journal of Computational Physics 492, 112425, algorithm 2, on the NUTS of
Hoffman and Gelman (2014), Journal of Machine Learning Research 15, 1593-1623, algorithm 3.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Leaf = tuple[np.ndarray, np.ndarray, float]
"""Position, momentum and the true H there."""
Step = Callable[[np.ndarray, np.ndarray, int], Leaf]
"""From a position and momentum one step forwards (+1) or backwards (-1)."""

Potential = Callable[[np.ndarray], float]


class Rules(NamedTuple):
    """learned_error, true_error: log u + H above which a leaf by the network, or by the gradient, is too far off.

    cool_down: draws for which the gradient then stays in use. max_depth: of trees; the paper has no limit.
    """

    learned_error: float = 10.0
    true_error: float = 1000.0
    cool_down: int = 20
    max_depth: int = 10


class Tree(NamedTuple):
    """Both ends, a point chosen from the slice, how many of those there are, and whether it goes on."""

    minus: Leaf
    plus: Leaf
    chosen: np.ndarray
    points: int
    goes_on: bool


class Monitored:
    """Steps by a network until a leaf's error log u + H exceeds 10; that leaf is made again by the gradient, which
    stays in use for the rest of the tree and until 20 draws are over.

    Not exact: a point's trajectory depends on the leaf at which the network was left, so that the points of a tree do
    not choose each other with equal probability, and on the draws before (the flag is carried from draw to draw). The
    kernels of the product ask the true density at the end of what the network did from start to end.
    """

    exact = False

    def __init__(self, learned: Step, true: Step, rules: Rules | None = None) -> None:
        self.learned, self.true, self.rules = learned, true, rules or Rules()
        self.by_gradient, self.since = False, 0
        self.leaves, self.gradients, self.switches = 0, 0, 0

    def draw(
        self, rng: np.random.Generator, position: np.ndarray, potential: Callable[[np.ndarray], float]
    ) -> np.ndarray:
        """The next position, [d]."""
        momentum = rng.normal(size=position.shape)
        energy = potential(position) + 0.5 * float(momentum @ momentum)
        log_u = -energy - rng.exponential()
        self._cool()
        start = (position, momentum, energy)
        tree = Tree(start, start, position, 1, True)
        for depth in range(self.rules.max_depth):
            direction = 1 if rng.random() < 0.5 else -1
            new = self._built(rng, tree.plus if direction > 0 else tree.minus, log_u, direction, depth)
            minus, plus = (tree.minus, new.plus) if direction > 0 else (new.minus, tree.plus)
            takes = new.goes_on and rng.random() * tree.points < new.points
            goes_on = new.goes_on and not _turns(minus, plus)
            tree = Tree(minus, plus, new.chosen if takes else tree.chosen, tree.points + new.points, goes_on)
            if not goes_on:
                break
        return tree.chosen

    def _cool(self) -> None:
        """Back to the network once the gradient was in use for so many draws."""
        self.since += self.by_gradient
        if self.since == self.rules.cool_down:
            self.by_gradient, self.since = False, 0

    def _built(self, rng: np.random.Generator, end: Leaf, log_u: float, direction: int, depth: int) -> Tree:
        """A subtree of 2^depth leaves beyond an end, shorter where it stops."""
        if depth == 0:
            leaf, goes_on = self._leaf(end, log_u, direction)
            return Tree(leaf, leaf, leaf[0], int(log_u <= -leaf[2]), goes_on)
        first = self._built(rng, end, log_u, direction, depth - 1)
        if not first.goes_on:
            return first
        second = self._built(rng, first.plus if direction > 0 else first.minus, log_u, direction, depth - 1)
        minus, plus = (first.minus, second.plus) if direction > 0 else (second.minus, first.plus)
        count = first.points + second.points
        chosen = second.chosen if rng.random() * count < second.points else first.chosen
        return Tree(minus, plus, chosen, count, second.goes_on and not _turns(minus, plus))

    def _leaf(self, end: Leaf, log_u: float, direction: int) -> tuple[Leaf, bool]:
        """The next leaf, by the network or by the gradient, and whether the tree goes on."""
        self.leaves += 1
        if not self.by_gradient:
            leaf = self.learned(end[0], end[1], direction)
            if _error(leaf, log_u) <= self.rules.learned_error:
                return leaf, True
            self.by_gradient, self.switches = True, self.switches + 1
        self.gradients += 1
        leaf = self.true(end[0], end[1], direction)
        return leaf, _error(leaf, log_u) <= self.rules.true_error


def _error(leaf: Leaf, log_u: float) -> float:
    return log_u + leaf[2] if math.isfinite(leaf[2]) else math.inf


def _turns(minus: Leaf, plus: Leaf) -> bool:
    way = plus[0] - minus[0]
    return bool(way @ minus[1] < 0 or way @ plus[1] < 0)
