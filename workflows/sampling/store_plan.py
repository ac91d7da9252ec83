"""What the store of a run holds: its variables and arrays, and how many draws its budget has room for."""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import jax
import numpy as np

from ensemble.shard.chain_sums import recorded
from ensemble.shard.settings import ShardSettings
from ensemble.store.contents import Layout, Variable
from kernels.dynamics.metric import WIDEST_DENSE
from workflows.sampling.problem import Problem
from workflows.settings.loading import Settings, SettingsError

FEW = 1000
"""Numbers a draw up to which a variable is in double precision whatever the budget."""

CHUNKS = 1 << 20
"""Bytes that a chunk of every variable should have together. They are encoded and digested anew by every commit until
they are full, which takes two milliseconds at most, and the root has a digest of each."""

WAITING = 7
"""Batches of a replica that wait for their halves, at most: as many as the number of rounds has binary digits that are
1, which is no more than 7 at 19 of 20 times up to round 1,000."""
SHARD, COORDINATOR = 8, 28
"""Numbers that a superchain keeps of each coordinate for all its replicas, and the coordinator for all superchains."""
HEADS = 100_000
"""Bytes of names, heads of arrays and what is short."""

Types = Mapping[str, str]
"""NumPy's names of the types that draws are stored in, by variable; double precision where none is named."""
DOUBLE: Types = MappingProxyType({})


def shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    """The shape of one draw of every variable of the posterior."""
    target, data = problem.model.target, problem.model.data
    found = jax.eval_shape(target.constrain, jax.eval_shape(target.initial, jax.random.key(0), data), data)
    return {name: tuple(values.shape) for name, values in found.items()}


def types(settings: Settings, problem: Problem, shard: ShardSettings) -> Types:
    """Double precision, in which no posterior is too narrow; single for variables of more than FEW numbers where the
    budget would otherwise have no room for goals.draws. A run keeps those that it began with."""
    if _room(settings, problem, shard, DOUBLE)[0] >= settings.goals.draws:
        return DOUBLE
    return {name: "float32" for name, shape in shapes(problem).items() if math.prod(shape) > FEW}


def narrowed(chosen: Types) -> str | None:
    """A sentence for the user where there are variables in single precision."""
    single = [name for name, dtype in chosen.items() if dtype == "float32"]
    if not single:
        return None
    return (
        f"draws of {', '.join(single)} are stored in single precision, of 7 digits, because store.budget_mb has no "
        "room for goals.draws of them in double precision"
    )


def variables(problem: Problem, chosen: Types = DOUBLE) -> dict[str, dict[str, Variable]]:
    """The recorded variables of every group."""
    model = problem.model
    posterior = {
        name: Variable(chosen.get(name, "float64"), tuple(model.dims.get(name, ())), shape)
        for name, shape in shapes(problem).items()
    }
    stats = {"lp": Variable("float64"), "replica": Variable("int64")}
    stats |= {name: Variable(dtype.name) for name, dtype in recorded(problem.spec).items()}
    groups = {"posterior": posterior, "sample_stats": stats, "warmup_sample_stats": stats}
    # `constrain` may record a shared site under another name, or not at all.
    if kept := [name for name in problem.shared if name in posterior]:
        groups["warmup_posterior"] = {name: posterior[name] for name in kept}
    return groups


def layout(
    problem: Problem, shard: ShardSettings, superchains: int, chunk_draws: int, chosen: Types = DOUBLE
) -> Layout:
    """The arrays of the store. chunk_draws: draws in a chunk."""
    model = problem.model
    static = {
        group: {name: (tuple(model.dims.get(name, ())), np.asarray(values)) for name, values in arrays.items()}
        for group, arrays in (("observed_data", model.observed), ("constant_data", model.constant))
        if arrays
    }
    groups = variables(problem, chosen)
    used = {dim for variables in groups.values() for variable in variables.values() for dim in variable.dims}
    used |= {dim for arrays in static.values() for names, _ in arrays.values() for dim in names}
    coords = {dim: labels for dim, labels in model.coords.items() if dim in used}
    return Layout(groups, shard.stored, superchains, chunk_draws, coords, static)


def draws_of_a_chunk(variables: Iterable[Variable], chains: int, commit_draws: int, max_draws: int) -> int:
    """Draws in a chunk: those of a commit, or of as many commits as stay below CHUNKS bytes in all variables of the
    posterior. chains: all that are stored."""
    draw = sum(math.prod(variable.shape) * np.dtype(variable.dtype).itemsize for variable in variables)
    return min(commit_draws * max(1, CHUNKS // (chains * draw * commit_draws)), max_draws)


def affordable_draws(settings: Settings, problem: Problem, shard: ShardSettings, chosen: Types) -> int:
    """Draws a chain that fit into the budget beside two checkpoints: of shapes and types alone, so that it
    never changes.

    Raises SettingsError where they are fewer than goals.draws.
    """
    room, checkpoint, draw = _room(settings, problem, shard, chosen)
    budget, wanted = settings.store.budget_mb, settings.goals.draws
    if room < wanted:
        needed = (2 * checkpoint + wanted * draw) / 1e6
        raise SettingsError(
            "the settings",
            [
                f"store.budget_mb: {budget:g} has room for {max(room, 0)} draws a chain, goals.draws is {wanted}: "
                f"allow {needed:.0f} MB, ask for fewer draws, or store fewer chains (store.chains)"
            ],
        )
    return room


def _room(settings: Settings, problem: Problem, shard: ShardSettings, chosen: Types) -> tuple[int, int, int]:
    """Draws a chain that fit into the budget beside two checkpoints; the bytes of a checkpoint, and of a draw."""
    superchains, checkpoint = settings.ensemble.superchains, checkpoint_bytes(settings, problem, shard)
    posterior = variables(problem, chosen)["posterior"].values()
    values = sum(math.prod(v.shape) * np.dtype(v.dtype).itemsize for v in posterior)
    draw = superchains * shard.stored * (values + 24)
    return int(1e6 * settings.store.budget_mb - 2 * checkpoint) // draw, checkpoint, draw


def checkpoint_bytes(settings: Settings, problem: Problem, shard: ShardSettings) -> int:
    """About what a checkpoint takes: the states and sums of every replica, and what the coordinator knows."""
    target, levels = problem.model.target, problem.spec.levels
    watched, superchains = target.dimension_of_interest, settings.ensemble.superchains
    cells = sum(segments.n for segments in problem.spec.structure.cells.values())
    # Position and cells in each rung; a sum, and batches in float32 that wait for their halves.
    replica = 8 * (target.dimension + cells) * len(shard.ladder.temperatures) + (8 + 4 * WAITING) * watched
    # Tuning and moments, each with a factor; sums of all batches over the replicas, and the diagnostics made of them.
    factors = sum(int(level.sizes.sum()) * (level.width if level.width <= WIDEST_DENSE else 1) for level in levels)
    coordinator = 8 * (2 * factors + COORDINATOR * watched)
    return superchains * (shard.replicas * replica + 8 * SHARD * watched) + coordinator + HEADS
