"""From settings and problem to what the runners and the coordinator are told: plain numbers, the same everywhere."""

from ensemble.diagnostics.convergence import rhat_limit
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run.settings import Goals, Limits, RecordSettings, RunSettings, StageSettings, TrajectorySettings
from ensemble.shard.keys import run_seed
from ensemble.shard.level_kernels.base import Needs
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.settings import LadderSettings, ShardSettings, StartSettings
from workflows.sampling.problem import Problem
from workflows.sampling.store_plan import affordable_draws
from workflows.settings.loading import Settings


def run_settings(settings: Settings, problem: Problem, generation: int = 0) -> RunSettings:
    """The coordinator's settings. generation: how many runs this one descends from (start.store).

    Raises SettingsError where store.budget_mb has no room for goals.draws.
    """
    target, scout = problem.model.target, scout_kernel(settings, problem.spec)
    superchains = settings.ensemble.superchains
    shard = _shard_settings(settings, problem, scout, generation)
    return RunSettings(
        shard=shard,
        superchains=superchains,
        sweeps=settings.round.sweeps,
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
            max_draws=affordable_draws(settings, problem, shard),
            check_rounds=settings.store.commit_rounds,
        ),
        goals=_goals(settings, target.dimension_of_interest),
        limits=Limits(
            sweeps=settings.limits.sweeps,
            seconds=None if settings.limits.minutes is None else 60 * settings.limits.minutes,
        ),
        trajectories=TrajectorySettings(scout_depth=settings.scout.depth, jitter=settings.kernels.jitter),
    )


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
    )


def _shard_settings(settings: Settings, problem: Problem, scout: str, generation: int) -> ShardSettings:
    """The settings of every runner."""
    ensemble, start, tempering = settings.ensemble, settings.start, settings.tempering
    stored = ensemble.replicas if settings.store.chains == "all" else settings.store.chains
    return ShardSettings(
        seed=run_seed(settings.seed, generation),
        replicas=ensemble.replicas // ensemble.superchains,
        repeats=settings.equilibrate.global_repeats,
        stored=stored // ensemble.superchains,
        shared=problem.shared,
        auxiliary=tuple(sorted(problem.model.target.auxiliary)),
        scout={**settings.scout.model_dump(), **settings.momentum_diffusion.model_dump(), "kernel": scout},
        start=StartSettings(start.kind, start.radius, start.spread),
        ladder=LadderSettings(tempering.ladder(), tuple(tempering.stages), tempering.swaps, tempering.tempers),
    )


def scout_kernel(settings: Settings, spec: SweepSpec) -> str:
    """What the scout stage runs: what the settings say, or what suits the levels' kernels."""
    if settings.scout.kernel != "auto":
        return settings.scout.kernel
    own = any(kernel.needs != Needs() for kernel in level_kernels(spec).values())
    return "short" if own else "momentum_diffusion"
