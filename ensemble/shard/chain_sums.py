"""What the steps of a round say of every cold replica, and the variables of `sample_stats` that it is stored as.

Where whole replicas change places these are facts of the cold places, whichever walkers come by.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.statistics import ChainSums, Rate, Values
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.shard.level_kernels.base import ChainFacts, LevelKernel
from ensemble.shard.level_kernels.registry import level_kernels
from kernels.structure.levels import Level

DTYPES = {
    "acceptance_rate": np.dtype(np.float64),
    "n_steps": np.dtype(np.int64),
    "tree_depth": np.dtype(np.int64),
    "diverging": np.dtype(np.bool_),
    "step_size": np.dtype(np.float64),
    "energy": np.dtype(np.float64),
}
"""Of the variables, which have the names of ArviZ's schema."""

FAILED = 0.05
"""Acceptance below which a trajectory was nearly certain to be rejected."""

COUNTS = ("n_steps", "tree_depth", "diverging")
"""Facts that are told of the trajectories of all levels together."""


def leading_level(kernels: Mapping[str, LevelKernel], levels: tuple[Level, ...]) -> str:
    """The level whose moves a chain's acceptance, step size and energy are of: the last (finest, or joint) that follows
    the gradient or, where none does, the finest leaf level."""
    followed = [level.name for level in reversed(levels) if kernels[level.name].needs.gradient]
    return followed[0] if followed else finest_leaf(levels)


def finest_leaf(levels: tuple[Level, ...]) -> str:
    """The last leaf level."""
    return next(level.name for level in reversed(levels) if level.leaf)


def known_facts(kernels: Mapping[str, LevelKernel], leading: str) -> frozenset[str]:
    """The fields of ChainFacts that a run knows of its chains: counts of any level, the others of the leading one."""
    own = kernels[leading].statistics
    counts = {name for kernel in kernels.values() for name in kernel.statistics if name in COUNTS}
    return frozenset({*own, *counts})


def recorded(spec: SweepSpec) -> dict[str, np.dtype]:
    """The variables that a run with these kernels stores of every chain and draw, with their types.

    acceptance_rate: mean over the sweeps since the draw before, and blocks, of the chain's moves of the leading level
        (see `leading_level`); of the scout kernel the mean energy score. NaN where nothing was tried.
    n_steps: integrator steps since the draw before, of all levels.
    tree_depth: of the deepest trajectory since then.
    diverging: whether any trajectory since then diverged.
    step_size: of the last trajectory at the leading level, the mean over its blocks.
    energy: of the Hamiltonian where that trajectory ended, with the terms of the leading level alone.
    """
    kernels = level_kernels(spec)
    known = known_facts(kernels, leading_level(kernels, spec.levels))
    return {name: dtype for name, dtype in DTYPES.items() if name == "acceptance_rate" or name in known}


def no_steps(replicas: int, known: frozenset[str]) -> ChainSums:
    """Before the first step of a round."""

    def start(name: str, value: float, dtype: type) -> jax.Array | None:
        return jnp.full(replicas, value, dtype) if name in known else None

    return ChainSums(
        acceptance=Rate(jnp.zeros(replicas), jnp.zeros(replicas)),
        trajectories=start("n_steps", 0, jnp.int64),
        n_steps=start("n_steps", 0, jnp.int64),
        tree_depth=start("tree_depth", 0, jnp.int64),
        divergences=start("diverging", 0, jnp.int64),
        step_size=start("step_size", jnp.nan, jnp.float64),
        energy=start("energy", jnp.nan, jnp.float64),
        failed=start("tree_depth", 0, jnp.int64),
    )


def absorbed(sums: ChainSums, facts: ChainFacts, *, leading: bool) -> ChainSums:
    """The sums with a step of all cold replicas. leading: whether it was one of the leading level."""
    # A trajectory of no steps accepts for certain, which says nothing.
    moved = jnp.ones(len(facts.acceptance_probability), bool) if facts.n_steps is None else facts.n_steps > 0
    if leading:
        accepted = sums.acceptance.accepted + jnp.where(moved, facts.acceptance_probability, 0.0)
        acceptance = Rate(accepted, sums.acceptance.tried + moved)
        sums = sums._replace(acceptance=acceptance, step_size=facts.step_size, energy=facts.energy)
        if facts.tree_depth is not None:
            sums = sums._replace(failed=_added(sums.failed, moved & (facts.acceptance_probability < FAILED)))
    if facts.n_steps is not None:
        sums = sums._replace(trajectories=_added(sums.trajectories, moved), n_steps=_added(sums.n_steps, facts.n_steps))
    if facts.diverging is not None:
        sums = sums._replace(divergences=_added(sums.divergences, facts.diverging & moved))
    if facts.tree_depth is not None:
        assert sums.tree_depth is not None
        sums = sums._replace(tree_depth=jnp.maximum(jnp.asarray(sums.tree_depth), facts.tree_depth))
    return sums


def _added(before: Values | None, fresh: jax.Array) -> jax.Array:
    """A sum with what a kernel knows, which then is kept (see `known_facts`)."""
    assert before is not None
    return jnp.asarray(before) + fresh


def together(sums: ChainSums) -> ChainSums:
    """The sums [draws, R] of some draws one after another as those of all their steps, [R]."""
    summed: ChainSums = jax.tree.map(lambda values: jnp.sum(values, axis=0), sums)
    depth = None if sums.tree_depth is None else jnp.max(jnp.asarray(sums.tree_depth), axis=0)
    step_size, energy = (None if values is None else values[-1] for values in (sums.step_size, sums.energy))
    return summed._replace(tree_depth=depth, step_size=step_size, energy=energy)


def drawn(sums: ChainSums, count: int, variables: Mapping[str, np.dtype]) -> dict[str, np.ndarray]:
    """Some draws of these variables, [draws, count], of the first `count` replicas; no steps and NaN where nothing is
    known, as of rounds of the scout kernel. sums: [draws, R] each."""
    known = {
        "acceptance_rate": sums.acceptance.mean(),
        "n_steps": sums.n_steps,
        "tree_depth": sums.tree_depth,
        "diverging": None if sums.divergences is None else np.asarray(sums.divergences) > 0,
        "step_size": sums.step_size,
        "energy": sums.energy,
    }
    found, draws = {}, len(np.asarray(sums.acceptance.tried))
    for name, dtype in variables.items():
        value = known[name]
        blank = np.nan if dtype.kind == "f" else 0
        found[name] = np.full((draws, count), blank, dtype) if value is None else np.asarray(value, dtype)[:, :count]
    return found
