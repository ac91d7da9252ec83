"""What a round teaches: from the state of a run and the results of all shards to its next state. A pure function."""

from ensemble.adaptation.joint import ALONE, BESIDE, absorb_jumps
from ensemble.adaptation.moments import FORGET, FORGET_FAST, absorb_moments
from ensemble.adaptation.surrogates.lessons import with_lessons
from ensemble.diagnostics import spreads
from ensemble.diagnostics.accumulators import NOTHING, collect
from ensemble.diagnostics.convergence import diagnose
from ensemble.diagnostics.single_chains import allowed_pull
from ensemble.protocol.plans import RoundPlan, RoundResult
from ensemble.protocol.statistics import RoundStatistics
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run import adapt as adaptation
from ensemble.run import ladder, observed
from ensemble.run.decisions import policies
from ensemble.run.decisions.lowest import with_lowest
from ensemble.run.decisions.stragglers import fallen
from ensemble.run.decisions.typical import pooled_quartiles, updated
from ensemble.run.goals import check_goals
from ensemble.run.ledger import Ledger
from ensemble.run.settings import RunSettings
from ensemble.run.state import RunState


def absorb(
    state: RunState,
    plan: RoundPlan,
    results: list[RoundResult],
    spec: SweepSpec,
    settings: RunSettings,
) -> RunState:
    """The state after a round: adapted by its statistics or, where tuning is frozen, with another look at the goals.

    results: of all shards, in their order. The state given stays as it is.
    """
    statistics = [result.statistics for result in results]
    if plan.reset:
        state = state._replace(diagnostic_sums=NOTHING)
    if plan.stage.adapts:
        state = _adapted(state, plan, statistics, spec, settings)
    state = _with_ladder(state, plan, statistics, settings)
    state = state._replace(ledger=_noted(state.ledger, plan, statistics, settings.shard.replicas))
    if plan.with_diagnostics:
        state = _diagnosed(state, plan, statistics, spec, settings, state.ledger.draws + _stored(results[0]))
    ledger = state.ledger
    if not plan.stage.adapts:
        ledger = with_lowest(ledger, observed.heights_of(statistics), spec.dimension, anew=plan.reset)
    else:
        ledger = _with_spreads(ledger, statistics, spec, settings.shard.replicas)
        ledger = _with_outliers(ledger, plan, statistics)
    return state._replace(ledger=ledger._replace(draws=ledger.draws + _stored(results[0])))


def _adapted(
    state: RunState,
    plan: RoundPlan,
    statistics: list[RoundStatistics],
    spec: SweepSpec,
    settings: RunSettings,
) -> RunState:
    """The moments with those of the round, and the tuning that follows from them."""
    round_, tuning = state.ledger.phase_round, state.tuning
    everybody, statistics = statistics, _arrived(statistics, state.ledger, spec, settings)
    forget = FORGET_FAST if plan.stage.forgets_fast else FORGET
    # What was seen of superchains that then began anew would spoil the metric for long: it may have been absurd.
    since = 0 if plan.redraw else round_
    moments = absorb_moments(state.moments, tuning, statistics, settings.shard.replicas, since, forget)
    if settings.shard.runs_scout(plan.stage):
        tuning = adaptation.adapt_scout(tuning, statistics, round_)
    elif not policies.holds_tuning(state.ledger):
        tuning = adaptation.adapt(tuning, moments, statistics, spec, round_, state.ledger.care)
    jumps = state.jumps
    if spec.joint and state.ledger.settled_round is not None:
        kind = BESIDE if policies.joins(state.ledger) else ALONE
        jumps = absorb_jumps(jumps, everybody, kind, settings.replicas)
    lessons = with_lessons(state.lessons, everybody) if plan.teaches else state.lessons
    return state._replace(tuning=tuning, moments=moments, jumps=jumps, lessons=lessons)


def _arrived(
    statistics: list[RoundStatistics], ledger: Ledger, spec: SweepSpec, settings: RunSettings
) -> list[RoundStatistics]:
    """Those of the superchains by which tuning adapts: all but the lost and those whose gradients overflow, which would
    spoil the metric and the step size of the others; of all where none is sound."""
    lost = policies.lost_now(ledger, settings, spec.dimension)
    sound = [
        shard for number, shard in enumerate(statistics) if number not in lost and observed.has_finite_moments(shard)
    ]
    return sound or statistics


def _with_ladder(
    state: RunState, plan: RoundPlan, statistics: list[RoundStatistics], settings: RunSettings
) -> RunState:
    """What the swaps tell: better temperatures where they adapt, the evidence where draws count."""
    betas, sums, chains = state.tuning.betas, state.diagnostic_sums, settings.replicas
    found = ladder.absorb_swaps(state.ledger.ladder, statistics, betas, plan.stage, plan.round, plan.sweeps, chains)
    if plan.stage.adapts_temperatures and settings.adapt_temperatures:
        found, betas = ladder.adapted(found, betas, state.ledger.phase_round)
    if plan.stage.accumulates:
        sums = sums._replace(stones=ladder.absorb_stones(sums.stones, statistics))
        found = ladder.with_evidence(found, sums.stones, betas) if plan.with_diagnostics else found
    return state._replace(
        ledger=state.ledger._replace(ladder=found), tuning=state.tuning._replace(betas=betas), diagnostic_sums=sums
    )


def _diagnosed(
    state: RunState,
    plan: RoundPlan,
    statistics: list[RoundStatistics],
    spec: SweepSpec,
    settings: RunSettings,
    draws: int,
) -> RunState:
    """ESS and R-hat over all rounds that count, and what they say of the goals."""
    accumulated = [shard.accumulated for shard in statistics if shard.accumulated is not None]
    sums = collect(state.diagnostic_sums, accumulated)
    pull = allowed_pull(settings.goals.ess, settings.replicas)
    diagnostics = diagnose(accumulated, sums, settings.shard.replicas, plan.sweeps, pull)
    check = check_goals(diagnostics, spec.structure, settings, draws)
    failed, tried = state.ledger.failed
    ledger = state.ledger._replace(goals=check._replace(failed=failed / tried if tried else None))
    return state._replace(ledger=ledger, diagnostic_sums=sums, diagnostics=diagnostics)


def _noted(ledger: Ledger, plan: RoundPlan, statistics: list[RoundStatistics], replicas: int) -> Ledger:
    """The ledger with what the round's statistics say. replicas: of a shard."""
    # Only the warm-up's stages are steered by the trace; in `sample` the store has the log density.
    row = (tuple(observed.trace_of(shard) for shard in statistics),) if plan.stage.adapts else ()
    heights = tuple(observed.heights_of(statistics).tolist())
    anew = {shard * replicas + replica for shard in plan.redraw for replica in range(replicas)}
    mass = (observed.masses_of(statistics),) if plan.stage.adapts else ()
    return ledger._replace(
        trace=ledger.trace + row,
        mass=ledger.mass + mass,
        heights=heights if plan.stage.adapts else (),
        fallen=fallen(ledger.fallen, ledger.heights, heights, plan.floor, anew),
        redrawn=ledger.redrawn + ((plan.redraw,) if row else ()),
        virial=tuple(observed.virial_of(shard) for shard in statistics),
        rates=observed.add_rates(ledger.rates, statistics),
        nonfinite=ledger.nonfinite + sum(observed.without_density(shard) for shard in statistics),
        infinite=observed.add_infinite(ledger.infinite, statistics),
        refined=_refined(ledger, ledger.refined, observed.diverged_in(statistics)),
        refined_failed=_refined(ledger, ledger.refined_failed, observed.failed_in(statistics)),
        failed=observed.added_pairs(ledger.failed, observed.failed_in(statistics)),
        divergences=observed.add_divergences(ledger.divergences, plan.stage, statistics),
        stage_gradients=observed.add_gradients(ledger.stage_gradients, plan.stage, statistics, replicas),
        relocated=ledger.relocated + observed.relocated_in(statistics),
    )


def _with_spreads(ledger: Ledger, statistics: list[RoundStatistics], spec: SweepSpec, replicas: int) -> Ledger:
    """The ledger with how wide the ensemble is, and was at first."""
    row = spreads.largest_spreads(statistics, spec.structure, replicas)
    first = ledger.start_spreads or spreads.start_spreads(statistics, spec.structure, replicas)
    return ledger._replace(spreads=(*ledger.spreads, row), start_spreads=first)


def _with_outliers(ledger: Ledger, plan: RoundPlan, statistics: list[RoundStatistics]) -> Ledger:
    """The ledger with where the ensemble is, and who is elsewhere."""
    seen = [shard.whereabouts for shard in statistics if shard.whereabouts is not None]
    if not seen:
        return ledger
    outliers = updated(ledger.outliers, seen, ledger.quartiles, plan.redraw)
    return ledger._replace(outliers=outliers, quartiles=pooled_quartiles(seen))


def _refined(ledger: Ledger, before: tuple[int, int], seen: tuple[int, int] | None) -> tuple[int, int]:
    """The trajectories by which the step sizes of a settled ensemble are judged, with those of the round."""
    looks = ledger.settled_round is not None and not policies.holds_tuning(ledger)
    return observed.added_pairs(before, seen) if looks else before


def _stored(result: RoundResult) -> int:
    """Draws of each chain for the posterior, the same in every shard."""
    return len(result.draws["sample_stats"]["lp"]) if "sample_stats" in result.draws else 0
