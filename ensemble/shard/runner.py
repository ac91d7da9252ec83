"""The runner of shards: a fixed-shape group of replicas, one superchain, advanced one round at a time."""

import importlib
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.diagnostics import accumulators
from ensemble.diagnostics.accumulators import Accumulators
from ensemble.protocol.flat import flatten, prefixed, under, unflatten
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult
from ensemble.protocol.statistics import LadderSums, RoundStatistics
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.shard import audit
from ensemble.shard.calling_model import calling_model
from ensemble.shard.chain_sums import drawn, recorded
from ensemble.shard.compiled import Clock, Compiled, on_host
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.keys import LESSONS, for_purpose, relocation_key, replica_keys
from ensemble.shard.lessons import STEPS, lessons
from ensemble.shard.level_kernels.base import LevelKernel
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.moments import log_volume, shard_moments
from ensemble.shard.scouts import ScoutSums, make_scout, scout_tuning
from ensemble.shard.settings import ShardSettings
from ensemble.shard.starts.starter import Starter
from ensemble.shard.stragglers import relocated
from ensemble.shard.sweeps.kept import Kept, kept
from ensemble.shard.sweeps.rounds import Sweeps
from ensemble.shard.sweeps.tally import RoundTally
from ensemble.shard.sweeps.walkers import Rungs, RungWalkers, Walkers, first_walkers, restarted
from ensemble.shard.watch import Watch
from kernels.ladder.round_trips import RoundTrips
from kernels.state import LevelView, State, evaluate
from kernels.target import Target


class Live(NamedTuple):
    """A shard in memory.

    epoch: its last finished round.
    rungs: the states of each rung, cold first.
    sums: its accumulators.
    walkers: of each rung, where whole replicas change places.
    """

    epoch: int
    rungs: Rungs
    sums: Accumulators
    walkers: Walkers = ()


class ShardRunner:
    """Runs rounds of any shard; all shards share the compiled programs."""

    def __init__(
        self,
        target: Target,
        spec: SweepSpec,
        settings: ShardSettings,
        data: Any,
        name: str = "of the run",
    ) -> None:
        """name: of the model, for messages."""
        self.name = name
        self.target, self.spec, self.structure, self.settings = target, spec, spec.structure, settings
        self.data = jax.tree.map(jnp.asarray, data)
        likelihood = frozenset(name for name, kind in target.term_kinds.items() if kind == "likelihood")
        self.tempered = likelihood if settings.ladder.tempers == "likelihood" else None
        self._recorded = recorded(spec)
        self.clock = Clock()
        self._starter = Starter(target, spec, settings, self.clock)
        self._watch = Watch(self.structure, settings.replicas, self.clock)
        self._live: dict[int, Live] = {}
        self._sweeps: dict[int, Sweeps] = {}
        self._rounds: dict[int, Compiled] = {}
        self._evaluate = Compiled(
            jax.vmap(lambda p, data: evaluate(target, self.structure, p, data), in_axes=(0, None)), self.clock
        )
        self._stale = Compiled(self._audited, self.clock)
        self._moments = Compiled(self._seen, self.clock)
        self._lessons = Compiled(partial(lessons, self._levels()), self.clock)
        self._constrain = Compiled(self._constrained, self.clock)
        self._kept = Compiled(partial(kept, stored=settings.stored), self.clock)
        self._planned: tuple[int, TuningState] | None = None
        self._templates: dict[tuple[int, int, bool], TuningState] = {}

    def initial(self, shard: int, start: Arrays | None = None) -> Arrays:
        """The state at the start given (see `Starter.given`), or at one drawn. Raises StartError."""
        first = self._starter.first
        with calling_model(self.name):
            rungs = first(shard, self.data) if start is None else self._starter.given(shard, start, self.data)
        return _pack(Live(-1, rungs, accumulators.empty()))

    def _anew(self, shard: int, plan: RoundPlan) -> Rungs:
        """The states of a superchain that was lost."""
        if shard in plan.starts:
            return self._starter.given(shard, plan.starts[shard], self.data)
        return self._starter.first(shard, self.data, turn=1 + plan.epoch)

    def load(self, shard: int, epoch: int, state: Arrays) -> None:
        self._live[shard] = _unpack(epoch, state)

    def state(self, shard: int) -> Arrays:
        return _pack(self._live[shard])

    def run(self, shard: int, plan: RoundPlan) -> RoundResult:
        with calling_model(self.name):
            return self._run(shard, plan)

    def _run(self, shard: int, plan: RoundPlan) -> RoundResult:
        live = self._live[shard]
        if shard in plan.redraw:
            live = Live(live.epoch, self._anew(shard, plan), live.sums)
        if live.epoch != plan.epoch - 1:
            raise ValueError(f"shard {shard} stands at round {live.epoch}, it cannot run round {plan.epoch}")
        tuning = self._tuning(plan)
        sums, walkers = accumulators.empty() if plan.reset else live.sums, live.walkers[:1]
        if self.settings.runs_scout(plan.stage):
            rungs, statistics = self._scout_round(shard, live.rungs, plan, tuning)
            found = self._last(rungs, (), statistics)
        else:
            rungs, tally, walkers, found = self._exact_round(shard, live, plan, tuning)
            statistics = _statistics(tally, walkers, condensed=not plan.stage.adapts)
            if plan.stage.accumulates:
                sums = accumulators.absorb(sums, *jax.tree.map(np.asarray, (tally.total, tally.square)))
            if plan.floor is not None:
                rungs, count = self._relocated(shard, rungs, plan)
                statistics = statistics._replace(relocated=count)
                found = self._last(rungs, walkers, statistics)
        statistics = statistics._replace(lp=found.lp[-1])
        if plan.stage.adapts:
            statistics = self._with_moments(statistics, rungs, tuning)
            statistics = statistics._replace(whereabouts=self._watch.seen(rungs[0], shard, plan))
        if plan.teaches:
            statistics = self._with_lessons(statistics, rungs, self._keys(shard, plan, len(rungs)), tuning)
        if plan.with_diagnostics:
            statistics = statistics._replace(accumulated=accumulators.pooled(sums))
            sums = accumulators.drained(sums)
        self._live[shard] = Live(plan.epoch, rungs, sums, walkers)
        draws = self._draws(shard, found, plan)
        return RoundResult(plan.epoch, shard, statistics, draws, *self.clock.read())

    def _tuning(self, plan: RoundPlan) -> TuningState:
        """The plan's tuning on the device, unpacked once for all shards."""
        if self._planned is None or self._planned[0] != plan.epoch:
            kind = self.settings.rungs(plan.stage), plan.sweeps, self.settings.runs_scout(plan.stage)
            if kind not in self._templates:
                self._templates[kind] = self._template(*kind)
            self._planned = plan.epoch, jax.device_put(unflatten(self._templates[kind], plan.tuning))
        return self._planned[1]

    def _template(self, rungs: int, sweeps: int, scouts: bool) -> TuningState:
        """A tuning of the shapes that a plan's has."""
        betas = 1 / np.asarray(self.settings.ladder.temperatures[:rungs])
        template = first_tuning(self.spec, betas, sweeps, replica_swap=self.settings.swaps_replicas)
        return template._replace(scout=scout_tuning(self.structure, self.settings.scout)) if scouts else template

    def _keys(self, shard: int, plan: RoundPlan, rungs: int) -> jax.Array:
        """Keys [rungs, R]; replica numbers run over shards, then rungs, then replicas."""
        count = self.settings.replicas
        first = shard * len(self.settings.ladder.temperatures) * count
        return replica_keys(self.settings.seed, plan.stage, plan.round, first, (rungs, count))

    @cached_property
    def _scout(self) -> Compiled:
        return Compiled(make_scout(self.target, self.structure, self.settings.scout), self.clock)

    def _scout_round(
        self, shard: int, rungs: Rungs, plan: RoundPlan, tuning: TuningState
    ) -> tuple[Rungs, RoundStatistics]:
        keys = self._keys(shard, plan, 1)[0]
        state, sums = self._scout(rungs[0], keys, self.data, tuning)
        # The scout's cells are those of its accepted points; what follows starts from terms computed anew.
        return (self._evaluate(state.position, self.data),), _scouted(on_host(sums))

    def _exact_round(
        self, shard: int, live: Live, plan: RoundPlan, tuning: TuningState
    ) -> tuple[Rungs, RoundTally, Walkers, Kept]:
        count = self.settings.rungs(plan.stage)
        rungs = self._with_hot(live.rungs, count, plan, tuning)
        walkers = self._walkers(live.walkers, count, plan)
        if count not in self._rounds:
            self._sweeps[count] = Sweeps(
                self.target,
                self.spec,
                replicas=self.settings.replicas,
                rungs=count,
                repeats=self.settings.repeats,
                replica_swap=self.settings.swaps_replicas,
                tempered=self.tempered,
            )
            one_round = partial(
                self._sweeps[count].recorded_round, draws=self.settings.draws, stored=self.settings.stored
            )
            self._rounds[count] = Compiled(one_round, self.clock, donate=(0,))
        if plan.stage.must_be_exact:
            self._sweeps[count].require_exact()
        keys = self._keys(shard, plan, count)
        rungs, tally, walkers, found = self._rounds[count](rungs, keys, self.data, tuning, walkers)
        for stale in on_host(self._stale(rungs, self.data)):
            audit.check(stale, self.structure, shard, plan.epoch, self.target.single)
        # All that leaves the device at once: every transfer on its own takes longer than a small kernel.
        tally, found = on_host((tally, found))
        return rungs, tally, walkers, found

    def _audited(self, rungs: Rungs, data: Any) -> tuple[audit.Found, ...]:
        """How stale the cells of each rung are. A program of its own, lest cached terms be taken for fresh ones."""
        return tuple(audit.staleness(self.target, self.structure, states, data) for states in rungs)

    @cached_property
    def _relocate(self) -> Compiled:
        return Compiled(relocated, self.clock)

    def _relocated(self, shard: int, rungs: Rungs, plan: RoundPlan) -> tuple[Rungs, int]:
        """The replicas with their stragglers among the others, and the number of these."""
        key = relocation_key(self.settings.seed, plan.epoch, shard)
        behind, astray = self._watch.among(plan.behind, shard), self._watch.astray(rungs[0], shard, plan)
        states, count = self._relocate(key, rungs[0], np.asarray(plan.floor, np.float64), behind, astray)
        return (states,), int(count)

    def _walkers(self, walkers: Walkers, count: int, plan: RoundPlan) -> Walkers:
        """The walkers of so many rungs. Round trips are counted anew in each stage."""
        if not self.settings.swaps_replicas or count == 1:
            return walkers[:1]
        if len(walkers) != count:
            return first_walkers(count, self.settings.replicas)
        return restarted(walkers) if plan.round == 0 else walkers

    def _with_hot(self, rungs: Rungs, count: int, plan: RoundPlan, tuning: TuningState) -> Rungs:
        """As many rungs as the stage has; new ones begin as the hottest known. Until the freeze, where blocks are
        exchanged, the hot replicas' other levels follow the ensemble's mean: the auxiliary target
        prod_b t_b(ghat, x_b)^beta, any fixed choice of which is exact."""
        if count == 1 or (not plan.stage.adapts and len(rungs) == count):
            return rungs[:count]
        known = rungs[:count] + rungs[-1:] * (count - len(rungs))
        if self.settings.swaps_replicas:
            # Copies, for the round takes over the memory of its states.
            return known if len(rungs) >= count else tuple(jax.tree.map(jnp.copy, states) for states in known)
        return (rungs[0], *(self._auxiliary(hot, tuning) for hot in known[1:]))

    def _auxiliary(self, hot: State, tuning: TuningState) -> State:
        """The states with the levels that hot replicas do not move at the ensemble's mean."""
        position = dict(hot.position)
        for level in self.structure.levels:
            if not level.leaf:
                mean = jnp.asarray(tuning.levels[level.name][0].mean)
                fixed = level.scatter({name: x[0] for name, x in position.items()}, mean)
                position.update({n: jnp.broadcast_to(fixed[n], position[n].shape) for n in level.sites})
        state: State = self._evaluate(position, self.data)
        return state

    def _levels(self) -> tuple[tuple[LevelKernel, LevelView], ...]:
        return tuple(
            (kernel, LevelView(self.target, self.structure, kernel.level, self.tempered))
            for kernel in level_kernels(self.spec).values()
        )

    def _seen(self, rungs: Rungs, tuning: TuningState, data: Any) -> tuple[Any, ...]:
        """Moments by level and rung, mean of every term, log volume of the cold replicas."""
        means = {name: jnp.sum(cells) / len(cells) for name, cells in rungs[0].cells.items()}
        watched = {name: x for name, x in rungs[0].position.items() if name not in self.target.auxiliary}
        return shard_moments(self._levels(), rungs, tuning, data), means, log_volume(watched)

    def _with_moments(self, statistics: RoundStatistics, rungs: Rungs, tuning: TuningState) -> RoundStatistics:
        """The statistics with what adaptation is steered by."""
        moments, means, volume = on_host(self._moments(rungs, tuning, self.data))
        return statistics._replace(
            moments=moments,
            term_means=means,
            volume=volume,
            gradients=statistics.gradients + self._measured(len(rungs)),
        )

    def _with_lessons(
        self, statistics: RoundStatistics, rungs: Rungs, keys: jax.Array, tuning: TuningState
    ) -> RoundStatistics:
        """The statistics with examples for networks, and the gradients that they took."""
        found = on_host(self._lessons(rungs, for_purpose(keys, LESSONS), tuning, self.data))
        taken = sum(map(len, found.values())) * (STEPS + 1) * np.array([1.0, self.settings.replicas])
        return statistics._replace(lessons=found, gradients=statistics.gradients + taken)

    def _measured(self, rungs: int) -> np.ndarray:
        """Evaluations of the gradient for the moments: one after another, and over all replicas."""
        levels = sum(kernel.needs.gradient for kernel in level_kernels(self.spec).values())
        return levels * rungs * np.array([1.0, self.settings.replicas])

    def _constrained(self, position: Any, data: Any) -> Any:
        """The variables of a model at positions [draws, stored, ...]; the store narrows what it keeps in float32."""
        both = jax.vmap(jax.vmap(self.target.constrain, in_axes=(0, None)), in_axes=(0, None))
        return {name: value.astype(jnp.float64) for name, value in both(position, data).items()}

    def _last(self, rungs: Rungs, walkers: Walkers, statistics: RoundStatistics) -> Kept:
        """One draw of the states as they are, with what the whole round says of the chains."""
        last = self._kept(rungs[0], walkers, statistics.chains)
        return jax.tree.map(lambda values: values[None], on_host(last))  # type: ignore[no-any-return]

    def _draws(self, shard: int, found: Kept, plan: RoundPlan) -> dict[str, Arrays]:
        warmup = not plan.stage.records
        if not (plan.record or warmup):
            return {}
        if warmup:
            found = jax.tree.map(lambda values: values[-1:], found)
        values = on_host(self._constrain(found.position, self.data))
        count, draws = self.settings.stored, len(found.lp)
        numbers = np.arange(self.settings.replicas)[None].repeat(draws, 0) if found.numbers is None else found.numbers
        rungs = len(self.settings.ladder.temperatures) if self.settings.swaps_replicas else 1
        stats = {
            "lp": np.asarray(found.lp[:, :count]),
            "replica": shard * self.settings.replicas * rungs + np.asarray(numbers)[:, :count],
            **drawn(found.chains, count, self._recorded),
        }
        if not warmup:
            return {"posterior": values, "sample_stats": stats}
        shared = {name: values[name] for name in self.settings.shared if name in values}
        return {"warmup_posterior": shared, "warmup_sample_stats": stats} if shared else {"warmup_sample_stats": stats}


def build(
    *,
    model_factory: str,
    name: str,
    keys: dict[str, Any],
    spec: SweepSpec,
    settings: ShardSettings,
    data: Any,
) -> ShardRunner:
    """A runner from what can be sent to another machine. model_factory: "module:function" that makes the model of this
    name and keys, an object with a `target`."""
    module, _, function = model_factory.partition(":")
    with calling_model(name):
        model = getattr(importlib.import_module(module), function)(name, keys)
    return ShardRunner(model.target, spec, settings, data, name)


def _statistics(tally: RoundTally, walkers: Walkers, *, condensed: bool) -> RoundStatistics:
    """What a round of exact kernels says, but for `lp`: its acceptance by block for adaptation, summed over the blocks
    once the tuning is frozen. tally: in NumPy."""
    rates, swaps = tally.rates, tally.swaps
    if condensed:
        rates, swaps = jax.tree.map(np.sum, (rates, swaps))
    finished = [np.asarray(of_rung.trips.finished).sum() for of_rung in walkers]
    trips = np.sum(finished) if len(finished) > 1 else None
    ladder = LadderSums(tally.energy, tally.flow, tally.stones, trips) if swaps else None
    return RoundStatistics(
        lp=np.empty(0),
        nonfinite=tally.nonfinite,
        infinite={level: int(count) for level, count in tally.infinite.items() if count} or None,
        gradients=tally.gradients,
        rates=rates,
        interweaving=tally.interweaving,
        swaps=swaps,
        ladder=ladder,
        moments={},
        term_means={},
        chains=tally.chains,
        jumps=jax.tree.map(np.asarray, tally.jumps),
    )


def _scouted(sums: ScoutSums) -> RoundStatistics:
    """What a round of approximate kernels says, but for `lp`."""
    return RoundStatistics(
        lp=np.empty(0),
        nonfinite=sums.nonfinite,
        gradients=np.zeros(2),
        rates=sums.rates,
        interweaving=None,
        swaps={},
        ladder=None,
        moments={},
        term_means={},
        chains=sums.chains,
    )


def _pack(live: Live) -> Arrays:
    rungs = {str(rung): {"position": s.position, "cells": s.cells} for rung, s in enumerate(live.rungs)}
    walkers = flatten({str(rung): of_rung for rung, of_rung in enumerate(live.walkers)})
    parts = {"rung": flatten(rungs), "accumulators": accumulators.pack(live.sums), "walkers": walkers}
    return {name: array for part, arrays in parts.items() for name, array in prefixed(part, arrays).items()}


def _unpack(epoch: int, arrays: Arrays) -> Live:
    rungs: list[State] = []
    while found := under(f"rung/{len(rungs)}", arrays):
        position, cells = under("position", found), under("cells", found)
        rungs.append(State(*({name: jnp.asarray(x) for name, x in part.items()} for part in (position, cells))))
    walkers: list[RungWalkers] = []
    while found := under(f"walkers/{len(walkers)}", arrays):
        trips = RoundTrips(jnp.asarray(found["trips/origin"]), jnp.asarray(found["trips/finished"]))
        walkers.append(RungWalkers(jnp.asarray(found["number"]), trips))
    return Live(epoch, tuple(rungs), accumulators.unpack(under("accumulators", arrays)), tuple(walkers))
