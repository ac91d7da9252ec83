"""From settings and problem to what the runners and the coordinator are told: plain numbers, the same everywhere."""

import jax

from ensemble.diagnostics.convergence import rhat_limit
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run.settings import Goals, Limits, RecordSettings, RunSettings, StageSettings, TrajectorySettings
from ensemble.shard.keys import run_seed
from ensemble.shard.level_kernels.base import Needs
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.settings import LadderSettings, ShardSettings, StartSettings
from ensemble.shard.starts.blockwise import misfit, suits
from kernels.numerics.operations import operations
from workflows.sampling.problem import Problem
from workflows.sampling.store_plan import Types, affordable_draws, types
from workflows.settings.loading import Settings, SettingsError


def run_settings(settings: Settings, problem: Problem, generation: int = 0, stored: Types | None = None) -> RunSettings:
    """The coordinator's settings. generation: how many runs this one descends from (start.store). stored: the types
    that draws are stored in where the store is there already.

    Raises SettingsError where store.budget_mb has no room for goals.draws.
    """
    target, scout = problem.model.target, scout_kernel(settings, problem.spec)
    superchains, sweeps = settings.ensemble.superchains, sweeps_a_round(settings, problem)
    shard = _shard_settings(settings, problem, scout, generation, draws_a_round(settings, problem.spec, sweeps))
    if stored is None:
        stored = types(settings, problem, shard)
    return RunSettings(
        shard=shard,
        superchains=superchains,
        sweeps=sweeps,
        adapt_temperatures=settings.tempering.adapt,
        stages=StageSettings(
            scouts=scout != "none",
            scout_rounds=settings.scout.max_rounds,
            equilibrate_rounds=settings.equilibrate.max_rounds,
            refine_rounds=settings.equilibrate.refine_rounds,
            burn_rounds=settings.sample.burn_rounds,
        ),
        record=RecordSettings(
            thin=settings.sample.thin,
            max_draws=affordable_draws(settings, problem, shard, stored),
            check_rounds=settings.store.commit_rounds,
            commit_seconds=settings.store.commit_seconds,
        ),
        goals=_goals(settings, target.dimension_of_interest),
        limits=Limits(
            sweeps=settings.limits.sweeps,
            seconds=None if settings.limits.minutes is None else 60 * settings.limits.minutes,
        ),
        trajectories=TrajectorySettings(scout_depth=settings.scout.depth, jitter=settings.kernels.jitter),
    )


MANY_SWEEPS, BESIDE_TRAJECTORIES = 16, 8
"""Sweeps of a round by default, and where a trajectory on all parameters ends it."""

TRAJECTORY = 48
"""Evaluations of the density, about, that a trajectory costs: 16 gradients, each three times as dear."""

ROUND = 4_000_000
"""Operations that a round of a superchain should have at least, some milliseconds: beside it the coordinator's own work
is small."""


def sweeps_a_round(settings: Settings, problem: Problem) -> int:
    """Sweeps of a round: as the settings say or, where trajectories move all parameters and nothing else does, 1 to 4
    by the operations of the model."""
    if settings.round.sweeps != "auto":
        return settings.round.sweeps
    if problem.spec.joint:
        return BESIDE_TRAJECTORIES
    if not _one_block_alone(problem.spec):
        return MANY_SWEEPS
    model = problem.model
    positions = jax.eval_shape(model.target.initial, jax.random.key(0), model.data)
    of_shard = settings.ensemble.replicas // settings.ensemble.superchains
    many = jax.tree.map(lambda x: jax.ShapeDtypeStruct((of_shard, *x.shape), x.dtype), positions)
    density = operations(jax.vmap(model.target.log_terms, in_axes=(0, None)), many, model.data)
    return 4 if TRAJECTORY * density * 4 <= ROUND else 2 if TRAJECTORY * density * 2 <= ROUND else 1


def draws_a_round(settings: Settings, spec: SweepSpec, sweeps: int) -> int:
    """Draws stored in a round: as the settings say or, where trajectories move all parameters and nothing else does,
    those of all its sweeps."""
    if settings.round.draws != "auto":
        return settings.round.draws
    return sweeps if _one_block_alone(spec) else 1


def _one_block_alone(spec: SweepSpec) -> bool:
    """Whether a sweep is one trajectory of all parameters."""
    kernels = level_kernels(spec).values()
    return len(kernels) == 1 and all(kernel.needs.doubles for kernel in kernels)


def _goals(settings: Settings, dimension: int) -> Goals:
    """When the run is done. dimension: coordinates that are looked at."""
    goals = settings.goals
    limit = rhat_limit(dimension, goals.ess, settings.ensemble.superchains)
    return Goals(
        ess=goals.ess,
        rhat=limit if goals.rhat == "auto" else goals.rhat,
        shared_ess=goals.shared_ess,
        shared_rhat=goals.shared_rhat,
        draws=goals.draws,
        of_draws=goals.of == "draws",
    )


def _shard_settings(settings: Settings, problem: Problem, scout: str, generation: int, draws: int) -> ShardSettings:
    """The settings of every runner."""
    ensemble, start, tempering = settings.ensemble, settings.start, settings.tempering
    about_modes = _blockwise(settings, problem)
    moved = _descends(settings, problem, about_modes), about_modes
    stored = ensemble.replicas if settings.store.chains == "all" else settings.store.chains
    return ShardSettings(
        seed=run_seed(settings.seed, generation),
        replicas=ensemble.replicas // ensemble.superchains,
        repeats=settings.equilibrate.global_repeats,
        stored=stored // ensemble.superchains,
        draws=draws,
        shared=problem.shared,
        auxiliary=tuple(sorted(problem.model.target.auxiliary)),
        scout={**settings.scout.model_dump(), **settings.momentum_diffusion.model_dump(), "kernel": scout},
        start=StartSettings(start.kind, start.radius, start.spread, *moved),
        ladder=LadderSettings(tempering.ladder(), tuple(tempering.stages), tempering.swaps, tempering.tempers),
    )


def _descends(settings: Settings, problem: Problem, about_modes: bool) -> bool:
    """Whether starts go down the slope first: as the settings say or, of those that a density may be very low at, where
    a level follows the gradient and blocks are not drawn about their modes."""
    if settings.start.descend != "auto":
        return settings.start.descend
    target, kernels = problem.model.target, level_kernels(problem.spec).values()
    drawn = settings.start.kind in ("prior", "uniform") and settings.start.store is None
    follows = any(kernel.needs.gradient for kernel in kernels)
    return drawn and follows and not target.auxiliary and not about_modes


def _blockwise(settings: Settings, problem: Problem) -> bool:
    """Whether starts are drawn block by block about modes: as the settings say, or where blocks are many and narrow."""
    target, structure = problem.model.target, problem.spec.structure
    drawn = settings.start.kind in ("prior", "uniform") and settings.start.store is None
    if settings.start.modes == "auto":
        return drawn and suits(target, structure)
    if settings.start.modes and (why := misfit(target, structure)):
        wrong = f"start.modes: given true, but the model {why}: leave it out, or set false"
        raise SettingsError("the settings", [wrong])
    return settings.start.modes


def scout_kernel(settings: Settings, spec: SweepSpec) -> str:
    """What the scout stage runs: what the settings say, or what suits the levels' kernels."""
    if settings.scout.kernel != "auto":
        return settings.scout.kernel
    own = any(kernel.needs != Needs() for kernel in level_kernels(spec).values())
    return "short" if own else "momentum_diffusion"
