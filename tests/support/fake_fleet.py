"""A fleet without a sampler, for tests of the coordinator: scripted results, and a state that remembers every plan."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ensemble.diagnostics import accumulators
from ensemble.diagnostics.accumulators import Accumulators
from ensemble.protocol.flat import prefixed
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult
from ensemble.protocol.statistics import AccumulatedSums, LevelRates, LevelSums, MomentSums, Rate, RoundStatistics
from tests.support.models.ensemble_models import GROUPS, REPLICAS, STORED, WIDTHS
from tests.support.statistics import one_rung, statistics_of

Script = Callable[[RoundPlan, RoundStatistics], RoundStatistics]
"""Changes of one shard's statistics, given the plan and what would be reported."""


def unchanged(plan: RoundPlan, statistics: RoundStatistics) -> RoundStatistics:
    """The script that changes nothing."""
    return statistics


def moments(rng: np.random.Generator, rungs: dict[str, int]) -> dict[str, tuple[LevelSums, ...]]:
    """Sums and outer products of REPLICAS standard normal states of every level and rung."""
    return {level: tuple(_level_moments(rng, level) for _ in range(count)) for level, count in rungs.items()}


def _level_moments(rng: np.random.Generator, level: str) -> LevelSums:
    x = rng.normal(size=(REPLICAS, *WIDTHS[level]))
    return LevelSums(MomentSums(x.sum(axis=0), np.einsum("rib,rjb->ijb", x, x)))


class FakeFleet:
    """Shards whose state x' = sin(1.1 x + noise(epoch, shard) + all numbers of the plan's tuning).

    Statistics depend on x, epoch and shard, so a coordinator that resumes differently by one bit is found out.
    plans, events: what was asked for; "commit" in events is the coordinator's word that the states are safe.
    """

    workers = 1
    remote = False

    def __init__(self, shards: int, script: Script = unchanged, fail_at: int | None = None) -> None:
        self.shards, self.script, self.fail_at = shards, script, fail_at
        self.plans: list[RoundPlan] = []
        self.events: list[Any] = []
        self.x: list[float] = []
        self.sums: list[Accumulators] = []

    def initialise(self, starts: list[Arrays] | None = None) -> None:
        self.events.append("initialise")
        self.x = [float(shard) for shard in range(self.shards)]
        self.sums = [accumulators.empty()] * self.shards

    def load(self, epoch: int, states: list[Arrays]) -> None:
        self.events.append(("load", epoch))
        self.x = [float(state["x"]) for state in states]
        self.sums = [accumulators.unpack({n[5:]: a for n, a in s.items() if n.startswith("sums/")}) for s in states]

    def run(self, plan: RoundPlan) -> list[RoundResult]:
        if plan.epoch == self.fail_at:
            raise ConnectionError("the cluster is gone")
        self.plans.append(plan)
        self.events.append(plan.epoch)
        return [self._run(shard, plan) for shard in range(self.shards)]

    def states(self) -> list[Arrays]:
        parts = zip(self.x, self.sums, strict=True)
        return [{"x": np.asarray(x)} | prefixed("sums", accumulators.pack(sums)) for x, sums in parts]

    def committed(self) -> None:
        self.events.append("commit")

    def peak_memory(self) -> list[int]:
        return [1000]

    def heed(self, stop_requested: Callable[[], bool]) -> None:
        self.events.append("heed")

    def close(self) -> None:
        self.events.append("close")

    def _run(self, shard: int, plan: RoundPlan) -> RoundResult:
        rng = np.random.default_rng([plan.epoch, shard])
        numbers = sum(float(np.sum(values)) for values in plan.tuning.values())
        self.x[shard] = float(np.sin(1.1 * self.x[shard] + rng.normal() + numbers))
        statistics = self.script(plan, self._statistics(shard, plan, rng))
        draws = self._draws(shard, plan)
        return RoundResult(plan.epoch, shard, statistics, draws, kernel_seconds=0.5, compile_seconds=0.25)

    def _statistics(self, shard: int, plan: RoundPlan, rng: np.random.Generator) -> RoundStatistics:
        rungs = {"global": 1, "g": len(plan.tuning["betas"])}
        statistics = statistics_of(
            lp=np.full(REPLICAS, -100.0) + 0.1 * self.x[shard],
            gradients=np.array([3.0, 2.0 * REPLICAS]),
            nonfinite=np.asarray(2 if plan.stage.scouts else 1),
        )
        if plan.stage.adapts:
            statistics = statistics._replace(term_means={"x": np.asarray(-1.0)})
        if plan.stage.scouts:
            score, walk = (
                Rate(np.full(GROUPS, 0.6 * REPLICAS), np.full(GROUPS, REPLICAS)),
                Rate(np.ones(1), np.full(1, 2.0)),
            )
            rates = {"g": one_rung(score=score), "global": one_rung(walk=walk)}
            return statistics._replace(rates=rates, moments=moments(rng, rungs))
        found = {level: (self._rates(shard, level, plan),) * count for level, count in rungs.items()}
        moves = Rate(np.array([6.0, 7.0]), np.full(2, 10.0))
        statistics = statistics._replace(rates=found, interweaving=moves)
        if plan.stage.adapts:
            return statistics._replace(moments=moments(rng, rungs))
        return statistics._replace(accumulated=self._accumulated(shard, plan, rng))

    def _rates(self, shard: int, level: str, plan: RoundPlan) -> LevelRates:
        """Of one rung: walks, and fitted proposals that are accepted twice as often."""
        shape = WIDTHS[level][1:] if plan.stage.adapts else ()
        walk, fitted = (Rate(np.full(shape, n + 0.1 * self.x[shard]), np.full(shape, 10.0)) for n in (4.0, 8.0))
        return LevelRates(walk, fitted)

    def _accumulated(self, shard: int, plan: RoundPlan, rng: np.random.Generator) -> AccumulatedSums | None:
        """Independent standard normal draws of every coordinate, summed as a shard would."""
        start = accumulators.empty() if plan.reset else self.sums[shard]
        x = {level: rng.normal(size=(plan.sweeps, REPLICAS, *shape)) for level, shape in WIDTHS.items()}
        totals = {level: values.sum(axis=0) for level, values in x.items()}
        squares = {level: (values**2).sum(axis=(0, 1)) for level, values in x.items()}
        self.sums[shard] = accumulators.absorb(start, totals, squares)
        if not plan.with_diagnostics:
            return None
        pooled = accumulators.pooled(self.sums[shard])
        self.sums[shard] = accumulators.drained(self.sums[shard])
        return pooled

    def _draws(self, shard: int, plan: RoundPlan) -> dict[str, Arrays]:
        lp = np.full((1, STORED), self.x[shard])
        if not plan.stage.records:
            return {"warmup_sample_stats": {"lp": lp}}
        return {"posterior": {"mu": lp}, "sample_stats": {"lp": lp}} if plan.record else {}
