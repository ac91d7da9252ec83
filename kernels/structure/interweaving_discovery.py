"""Finds the scale and location groups under which the prior of a site does not change, by trying them out."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from kernels.structure.levels import Interweaving, Structure
from kernels.structure.probing import Point, Prober, Values
from kernels.structure.standardised import is_normal, moved_along
from kernels.target import Site, Target
from kernels.types import Data, Position

STEPS = (0.7, -0.4, 0.15)
"""Sizes eps of the trial moves, one at each random position."""
SPREAD = 0.5
TOLERANCE = 1e-8
NEARLY = 0.25
"""What is left of the prior's change, as a share of the log Jacobian that should cancel it, where a scale is worth
trying all the same."""
POWERS = (1.0, 0.5, -0.5, -1.0)
"""Of e^parent that a parent may be: the log of a standard deviation, of a variance, a precision, an inverse scale."""
MOST_PLACES = 16
"""Longest last axis whose coordinates are moved one by one."""


def find_interweavings(
    target: Target, structure: Structure, data: Data, position: Position, key: jax.Array
) -> tuple[Interweaving, ...]:
    """The interweaving moves that a model admits, each verified at several random positions around `position`.

    scale: parent += eps, child <- m + (child - m) e^(power eps) with m = 0 or the value of another site. Accepted when
    the prior terms that depend on the child change by -n power eps in all, n the number of scaled coordinates, so that
    the Jacobian n power eps cancels them: log sd and x ~ Normal(m, sd), or log x on a log-normal's unconstrained
    coordinate. location: parent += eps, child += eps. Accepted when the same terms do not change: m and
    x ~ Normal(m, .). Parents and centers are unplated sites that share a prior term with the child, a site of several
    coordinates: scalars, which go with all of the child, or vectors as long as its last axis (the scales and means of
    varying intercepts and slopes), each of whose coordinates goes with the children in its place.
    """
    prober = Prober(target, data, position)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    alternatives = list(_proposals(target, structure))
    if not alternatives:
        return ()
    points = [prober.point(rng, SPREAD, eps) for eps in STEPS]
    normal = _normal_children(prober, points, rng)

    def holds(move: Interweaving) -> bool:
        if move.kind == "standardised" and not normal(move.terms, move.child):
            return False
        return all(_misfit(prober, structure, move, point) == 0.0 for point in points)

    def nearest(moves: list[Interweaving]) -> Interweaving | None:
        exactly = next(filter(holds, moves), None)
        scales = [move for move in moves if move.kind == "scale"]
        if exactly or not scales:
            return exactly
        misfits = [max(_misfit(prober, structure, move, point) for point in points) for move in scales]
        best = int(np.argmin(misfits))
        return scales[best] if misfits[best] < NEARLY else None

    found = [move for moves in alternatives if (move := nearest(moves)) is not None]
    known = {(move.parent, move.child) for move in found}
    rest = [move for move in _standardised(target, structure) if (move.parent, move.child) not in known]
    return (*found, *filter(holds, rest))


def _normal_children(prober: Prober, points: list[Point], rng: np.random.Generator) -> Callable[..., bool]:
    """(terms, child) -> whether these terms are a normal law of the child, tried at the points."""

    @cache
    def normal(terms: tuple[str, ...], child: str) -> bool:
        test = jax.jit(partial(is_normal, prober.target, terms, child))

        def holds(point: Point) -> bool:
            here = {name: jnp.asarray(x) for name, x in point.position.items()}
            step = rng.choice((-1.0, 1.0), here[child].shape) * rng.uniform(0.1, SPREAD, here[child].shape)
            return bool(test((here, {**here, child: here[child] + step}), prober.data))

        return prober.target.has_gradient and all(map(holds, points))

    return normal


def _proposals(target: Target, structure: Structure) -> Iterator[list[Interweaving]]:
    """Every pair of an unplated parent and a child in one prior term: the alternatives of which one may hold."""
    sites = target.sites
    for child, near in _families(target, structure):
        site = sites[child]
        for parent in near:
            law = [structure.depends[term] for term in _shared_priors(target, structure, parent, child)]
            beside = [name for name in near if name != parent and any(name in sites for sites in law)]
            for place in _places(sites[parent], site):
                fitting = [n for n in beside if not sites[n].shape or place in _places(sites[n], site)]
                yield [Interweaving("location", parent, child, None, place=place)]
                yield [
                    Interweaving("scale", parent, child, center, power, place)
                    for center in (None, *fitting)
                    for power in POWERS
                ]


def _families(target: Target, structure: Structure) -> Iterator[tuple[str, list[str]]]:
    """Every site of several coordinates with the unplated sites that share a prior term with it."""
    sites = target.sites
    parents = [n for n, s in sites.items() if not s.plates and len(s.shape) <= 1 and n not in target.auxiliary]
    for child, site in sites.items():
        if math.prod(site.shape) < 2 or child in target.auxiliary:
            continue
        near = [name for name in parents if name != child and _shared_priors(target, structure, name, child)]
        if near and not _has_finer_children(target, structure, child):
            yield child, near


def _standardised(target: Target, structure: Structure) -> Iterator[Interweaving]:
    """A move of each coordinate of a parent with all of a child that keeps its standardised value."""
    for child, near in _families(target, structure):
        for parent in near:
            terms = tuple(_law(target, structure, parent, child))
            for place in _own_places(target.sites[parent]):
                yield Interweaving("standardised", parent, child, None, place=place, terms=terms)


def _own_places(parent: Site) -> list[int] | list[None]:
    """The coordinates of a parent, each to move on its own; none of a long one."""
    if not parent.shape:
        return [None]
    return list(range(parent.shape[0])) if parent.shape[0] <= MOST_PLACES else []


def _places(parent: Site, child: Site) -> list[int] | list[None]:
    """Where along the child's last axis a parent's coordinates belong: everywhere for a scalar, nowhere if the parent
    is a vector of another length."""
    if not parent.shape:
        return [None]
    event = len(child.shape) > len(child.plates)
    return list(range(parent.shape[0])) if event and parent.shape[0] == child.shape[-1] <= MOST_PLACES else []


def _shared_priors(target: Target, structure: Structure, parent: str, child: str) -> list[str]:
    """The prior terms that depend on both."""
    kinds = target.term_kinds
    return [term for term, sites in structure.depends.items() if kinds[term] == "prior" and {parent, child} <= sites]


def _law(target: Target, structure: Structure, parent: str, child: str) -> list[str]:
    """The prior terms of the child that a move with this parent should leave alone."""
    alone = frozenset(name for name, site in target.sites.items() if site.plates and name != child)
    own = [
        term
        for term, sites in structure.depends.items()
        if target.term_kinds[term] == "prior" and child in sites and not sites & alone
    ]
    return sorted({*own, *_shared_priors(target, structure, parent, child)})


def _has_finer_children(target: Target, structure: Structure, child: str) -> bool:
    """Whether a prior term ties the child to sites on more plates."""
    own, kinds = set(target.sites[child].plates), target.term_kinds
    near = frozenset[str]().union(*(s for t, s in structure.depends.items() if kinds[t] == "prior" and child in s))
    return any(not own.issuperset(target.sites[name].plates) for name in near)


def _misfit(prober: Prober, structure: Structure, move: Interweaving, point: Point) -> float:
    """By how much the child's law changes beside minus the log Jacobian when the move is made by the point's scale, as
    a share of that Jacobian; 0 for rounding."""
    moved, log_jacobian = apply(move, point.position, point.scale, prober.target, prober.data)
    after, terms = prober.terms(moved), point.terms
    names = _law(prober.target, structure, move.parent, move.child)
    change = sum(float(np.sum(after[name] - terms[name])) for name in names)
    size = sum(float(np.sum(np.abs(after[name]) + np.abs(terms[name]))) for name in names)
    left = abs(change + log_jacobian)
    if left <= TOLERANCE * max(abs(log_jacobian), size * 1e-4, 1.0):
        return 0.0
    return left / abs(log_jacobian) if log_jacobian and np.isfinite(left) else math.inf


def apply(
    move: Interweaving, position: Mapping[str, np.ndarray], eps: float, target: Target, data: Data
) -> tuple[Values, float]:
    """The position after a move by eps, and the log of its Jacobian."""
    here = {name: jnp.asarray(x) for name, x in position.items()}
    step = moved_along(target, move)
    if move.kind == "standardised":
        # The model's terms, which op by op would take seconds.
        step = jax.jit(step)
    moved, log_jacobian = step(here, jnp.asarray(eps), data)
    return {name: np.asarray(x) for name, x in moved.items()}, float(log_jacobian)
