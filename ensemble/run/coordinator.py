"""The coordinator: next plan, run it, absorb what comes of it, record, advance, commit."""

from functools import partial
from typing import NamedTuple

import numpy as np

from ensemble.adaptation.surrogates import teaching
from ensemble.diagnostics.spreads import improper, still_growing
from ensemble.fleet.local import Fleet
from ensemble.protocol.plans import RoundPlan, RoundResult, positions_of
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run.absorb import absorb
from ensemble.run.decisions import policies
from ensemble.run.decisions.grain import coarse
from ensemble.run.decisions.outliers_told import at_the_freeze, put_elsewhere
from ensemble.run.decisions.spreading import endless, is_growing
from ensemble.run.goals import GoalCheck, goals_met
from ensemble.run.handover import Handover, take_over
from ensemble.run.observed import infinite_sentence
from ensemble.run.rounds import advance, next_plan
from ensemble.run.settings import RunSettings
from ensemble.run.sitting import Sitting, Stopwatch
from ensemble.run.state import first_state, pack, stage_tuning, unpack
from ensemble.run.status import status_of
from ensemble.run.summary import outside_kernels, summarise
from ensemble.store.contents import Checkpoint
from ensemble.store.protocol import RunStore


class Outcome(NamedTuple):
    """How a run ended.

    done: every goal is met.
    limit: the limit that stopped it, if one did.
    interrupted: the user asked it to stop.
    by: who asked through the store, as user@host; None for a signal.
    """

    done: bool
    limit: str | None
    interrupted: bool
    by: str | None = None


class Coordinator:
    """Steers a fleet. It sees O(d) statistics a shard, never states but to pass them into the store."""

    def __init__(
        self,
        fleet: Fleet,
        store: RunStore,
        spec: SweepSpec,
        settings: RunSettings,
        sitting: Sitting,
    ) -> None:
        self.fleet, self.store, self.spec, self.settings, self.sitting = fleet, store, spec, settings, sitting
        self.state = first_state(spec, settings)
        self._looked_at_grain = False

    def start(self, handover: Handover | None = None) -> None:
        """A new run, its fleet standing at the starts: committed. handover: what it takes over from another run."""
        if handover is not None:
            blank = partial(stage_tuning, spec=self.spec, settings=self.settings)
            self.state, notes = take_over(handover, self.state, blank)
            for note in notes:
                self.sitting.progress.message(note)
        self._commit()

    def resume(self) -> None:
        """Go on from the store's last checkpoint, bit for bit."""
        checkpoint = self.store.load_checkpoint()
        self.store.rewind()
        self.state = unpack(checkpoint.coordinator, checkpoint.info, self.spec, self.settings)
        self._count_draws()
        self.fleet.load(self.state.ledger.epoch - 1, checkpoint.shards)

    def _count_draws(self) -> None:
        """Count what is stored: a repair of the store may have cut draws, whose goals were met with them."""
        ledger, stored = self.state.ledger, self.store.committed.get("posterior", 0)
        if stored < ledger.draws:
            self.sitting.progress.message(
                f"{ledger.draws - stored} draws of each chain were lost in a repair of the store: the run goes on "
                "after that gap, and looks at its goals anew"
            )
            self.state = self.state._replace(ledger=ledger._replace(draws=stored, goals=GoalCheck()))

    def run(self) -> Outcome:
        """Rounds until the goals are met, a limit is reached or the user asks to stop; the last state is committed."""
        spec, settings = self.spec, self.settings
        committed, stopwatch = self.state.ledger, Stopwatch(self.sitting.clock, remote=self.fleet.remote)
        self._announce_stage()
        while (outcome := self._outcome()) is None:
            plan = self._with_starts(next_plan(self.state, spec, settings))
            results = self.fleet.run(plan)
            self._absorb(plan, results)
            self._record(results)
            self._advance(plan)
            ledger = self.state.ledger.with_seconds(plan.stage, stopwatch.lap(results))
            self.state = self.state._replace(ledger=ledger)
            if policies.should_commit(ledger, committed, settings.record):
                self._commit()
                committed = ledger
            self.sitting.progress.update(status_of(ledger, results, spec, settings))
        if committed.epoch < self.state.ledger.epoch:
            self._commit()
        return outcome

    def _absorb(self, plan: RoundPlan, results: list[RoundResult]) -> None:
        """What the round teaches, with what it shows to be wrong with the model."""
        before = self.state.ledger
        known = bool(before.infinite)
        if plan.typical is not None and (told := put_elsewhere(plan.typical.astray, before, self.spec.structure)):
            self.sitting.progress.message(told)
        self.state = absorb(self.state, plan, results, self.spec, self.settings)
        if self.state.ledger.infinite and not known:
            self.sitting.progress.message(infinite_sentence(self.state.ledger.infinite, self.spec.levels))
        self._require_proper(results)

    def _advance(self, plan: RoundPlan) -> None:
        """To the next round, which may begin another stage."""
        spreads = self.state.ledger.spreads
        self.state = advance(self.state, plan, self.spec, self.settings)
        ledger = self.state.ledger
        if ledger.stage is plan.stage:
            return
        if not ledger.stage.adapts and (growing := is_growing(spreads)).any():
            levels = self.spec.structure.levels
            self.sitting.progress.message(still_growing([levels[number] for number in np.flatnonzero(growing)]))
        if not ledger.stage.adapts:
            told = at_the_freeze(ledger, self.spec.structure, self.spec.dimension)
            for sentence in [*told, *teaching.told(self.state.tuning.levels)]:
                self.sitting.progress.message(sentence)
        self._announce_stage()

    def _require_proper(self, results: list[RoundResult]) -> None:
        """Raise ImproperPosterior where the ensemble spreads without end, which no sampling would change."""
        ledger, replicas = self.state.ledger, self.settings.shard.replicas
        found = endless(ledger.spreads, ledger.start_spreads, ledger.trace, self.spec.dimension, replicas)
        if ledger.stage.adapts and found:
            levels = [self.spec.structure.levels[number] for number in found]
            raise improper([result.statistics for result in results], levels, replicas)

    def _with_starts(self, plan: RoundPlan) -> RoundPlan:
        """The plan with the states of others for superchains that were lost again and again."""
        chosen = policies.sources(plan.redraw, self.state.ledger, self.settings, self.spec.dimension)
        if not chosen:
            return plan
        states = self.fleet.states()
        return plan._replace(starts={shard: positions_of(states[source]) for shard, source in chosen.items()})

    def _outcome(self) -> Outcome | None:
        """Whether to stop, looked at between rounds, so that what was drawn is a prefix whenever it stops."""
        ledger = self.state.ledger
        done = all(goals_met(ledger.goals, ledger.draws, len(ledger.strays), self.settings).values())
        limit = policies.limit_reached(ledger, self.settings)
        by = self.store.stop_asked()
        interrupted = by is not None or self.sitting.stop_requested()
        return Outcome(done, limit, interrupted, by) if done or limit or interrupted else None

    def _record(self, results: list[RoundResult]) -> None:
        """Hand the draws to the store, whose next commit makes them count."""
        if self.state.ledger.draws and not self.store.committed.get("posterior") and not self._looked_at_grain:
            self._looked_at_grain = True
            if sentence := coarse(results, self.store.layout.groups["posterior"]):
                self.sitting.progress.message(sentence)
        for result in results:
            for group, values in result.draws.items():
                self.store.append(result.shard, group, values)

    def _announce_stage(self) -> None:
        stage = self.state.ledger.stage
        self.sitting.progress.stage(stage.name, stage.text)

    def _commit(self) -> None:
        """Draws so far and the state from which they go on, as one."""
        ledger, workers = self.state.ledger, self.fleet.workers
        arrays, info = pack(self.state, self.spec.structure)
        summary = {
            **summarise(self.state, self.spec, self.settings),
            "workers": workers,
            "worker_peak_bytes": self.fleet.peak_memory(),
            "outside_kernels": outside_kernels(ledger, workers),
        }
        checkpoint = Checkpoint(ledger.epoch, self.fleet.states(), arrays, info)
        self.store.commit(checkpoint, {**self.sitting.attributes, "summary": summary})
        self.fleet.committed()
