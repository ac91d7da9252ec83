"""From one round to the next: what the next one is, and the stage that it belongs to. Pure functions."""

import numpy as np

from ensemble.adaptation.interweaving import interweavings_to_keep, schedule
from ensemble.adaptation.joint import worth_joining
from ensemble.adaptation.moments import extended
from ensemble.adaptation.surrogates import teaching
from ensemble.adaptation.surrogates.lessons import none_yet
from ensemble.protocol.flat import flatten
from ensemble.protocol.plans import RoundPlan
from ensemble.protocol.stages import Stage
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run import adapt as adaptation
from ensemble.run import observed
from ensemble.run.decisions import policies
from ensemble.run.decisions.stragglers import behind
from ensemble.run.ladder import LadderState
from ensemble.run.settings import RunSettings
from ensemble.run.state import RunState, stage_tuning

LONGEST_DEPTH = 64
"""More doublings than any level allows: its own limit holds."""


def next_plan(state: RunState, spec: SweepSpec, settings: RunSettings) -> RoundPlan:
    """The next round."""
    ledger = state.ledger
    floor = policies.floor_of_round(ledger, settings, spec.dimension)
    sweeps = 1 if settings.shard.runs_scout(ledger.stage) else settings.sweeps
    interweavings = schedule(
        sweeps * spec.interweavings_a_sweep, ledger.stage_round, np.asarray(ledger.interweavings_kept, bool)
    )
    parity = (ledger.stage_round * sweeps + np.arange(sweeps)) % 2
    lengths = adaptation.trajectory_lengths(
        state.tuning,
        spec,
        sweeps,
        ledger.stage_round,
        depth_limit=settings.trajectories.scout_depth if ledger.stage.scouts else LONGEST_DEPTH,
        length_range=policies.length_range(ledger, settings),
        first=ledger.epoch == 0 and ledger.stage.adapts,
        joins=policies.joins(ledger),
    )
    return RoundPlan(
        epoch=ledger.epoch,
        stage=ledger.stage,
        round=ledger.stage_round,
        sweeps=sweeps,
        tuning=flatten(
            state.tuning._replace(
                schedule=interweavings,
                parity=parity,
                lengths=lengths,
                common=adaptation.common_draws(state.tuning, sweeps, ledger.stage_round),
                by_gradient=teaching.by_gradient(
                    state.tuning, sweeps, ledger.stage_round, frozen=not ledger.stage.adapts
                ),
            )
        ),
        record=policies.should_record(ledger, settings),
        reset=policies.should_reset(ledger, settings),
        with_diagnostics=policies.should_diagnose(ledger, settings),
        floor=floor,
        behind=behind(ledger.heights, floor, ledger.fallen),
        teaches=policies.teaches(ledger),
        typical=policies.typical_of_round(ledger, settings, spec.dimension),
        redraw=policies.to_redraw(ledger, settings, spec.dimension),
    )


def advance(
    state: RunState,
    plan: RoundPlan,
    spec: SweepSpec,
    settings: RunSettings,
) -> RunState:
    """The state when a round is over that has been absorbed: it is counted, and the next may begin another stage."""
    dimension = spec.dimension
    rounds, sweeps = state.ledger.stages.get(plan.stage.name, (0, 0))
    ledger = state.ledger._replace(
        epoch=plan.epoch + 1,
        stage_round=plan.round + 1,
        sweeps=state.ledger.sweeps + plan.sweeps,
        stages={**state.ledger.stages, plan.stage.name: (rounds + 1, sweeps + plan.sweeps)},
    )
    if policies.settles_now(ledger, settings, dimension):
        # The next round is the first of its phase: absorb_moments then forgets all before it.
        ledger = ledger._replace(settled_round=ledger.stage_round)
    # Half of the refining rounds again, with what was learned of the metric.
    again = ledger.stage_round - settings.stages.refine_rounds // 2
    if policies.needs_teaching(ledger, settings, dimension):
        tuning = teaching.taught(state.tuning, state.lessons, settings.shard.seed)
        state = state._replace(tuning=tuning, lessons=none_yet(tuning))
        ledger = ledger._replace(taught=True, settled_round=again)
    elif policies.needs_care(ledger, settings, dimension):
        ledger = ledger._replace(care=ledger.care + 1, settled_round=again, refined=(0, 0), refined_failed=(0, 0))
    stage = policies.next_stage(ledger, settings, dimension)
    state = state._replace(ledger=ledger)
    return state if stage is plan.stage else _entered(state, stage, spec, settings)


def _worth_joining(state: RunState, spec: SweepSpec, settings: RunSettings) -> bool:
    """Whether joint moves go on in `sample`: where there are any and they pay, or nothing else moves all."""
    if not spec.joint:
        return True
    shard = settings.shard
    return worth_joining(state.jumps, state.moments, spec, settings.sweeps, shard.repeats, settings.replicas)


def _entered(
    state: RunState,
    stage: Stage,
    spec: SweepSpec,
    settings: RunSettings,
) -> RunState:
    """The state before the first round of a stage; entering `sample` freezes what was adapted."""
    ledger, before = state.ledger, state.tuning
    if not stage.adapts:
        before = teaching.settled(before)
        seen = observed.interweaving_rates(ledger.rates, len(spec.interweavings))
        kept = interweavings_to_keep(before, state.moments, seen, spec)
        ledger = ledger._replace(
            interweavings_kept=tuple(bool(flag) for flag in kept),
            joined=_worth_joining(state, spec, settings),
            floor=policies.floor_of_sample(ledger, settings, spec.dimension),
        )
    blank = stage_tuning(stage, spec, settings)
    tuning = adaptation.carried(before, blank, state.moments, spec, anew=stage.resets_scales)
    tuning = tuning._replace(height=np.asarray(policies.middle(ledger)))
    ledger = ledger._replace(
        stage=stage,
        stage_round=0,
        settled_round=None,
        trace=(),
        mass=(),
        redrawn=(),
        spreads=(),
        rates={},
        failed=(0, 0),
        ladder=LadderState(rows=ledger.ladder.rows),
    )
    return state._replace(ledger=ledger, tuning=tuning, moments=extended(state.moments, tuning))
