"""Finds the scale and location groups under which the prior of a site does not change, by trying them out."""

import math
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kernels.structure.levels import Interweaving, Structure, along
from kernels.structure.probing import Prober, Values
from kernels.target import Site, Target
from kernels.types import Data, Position

STEPS = (0.7, -0.4, 0.15)
"""Sizes eps of the trial moves, one at each random position."""
SPREAD = 0.5
TOLERANCE = 1e-8
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

    def holds(move: Interweaving) -> bool:
        return all(_invariant(prober, target, structure, move, p.position, p.terms, p.scale) for p in points)

    found = (next(filter(holds, moves), None) for moves in alternatives)
    return tuple(move for move in found if move is not None)


def _proposals(target: Target, structure: Structure) -> Iterator[list[Interweaving]]:
    """Every pair of an unplated parent and a child in one prior term: the alternatives of which one may hold."""
    sites = target.sites
    parents = [n for n, s in sites.items() if not s.plates and len(s.shape) <= 1 and n not in target.auxiliary]
    for child, site in sites.items():
        if math.prod(site.shape) < 2 or child in target.auxiliary:
            continue
        shared = frozenset[str]().union(*(structure.depends[term] for term in _child_priors(target, structure, child)))
        near = [name for name in parents if name in shared and name != child]
        for parent in near:
            for place in _places(sites[parent], site):
                fitting = [n for n in near if n != parent and (not sites[n].shape or place in _places(sites[n], site))]
                yield [Interweaving("location", parent, child, None, place=place)]
                yield [
                    Interweaving("scale", parent, child, center, power, place)
                    for center in (None, *fitting)
                    for power in POWERS
                ]


def _places(parent: Site, child: Site) -> list[int] | list[None]:
    """Where along the child's last axis a parent's coordinates belong: everywhere for a scalar, nowhere if the parent
    is a vector of another length."""
    if not parent.shape:
        return [None]
    event = len(child.shape) > len(child.plates)
    return list(range(parent.shape[0])) if event and parent.shape[0] == child.shape[-1] <= MOST_PLACES else []


def _child_priors(target: Target, structure: Structure, child: str) -> list[str]:
    """The prior terms that depend on the child."""
    kinds = target.term_kinds
    return [term for term, sites in structure.depends.items() if kinds[term] == "prior" and child in sites]


def _invariant(
    prober: Prober,
    target: Target,
    structure: Structure,
    move: Interweaving,
    position: Mapping[str, np.ndarray],
    terms: Values,
    eps: float,
) -> bool:
    """Whether the child's prior terms change by minus the log Jacobian when the move is made by eps."""
    moved, log_jacobian = apply(move, position, eps)
    after = prober.terms(moved)
    names = _child_priors(target, structure, move.child)
    change = sum(float(np.sum(after[name] - terms[name])) for name in names)
    size = sum(float(np.sum(np.abs(after[name]) + np.abs(terms[name]))) for name in names)
    return bool(abs(change + log_jacobian) <= TOLERANCE * max(abs(log_jacobian), size * 1e-4, 1.0))


def apply(move: Interweaving, position: Mapping[str, np.ndarray], eps: float) -> tuple[Values, float]:
    """The position after a move by eps, and the log of its Jacobian."""
    moved, log_jacobian = along(move, {name: jnp.asarray(x) for name, x in position.items()}, jnp.asarray(eps))
    return {name: np.asarray(x) for name, x in moved.items()}, float(log_jacobian)
