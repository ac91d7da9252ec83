"""From settings and problem to what the runners and the coordinator are told: plain numbers, the same everywhere."""

from ensemble.diagnostics.convergence import rhat_limit
from ensemble.run.settings import RunSettings
from ensemble.shard.keys import run_seed
from ensemble.shard.runner import ShardSettings
from kernels.structure.discovery import Structure
from workflows.sampling.problem import Problem
from workflows.sampling.store_plan import affordable_draws
from workflows.settings.loading import Settings


def run_settings(settings: Settings, problem: Problem, generation: int = 0) -> RunSettings:
    """The coordinator's settings. generation: how many runs this one descends from (start.store).

    Raises SettingsError where store.budget_mb has no room for goals.draws.
    """
    target, goals, scout = problem.model.target, settings.goals, scout_kernel(settings, problem.structure)
    superchains = settings.ensemble.superchains
    shard = _shard_settings(settings, problem, scout, generation)
    limit = rhat_limit(target.dimension_of_interest, goals.ess, superchains)
    minutes = settings.limits.minutes
    return RunSettings(
        shard=shard,
        superchains=superchains,
        sweeps=settings.round.sweeps,
        scouting=scout != "none",
        scout_rounds=settings.scout.max_rounds,
        equilibrate_rounds=settings.equilibrate.max_rounds,
        refine_rounds=settings.equilibrate.refine_rounds,
        burn_rounds=settings.sample.burn_rounds,
        thin=1 if settings.sample.thin == "auto" else settings.sample.thin,
        max_draws=affordable_draws(settings, problem, shard),
        check_rounds=settings.store.commit_rounds,
        ess=goals.ess,
        rhat=limit if goals.rhat == "auto" else goals.rhat,
        shared_ess=goals.shared_ess,
        shared_rhat=goals.shared_rhat,
        draws=goals.draws,
        limit_sweeps=settings.limits.sweeps,
        limit_seconds=None if minutes is None else 60 * minutes,
        scout_depth=settings.scout.depth,
        jitter=settings.kernels.jitter,
        adapt_temperatures=settings.tempering.adapt,
    )


def _shard_settings(settings: Settings, problem: Problem, scout: str, generation: int) -> ShardSettings:
    """The settings of every runner."""
    ensemble, start, tempering = settings.ensemble, settings.start, settings.tempering
    stored = ensemble.replicas if settings.store.chains == "all" else settings.store.chains
    return ShardSettings(
        seed=run_seed(settings.seed, generation),
        replicas=ensemble.replicas // ensemble.superchains,
        temperatures=tempering.ladder(),
        tempered_stages=tuple(tempering.stages),
        repeats=settings.equilibrate.global_repeats,
        stored=stored // ensemble.superchains,
        shared=problem.shared,
        scout={**settings.scout.model_dump(), "kernel": scout},
        start=start.kind,
        radius=start.radius,
        spread=start.spread,
        swaps=tempering.swaps,
        tempers=tempering.tempers,
        auxiliary=tuple(sorted(problem.model.target.auxiliary)),
    )


def scout_kernel(settings: Settings, structure: Structure) -> str:
    """What the scout stage runs: what the settings say, or what suits the levels' kernels."""
    if settings.scout.kernel != "auto":
        return settings.scout.kernel
    own = any(level.move.kernel != "metropolis" for level in structure.levels)
    return "short" if own else "momentum_diffusion"
