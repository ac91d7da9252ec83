"""The coordinator: next round, run it, absorb it, record, commit, decide."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.interweaving import interweavings_to_keep, schedule
from ensemble.adaptation.moments import FORGET, FORGET_FAST, absorb_moments, extended, first_moments
from ensemble.diagnostics.accumulators import collect
from ensemble.diagnostics.convergence import Diagnostics, diagnose
from ensemble.fleet.local import Fleet
from ensemble.protocol.flat import flatten, prefixed, under, unflatten
from ensemble.protocol.plans import Arrays, RoundPlan, RoundReport
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.run import adapt as adaptation
from ensemble.run import ladder as ladder_books
from ensemble.run import policies, summary
from ensemble.run.handover import Handover, take_over
from ensemble.run.ladder import LadderBooks
from ensemble.run.ledger import Goals, Ledger
from ensemble.run.settings import RunSettings
from ensemble.run.status import Progress, Status
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.scouts import scout_tuning, scouts_by_name
from ensemble.store.checkpoint import Checkpoint
from ensemble.store.writer import Store


class Outcome(NamedTuple):
    """How a run ended. done: every goal met; limit: the limit that stopped it; interrupted: by the user."""

    done: bool
    limit: str | None
    interrupted: bool


LONGEST_DEPTH = 64
"""More doublings than any level allows: its own limit holds."""

STAGE_TEXT = {
    "scout": "from dispersed starts to the typical set",
    "equilibrate": "proposals adapt to the ensemble",
    "sample": "proposals are frozen, every draw counts",
}


class Coordinator:
    """Steers a fleet. It sees O(d) statistics a shard, never states but to pass them into the store."""

    def __init__(
        self,
        fleet: Fleet,
        store: Store,
        spec: SweepSpec,
        settings: RunSettings,
        *,
        progress: Progress,
        stop_requested: Callable[[], bool] = lambda: False,
        attributes: Mapping[str, Any] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """attributes: of the store, changed by this sitting (new goals or limits) and committed with all else."""
        self.fleet, self.store, self.spec, self.settings = fleet, store, spec, settings
        self.structure = spec.structure
        self.progress, self.stop_requested, self.clock = progress, stop_requested, clock
        self.attributes = dict(attributes)
        self.dimension = sum(int(level.sizes.sum()) for level in spec.structure.levels)
        self.ledger = Ledger(stage=policies.first_stage(settings), useful=(True,) * len(spec.interweavings))
        self.controls = self._first_controls(self.ledger.stage)
        self.moments = first_moments(self.controls)
        self.kept: Arrays = {}
        self.diagnostics: Diagnostics | None = None
        self._ticked = self._now()

    def start(self, handover: Handover | None = None) -> None:
        """A new run, its fleet standing at the starts: committed. handover: what it takes over from another run."""
        if handover is not None:
            taken = take_over(handover, len(self.spec.interweavings), self._first_controls)
            self.ledger, self.controls, self.moments = taken.ledger, taken.controls, taken.moments
            for note in taken.notes:
                self.progress.message(note)
        self._commit()

    def resume(self) -> None:
        """Go on from the store's last checkpoint, bit for bit."""
        checkpoint = self.store.load_checkpoint()
        self.store.rewind()
        self.ledger = Ledger.from_json(checkpoint.info)
        self.controls = unflatten(self._first_controls(self.ledger.stage), under("controls", checkpoint.coordinator))
        moments = first_moments(self.controls)
        self.moments = unflatten(moments, under("moments", checkpoint.coordinator))
        self.kept = under("kept", checkpoint.coordinator)
        self.diagnostics = self._unpack_diagnostics(under("diagnostics", checkpoint.coordinator))
        self.fleet.load(self.ledger.epoch - 1, checkpoint.shards)

    def run(self) -> Outcome:
        """Rounds until the goals are met, a limit is reached or the user asks to stop; the last state is committed."""
        committed, self._ticked = self.ledger.epoch, self._now()
        self.progress.stage(self.ledger.stage, STAGE_TEXT[self.ledger.stage])
        while (outcome := self._outcome()) is None:
            plan = self._plan()
            reports = self.fleet.run(plan)
            self._absorb(plan, reports)
            self._record(reports)
            self._advance(plan)
            self._tick(plan.stage, reports)
            if self.ledger.epoch - committed >= self.settings.check_rounds:
                self._commit()
                committed = self.ledger.epoch
            self.progress.update(self._status(reports))
        if committed < self.ledger.epoch:
            self._commit()
        return outcome

    def _outcome(self) -> Outcome | None:
        """Whether to stop, looked at between rounds, so that what was drawn is a prefix whenever it stops."""
        done = all(policies.goals_met(self.ledger, self.settings).values())
        limit = policies.limit_reached(self.ledger, self.settings)
        interrupted = self.stop_requested()
        return Outcome(done, limit, interrupted) if done or limit or interrupted else None

    def _plan(self) -> RoundPlan:
        ledger, settings = self.ledger, self.settings
        sweeps = 1 if self._scouting(ledger.stage) else settings.sweeps
        moves = schedule(sweeps, ledger.stage_round, np.asarray(ledger.useful, bool))
        parity = (ledger.stage_round * sweeps + np.arange(sweeps)) % 2
        lengths = adaptation.trajectory_lengths(
            self.controls,
            self.spec,
            sweeps,
            ledger.stage_round,
            depth_limit=settings.scout_depth if ledger.stage == "scout" else LONGEST_DEPTH,
            length_range=policies.span(ledger, settings),
            first=ledger.epoch == 0 and ledger.stage != "sample",
        )
        return RoundPlan(
            epoch=ledger.epoch,
            stage=ledger.stage,
            round=ledger.stage_round,
            sweeps=sweeps,
            controls=flatten(self.controls._replace(schedule=moves, parity=parity, lengths=lengths)),
            record=policies.records(ledger, settings),
            reset=policies.resets(ledger, settings),
            report=policies.checks(ledger, settings),
        )

    def _absorb(self, plan: RoundPlan, reports: list[RoundReport]) -> None:
        """Adapt by the round's statistics, or, in stage `sample`, look at the goals."""
        statistics = [report.statistics for report in reports]
        if plan.reset:
            self.kept = {}
        replicas, round_ = self.settings.shard.replicas, self.ledger.phase_round
        if plan.stage != "sample":
            forget = FORGET_FAST if plan.stage == "scout" else FORGET
            self.moments = absorb_moments(self.moments, self.controls, statistics, replicas, round_, forget)
        if self._scouting(plan.stage):
            self.controls = adaptation.adapt_scout(self.controls, statistics, round_)
        elif plan.stage != "sample" and not policies.holds(self.ledger):
            self.controls = adaptation.adapt(self.controls, self.moments, statistics, self.spec, round_)
        self._absorb_ladder(plan, statistics)
        if plan.report:
            accumulated = [under("accumulated", arrays) for arrays in statistics]
            self.kept = collect(self.kept, accumulated)
            self.diagnostics = diagnose(accumulated, self.kept, replicas, plan.sweeps)
            self.ledger = self.ledger._replace(goals=self._goals(self.diagnostics))
        # Only the warm-up's stages are steered by the trace; in `sample` the store has the log density.
        row = () if plan.stage == "sample" else (tuple(summary.trace_of(arrays) for arrays in statistics),)
        self.ledger = self.ledger._replace(
            trace=self.ledger.trace + row,
            virial=tuple(summary.virial_of(arrays) for arrays in statistics),
            rates=summary.add_rates(self.ledger.rates, statistics),
            nonfinite=self.ledger.nonfinite + sum(int(arrays.get("nonfinite", 0)) for arrays in statistics),
            stage_gradients=summary.add_gradients(self.ledger.stage_gradients, plan.stage, statistics, replicas),
            relocated=self.ledger.relocated + summary.relocated_in(statistics),
        )

    def _absorb_ladder(self, plan: RoundPlan, statistics: list[Arrays]) -> None:
        """What the swaps tell: better temperatures in `equilibrate`, the evidence in `sample`."""
        betas, chains = self.controls.betas, self.settings.replicas
        books = ladder_books.absorb(self.ledger.ladder, statistics, betas, plan.stage, plan.round, plan.sweeps, chains)
        if plan.stage == "equilibrate" and self.settings.adapt_temperatures:
            books, betas = ladder_books.adapted(books, betas, self.ledger.phase_round)
        if plan.stage == "sample":
            self.kept = ladder_books.absorb_stones(self.kept, statistics)
            books = ladder_books.with_evidence(books, self.kept, betas) if plan.report else books
        self.ledger, self.controls = self.ledger._replace(ladder=books), self.controls._replace(betas=betas)

    def _goals(self, diagnostics: Diagnostics) -> Goals:
        shared, auxiliary = self.settings.shard.shared, self.settings.shard.auxiliary
        levels = [level for level in self.structure.levels if level.name in diagnostics.ess]
        parts = [summary.coordinates(level, diagnostics, shared, auxiliary) for level in levels]
        ess, rhat = (np.concatenate([part[kind] for part in parts]) for kind in ("ess", "rhat"))
        of_shared = np.concatenate([part["shared"] for part in parts])
        return policies.goals_of(ess, rhat, of_shared, diagnostics.rounds)

    def _record(self, reports: list[RoundReport]) -> None:
        """Hand the draws to the store, whose next commit makes them count."""
        for report in reports:
            for group, values in report.draws.items():
                self.store.append(report.shard, group, values)
        stored = sum(len(values["lp"]) for group, values in reports[0].draws.items() if group == "sample_stats")
        self.ledger = self.ledger._replace(draws=self.ledger.draws + stored)

    def _advance(self, plan: RoundPlan) -> None:
        rounds, sweeps = self.ledger.stages.get(plan.stage, (0, 0))
        ledger = self.ledger._replace(
            epoch=plan.epoch + 1,
            stage_round=plan.round + 1,
            sweeps=self.ledger.sweeps + plan.sweeps,
            stages={**self.ledger.stages, plan.stage: (rounds + 1, sweeps + plan.sweeps)},
        )
        if policies.settles(ledger, self.settings, self.dimension):
            # The next round is the first of its phase: absorb_moments then forgets all before it.
            ledger = ledger._replace(settled=ledger.stage_round)
        stage = policies.next_stage(ledger, self.settings, self.dimension)
        if stage != plan.stage:
            ledger = self._enter(stage, ledger)
            self.progress.stage(stage, STAGE_TEXT[stage])
        self.ledger = ledger

    def _enter(self, stage: str, ledger: Ledger) -> Ledger:
        """TuningState and books for the first round of a stage; entering `sample` freezes what was adapted."""
        before = self.controls
        self.controls = self._first_controls(stage)
        if stage == "sample":
            seen = summary.rate_of(ledger.rates, "interweave", len(self.spec.interweavings))
            useful = interweavings_to_keep(before, self.moments, seen, self.spec)
            ledger = ledger._replace(useful=tuple(bool(flag) for flag in useful))
        anew = stage == "equilibrate"
        self.controls = adaptation.carried(before, self.controls, self.moments, self.spec, anew=anew)
        self.moments = extended(self.moments, self.controls)
        books = LadderBooks(rows=ledger.ladder.rows)
        return ledger._replace(stage=stage, stage_round=0, settled=None, trace=(), rates={}, ladder=books)

    def _first_controls(self, stage: str) -> TuningState:
        temperatures = self.settings.shard.temperatures[: self.settings.shard.rungs(stage)]
        betas, replica_swap = 1 / np.asarray(temperatures), self.settings.shard.replica_swap
        controls = first_tuning(self.spec, betas, 1, replica_swap=replica_swap)
        if self._scouting(stage):
            controls = controls._replace(scout=scout_tuning(self.structure, self.settings.shard.scout))
        return controls

    def _scouting(self, stage: str) -> bool:
        """Whether a stage runs a scout kernel, and not the levels' own."""
        return stage == "scout" and scouts_by_name(self.settings.shard.scout)

    def _commit(self) -> None:
        """Draws so far and the state from which they go on, as one."""
        arrays = prefixed("controls", flatten(self.controls)) | prefixed("moments", flatten(self.moments))
        arrays |= prefixed("kept", self.kept) | prefixed("diagnostics", self._pack_diagnostics())
        checkpoint = Checkpoint(self.ledger.epoch, self.fleet.states(), arrays, self.ledger.to_json())
        self.store.commit(checkpoint, {**self.attributes, "summary": self._summary()})
        self.fleet.committed()

    def _pack_diagnostics(self) -> Arrays:
        """ess and rhat of every site in its own shape, for readers too."""
        found = self.diagnostics
        if found is None:
            return {}
        arrays = {"rounds": np.asarray(found.rounds)}
        for kind, values in (("ess", found.ess), ("rhat", found.rhat)):
            for level in (level for level in self.structure.levels if level.name in values):
                sites = level.scatter({}, jnp.asarray(values[level.name]))
                arrays.update({f"{kind}/{site}": np.asarray(array) for site, array in sites.items()})
        return arrays

    def _unpack_diagnostics(self, arrays: Arrays) -> Diagnostics | None:
        if not arrays:
            return None
        sites = ({name: jnp.asarray(array) for name, array in under(kind, arrays).items()} for kind in ("ess", "rhat"))
        levels = [level for level in self.structure.levels if f"ess/{level.sites[0]}" in arrays]
        kinds = ({level.name: np.asarray(level.gather(of)) for level in levels} for of in sites)
        return Diagnostics(int(arrays["rounds"]), *kinds)

    def _summary(self) -> dict[str, Any]:
        found = summary.summarise(self.ledger, self.diagnostics, self.spec, self.settings)
        workers = self.fleet.workers
        outside = summary.outside_kernels(self.ledger, workers)
        ladder = ladder_books.describe(self.ledger.ladder, self.controls.betas, self.settings.replicas)
        return {
            **found,
            "ladder": ladder,
            "workers": workers,
            "worker_peak_bytes": self.fleet.peak_memory(),
            "outside_kernels": outside,
        }

    def _now(self) -> tuple[float, float]:
        return self.clock(), time.process_time()

    def _tick(self, stage: str, reports: list[RoundReport]) -> None:
        """Count the seconds since the last tick; nothing but limits.minutes is decided by them."""
        now, (wall, core) = self._now(), self._ticked
        kernel, compiling = (sum(getattr(r, f"{kind}_seconds") for r in reports) for kind in ("kernel", "compile"))
        spent = {"wall": now[0] - wall, "core": now[1] - core, "kernel": kernel, "compile": compiling}
        if self.fleet.remote:
            spent["core"] += kernel + compiling
        self._ticked = now
        of_stages = self.ledger.stage_seconds
        self.ledger = self.ledger._replace(
            seconds={name: self.ledger.seconds[name] + value for name, value in spent.items()},
            stage_seconds={**of_stages, stage: of_stages.get(stage, 0.0) + spent["wall"]},
        )

    def _status(self, reports: list[RoundReport]) -> Status:
        return summary.status(self.ledger, reports, self.structure, self.settings)
