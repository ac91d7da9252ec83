"""NUTS as in a textbook: one chain, NumPy, plain recursion. Slow and plain, the oracle of nuts.trajectory."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Gradient = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""q -> (U, dU / dq)."""

DIVERGENCE = 1000.0
B = 0.1931833275037836
STAGES = {
    "leapfrog": [("kick", 0.5), ("drift", 1.0), ("kick", 0.5)],
    "two_stage": [("kick", B), ("drift", 0.5), ("kick", 1 - 2 * B), ("drift", 0.5), ("kick", B)],
}


class Draws(NamedTuple):
    """momentum [d]; directions, uniform [doublings]; gumbel [leaves + 1]: by number of the leaf, from 1."""

    momentum: np.ndarray
    directions: np.ndarray
    gumbel: np.ndarray
    uniform: np.ndarray


class Point(NamedTuple):
    q: np.ndarray
    p: np.ndarray
    potential: float
    gradient: np.ndarray

    @property
    def energy(self) -> float:
        return float(self.potential + 0.5 * np.sum(self.p**2))


class Tree(NamedTuple):
    """Points first .. last in the order of growth. ended: why the trajectory ends within this tree, if it does."""

    first: Point
    last: Point
    rho: np.ndarray
    sample: Point
    score: float
    log_weight: float
    ended: str | None


def turns(start: np.ndarray, end: np.ndarray, rho: np.ndarray) -> bool:
    return not (start @ rho > 0 and end @ rho > 0)


def merged_turns(one: Tree, two: Tree) -> bool:
    """The whole and the two checks across the halves; `two` lies after `one`."""
    return (
        turns(one.first.p, two.last.p, one.rho + two.rho)
        or turns(one.first.p, two.first.p, one.rho + two.first.p)
        or turns(one.last.p, two.last.p, one.last.p + two.rho)
    )


def integrate(gradient: Gradient, scheme: str, point: Point, h: float) -> Point:
    for name, coefficient in STAGES[scheme]:
        if name == "kick":
            point = point._replace(p=point.p - coefficient * h * point.gradient)
        else:
            q = point.q + coefficient * h * point.p
            point = Point(q, point.p, *gradient(q))
    return point


class RecursiveNuts:
    """One draw from q. Results: q; energy: H there; ended: cap, turn (of the whole), subtree (a turn in it) or
    divergence; leapfrogs; depth: doublings that joined the trajectory; accepted: a probability for each leaf;
    nonfinite."""

    def __init__(self, gradient: Gradient, scheme: str, q: np.ndarray, draws: Draws, step: float, depth: int) -> None:
        self.gradient, self.scheme, self.draws, self.step = gradient, scheme, draws, step
        self.start = Point(q, draws.momentum, *gradient(q))
        self.q, self.ended, self.leapfrogs, self.depth, self.nonfinite = q, "cap", 0, 0, 0
        self.accepted: list[float] = []
        self.energy = self.start.energy
        tree = Tree(self.start, self.start, draws.momentum, self.start, 0.0, 0.0, None)
        for j in range(depth):
            tree = self.double(tree, j)
            if tree.ended:
                self.ended = tree.ended
                break

    def double(self, tree: Tree, j: int) -> Tree:
        """The trajectory with a subtree of the same length, first and last in the order of time."""
        forwards = self.draws.directions[j] > 0
        old = tree if forwards else tree._replace(first=tree.last, last=tree.first)
        new = self.build(old.last, self.step if forwards else -self.step, j)
        if new.ended:
            return new
        self.depth += 1
        if self.draws.uniform[j] < min(1.0, np.exp(min(new.log_weight - old.log_weight, 0.0))):
            self.q, self.energy = new.sample.q, new.sample.energy
        joined = self.join(old, new, "turn")
        return joined if forwards else joined._replace(first=joined.last, last=joined.first)

    def build(self, origin: Point, h: float, levels: int) -> Tree:
        """2^levels points after `origin`, fewer where one of their trees ends the trajectory."""
        if levels == 0:
            return self.leaf(origin, h)
        one = self.build(origin, h, levels - 1)
        if one.ended:
            return one
        two = self.build(one.last, h, levels - 1)
        return two if two.ended else self.join(one, two, "subtree")

    def join(self, one: Tree, two: Tree, reason: str) -> Tree:
        best = one if one.score >= two.score else two
        weight = float(np.logaddexp(one.log_weight, two.log_weight))
        ended = reason if merged_turns(one, two) else None
        return Tree(one.first, two.last, one.rho + two.rho, best.sample, best.score, weight, ended)

    def leaf(self, origin: Point, h: float) -> Tree:
        point = integrate(self.gradient, self.scheme, origin, h)
        self.leapfrogs += 1
        log_weight = self.start.energy - point.energy
        finite = bool(np.isfinite(log_weight))
        self.nonfinite += not finite
        self.accepted.append(np.exp(min(log_weight, 0.0)) if finite else 0.0)
        ended = None if finite and log_weight >= -DIVERGENCE else "divergence"
        score = log_weight + self.draws.gumbel[self.leapfrogs]
        return Tree(point, point, point.p, point, score, log_weight, ended)
