"""Finds the scale and location groups under which the prior of a plated site does not change, by trying them out."""

from collections.abc import Iterator, Mapping

import jax
import numpy as np

from kernels.structure.levels import Interweaving, Structure
from kernels.structure.probing import Prober, Values
from kernels.target import Target
from kernels.types import Data, Position

STEPS = (0.7, -0.4, 0.15)
"""Sizes eps of the trial moves, one at each random position."""
SPREAD = 0.5
TOLERANCE = 1e-8


def find_interweavings(
    target: Target, structure: Structure, data: Data, position: Position, key: jax.Array
) -> tuple[Interweaving, ...]:
    """The interweaving moves that a model admits, each verified at several random positions around `position`.

    scale: parent += eps, child <- m + (child - m) e^eps with m = 0 or the value of another scalar site. Accepted when
    the prior terms that depend on the child change by -n eps in all, n the child's size, so that the Jacobian n eps
    cancels them: log sd and x ~ Normal(m, sd), or log x on a log-normal's unconstrained coordinate.
    location: parent += eps, child += eps. Accepted when the same terms do not change: m and x ~ Normal(m, .).
    Parents and centers are scalar unplated sites that share a prior term with the child, which lies on a plate.
    """
    prober = Prober(target, data, position)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    moves = list(_proposals(target, structure))
    if not moves:
        return ()
    points = [prober.point(rng, SPREAD, eps) for eps in STEPS]
    return tuple(
        move
        for move in moves
        if all(_invariant(prober, target, structure, move, p.position, p.terms, p.scale) for p in points)
    )


def _proposals(target: Target, structure: Structure) -> Iterator[Interweaving]:
    """Every pair of a scalar unplated parent and a plated child in one prior term, with every possible center."""
    scalars = [name for name, site in target.sites.items() if not site.plates and site.shape == ()]
    for child in (name for name, site in target.sites.items() if site.plates):
        shared = frozenset[str]().union(*(structure.depends[term] for term in _child_priors(target, structure, child)))
        near = [name for name in scalars if name in shared]
        for parent in near:
            yield Interweaving("location", parent, child, None)
            yield Interweaving("scale", parent, child, None)
            yield from (Interweaving("scale", parent, child, center) for center in near if center != parent)


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
    parent, child = position[move.parent], position[move.child]
    moved = {**position, move.parent: parent + eps}
    if move.kind == "location":
        return {**moved, move.child: child + eps}, 0.0
    center = position[move.center] if move.center is not None else 0.0
    return {**moved, move.child: center + (child - center) * np.exp(eps)}, child.size * eps
