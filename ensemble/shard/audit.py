"""The running audit of the structure: every cached term, computed anew, must agree with its cache."""

import jax
import jax.numpy as jnp

from ensemble.errors import MaxwellError
from kernels.numerics.batching import over_replicas
from kernels.state import State, evaluate
from kernels.structure.levels import Structure
from kernels.target import Target
from kernels.types import Data

TOLERANCE, OF_SINGLE = 1e-9, 1e-4
"""Relative to a term, and to one computed in float32."""


class AuditError(MaxwellError):
    """The structure that was found does not hold: a term changed without its owner moving."""


Found = dict[str, tuple[jax.Array, jax.Array]]
"""For each term: its worst relative error and the cell where it is."""


def staleness(target: Target, structure: Structure, states: State, data: Data) -> Found:
    """For each term: the largest |cached - fresh| / max(1, |fresh|) over replicas and cells, and the cell."""
    anew = over_replicas(lambda position: evaluate(target, structure, position, data).cells, target.dimension)
    fresh = anew(states.position)
    found = {}
    for name, cached in states.cells.items():
        error = jnp.abs(cached - fresh[name]) / jnp.maximum(1.0, jnp.abs(fresh[name]))
        error = jnp.max(jnp.where(jnp.isnan(error), jnp.inf, error), axis=0)
        found[name] = jnp.max(error), jnp.argmax(error)
    return found


def check(found: Found, structure: Structure, shard: int, epoch: int, single: frozenset[str] = frozenset()) -> None:
    """Raise AuditError for the worst stale term. single: those computed in float32."""
    allowed = {term: OF_SINGLE if term in single else TOLERANCE for term in found}
    name = max(found, key=lambda term: float(found[term][0]) / allowed[term])
    error, cell = float(found[name][0]), int(found[name][1])
    if error <= allowed[name]:
        return
    owners = ", ".join(
        f"block {int(level.owners[name].owner[cell])} of level {level.name!r} (sites {', '.join(level.sites)})"
        for level in structure.levels
        if name in level.terms and level.owners[name].owner[cell] >= 0
    )
    sites = ", ".join(sorted(structure.depends[name])) or "none"
    raise AuditError(
        f"the audit of shard {shard} in round {epoch} found term {name!r}, cell {cell}, off by {error:.2g} relative to "
        f"its cache (allowed {allowed[name]:g}): as probed it depends on {owners or 'no block of any level'}, but it "
        f"changed with other blocks of its sites {sites}, in a way that probing did not see (a where, max, clip or "
        "lost digit?), or by itself (random numbers?). Draws since the last commit are not used. Give that term its "
        "own site, or put the coupled coordinates into one block (one site with an event axis)."
    )
