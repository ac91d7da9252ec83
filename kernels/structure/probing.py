"""Group tests of a target: perturb many blocks at once and record, bit by bit, which elements of its terms change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from kernels.structure.codes import Codes
from kernels.structure.dependency import sources
from kernels.target import Target
from kernels.types import Data, Position

SHRINKS = 8
"""How often a perturbation that meets a non-finite density is quartered before the point is given up."""

Values = dict[str, np.ndarray]
GLOBAL = "global"
T = TypeVar("T")


class StructureError(ValueError):
    """The structure of a target cannot be found, or is not what was asked for."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A level before joins: its initial blocks. block_of: site -> the block of each coordinate, of the site's shape."""

    name: str
    blocks: int
    block_of: Mapping[str, np.ndarray]

    @property
    def sites(self) -> tuple[str, ...]:
        """The level's sites, in order."""
        return tuple(self.block_of)

    @property
    def plated(self) -> bool:
        """Whether blocks are plate indices; on the global level they are whole sites."""
        return self.name != GLOBAL

    def names(self, blocks: np.ndarray) -> str:
        """A few of these blocks in words."""
        if not self.plated:
            return "sites " + ", ".join(repr(self.sites[block]) for block in blocks)
        if blocks.size == self.blocks:
            return f"all {blocks.size} blocks"
        shown = ", ".join(str(block) for block in blocks[:4])
        return f"blocks {shown}" if blocks.size <= 4 else f"blocks {shown} and {blocks.size - 4} more"


@dataclass(frozen=True, eq=False)
class Point:
    """A place to probe: sites, terms there, and the size of the perturbations."""

    position: Values
    terms: Values
    scale: float


class Prober:
    """Evaluates a target's terms, traced and compiled once, and counts the evaluations."""

    def __init__(self, target: Target, data: Data, position: Position) -> None:
        self.target = target
        self.data = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, data)
        self.start = {name: np.asarray(position[name], np.float64) for name in target.sites}
        self.evaluations = 0
        self._evaluate: Callable[[Position, Data], dict[str, jax.Array]] = jax.jit(target.log_terms)

    def depends(self) -> dict[str, frozenset[str]]:
        """The sites that each term depends on by tracing."""
        position = {name: jnp.asarray(value) for name, value in self.start.items()}
        traced = jax.jit(self.target.log_terms).trace(position, self.data)
        order = jax.tree.leaves({name: name for name in position})
        inputs = [frozenset({index}) for index in range(len(order))]
        rest = [frozenset[int]()] * (len(traced.jaxpr.jaxpr.invars) - len(order))
        found = sources(traced.jaxpr.jaxpr, [*inputs, *rest])
        names = jax.tree.leaves({name: name for name in traced.out_info})
        return {
            name: frozenset(order[i] for i in got if i < len(order)) for name, got in zip(names, found, strict=True)
        }

    def terms(self, position: Mapping[str, np.ndarray]) -> Values:
        """All terms at a position."""
        self.evaluations += 1
        arrays = {name: jnp.asarray(value) for name, value in position.items()}
        return {name: np.asarray(value) for name, value in self._evaluate(arrays, self.data).items()}

    def point(self, rng: np.random.Generator, spread: float, scale: float) -> Point:
        """A point at about `spread` from the start where every term is finite."""
        terms: Values = {}
        for attempt in range(SHRINKS):
            width = spread * 4.0**-attempt
            position = {name: value + width * rng.standard_normal(value.shape) for name, value in self.start.items()}
            terms = self.terms(position)
            if not _non_finite(terms):
                return Point(position, terms, scale)
        names = ", ".join(repr(name) for name in _non_finite(terms))
        raise StructureError(
            f"term {names} is not finite at any of {SHRINKS} points around the given position; "
            "give a position where the log density is finite, and finite nearby"
        )


def patterns(prober: Prober, plan: Plan, names: Sequence[str], point: Point, codes: Codes, seed: int) -> Values:
    """The tests in which each element of these terms changed at a point: term -> uint64 of the term's shape."""

    def tests(moves: Values) -> Values | None:
        found = {name: np.zeros(point.terms[name].shape, np.uint64) for name in names}
        for bit in range(codes.bits):
            carried = codes.carriers(bit)
            terms = prober.terms(
                _moved(point, {site: moves[site] * carried[plan.block_of[site]] for site in plan.sites})
            )
            if _non_finite(terms):
                return None
            for name in names:
                found[name] |= (terms[name] != point.terms[name]).astype(np.uint64) << np.uint64(bit)
        return found

    return _finite(tests, plan, point, seed)


def touching_sites(prober: Prober, plan: Plan, names: Sequence[str], point: Point, seed: int) -> set[tuple[str, str]]:
    """The pairs (term, site of the level) where moving the whole site changes some element of the term."""

    def tests(moves: Values) -> set[tuple[str, str]] | None:
        found = set()
        for site in plan.sites:
            terms = prober.terms(_moved(point, {site: moves[site]}))
            if _non_finite(terms):
                return None
            found |= {(name, site) for name in names if (terms[name] != point.terms[name]).any()}
        return found

    return _finite(tests, plan, point, seed)


def _finite(tests: Callable[[Values], T | None], plan: Plan, point: Point, seed: int) -> T:
    """The result of the tests with perturbations small enough for every term to stay finite."""
    rng = np.random.default_rng(seed)
    shapes = {site: point.position[site].shape for site in plan.sites}
    moves = {s: rng.choice((-1.0, 1.0), shape) * rng.uniform(0.5, 1.5, shape) for s, shape in shapes.items()}
    for attempt in range(SHRINKS):
        result = tests({site: move * point.scale * 4.0**-attempt for site, move in moves.items()})
        if result is not None:
            return result
    raise StructureError(
        f"the log density is not finite however little the sites {', '.join(plan.sites)} move "
        "from a point where it is finite; give a position inside the support"
    )


def _moved(point: Point, moves: Values) -> Values:
    return {name: value + moves[name] if name in moves else value for name, value in point.position.items()}


def _non_finite(terms: Values) -> list[str]:
    return [name for name, value in terms.items() if not np.isfinite(value).all()]
