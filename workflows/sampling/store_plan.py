"""What the store of a run holds: its variables and arrays, and how many draws its budget has room for."""

import jax
import numpy as np

from ensemble.shard.chain_sums import recorded
from ensemble.shard.settings import ShardSettings
from ensemble.store.contents import Layout, Variable
from workflows.sampling.problem import Problem
from workflows.settings.loading import Settings, SettingsError


def variables(problem: Problem) -> dict[str, dict[str, Variable]]:
    """The recorded variables of every group."""
    model = problem.model
    target, data = model.target, model.data
    shapes = jax.eval_shape(target.constrain, jax.eval_shape(target.initial, jax.random.key(0), data), data)
    posterior = {
        name: Variable("float32", tuple(model.dims.get(name, ())), tuple(s.shape)) for name, s in shapes.items()
    }
    stats = {"lp": Variable("float64"), "replica": Variable("int64")}
    stats |= {name: Variable(dtype.name) for name, dtype in recorded(problem.spec).items()}
    groups = {"posterior": posterior, "sample_stats": stats, "warmup_sample_stats": stats}
    if problem.shared:
        groups["warmup_posterior"] = {name: posterior[name] for name in problem.shared}
    return groups


def layout(problem: Problem, shard: ShardSettings, superchains: int, chunk_draws: int) -> Layout:
    """The arrays of the store. chunk_draws: draws in a chunk of a file."""
    model = problem.model
    static = {
        group: {name: (tuple(model.dims.get(name, ())), np.asarray(values)) for name, values in arrays.items()}
        for group, arrays in (("observed_data", model.observed), ("constant_data", model.constant))
        if arrays
    }
    groups = variables(problem)
    used = {dim for variables in groups.values() for variable in variables.values() for dim in variable.dims}
    used |= {dim for arrays in static.values() for names, _ in arrays.values() for dim in names}
    coords = {dim: labels for dim, labels in model.coords.items() if dim in used}
    return Layout(groups, shard.stored, superchains, chunk_draws, coords, static)


def affordable_draws(settings: Settings, problem: Problem, shard: ShardSettings) -> int:
    """Draws a chain that fit into the budget beside two checkpoints: of shapes alone, so that it never changes.

    Raises SettingsError where they are fewer than goals.draws.
    """
    target, superchains = problem.model.target, settings.ensemble.superchains
    watched = target.dimension_of_interest
    cells = sum(segments.n for segments in problem.spec.structure.cells.values())
    # A replica's position and cells in each rung, its sums, and four batches in float32 that wait for their halves;
    # with the tuning, moments and sums over all replicas, as much as three replicas more.
    replica = 8 * (target.dimension + cells) * len(shard.ladder.temperatures) + (8 + 4 * 4) * watched
    checkpoint = (superchains * shard.replicas + 3) * replica
    values = sum(int(np.prod(v.shape)) for v in variables(problem)["posterior"].values())
    draw = superchains * shard.stored * (4 * values + 24)
    budget, wanted = settings.store.budget_mb, settings.goals.draws
    room = int(1e6 * budget - 2 * checkpoint) // draw
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
