"""The runner of shards: a fixed-shape group of replicas, one superchain, advanced one round at a time."""

import importlib
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.diagnostics import accumulators
from ensemble.diagnostics.accumulators import Accumulators
from ensemble.errors import MaxwellError
from ensemble.protocol.flat import flatten, prefixed, under, unflatten
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult
from ensemble.protocol.stages import INITIALISE
from ensemble.protocol.statistics import LadderSums, RoundStatistics
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.shard import audit
from ensemble.shard.chain_sums import drawn, recorded
from ensemble.shard.compiled import Clock, Compiled
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.keys import relocation_key, replica_keys, stage_key
from ensemble.shard.level_kernels.base import LevelKernel
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.moments import shard_moments
from ensemble.shard.scouts import ScoutSums, make_scout, scout_tuning
from ensemble.shard.settings import ShardSettings
from ensemble.shard.starts import APPROXIMATIONS, make_start
from ensemble.shard.stragglers import relocated
from ensemble.shard.sweeps import RoundTally, Sweeps
from ensemble.shard.walkers import Rungs, RungWalkers, Walkers, first_walkers, restarted
from kernels.ladder.round_trips import RoundTrips
from kernels.state import LevelView, State, evaluate, log_density
from kernels.target import Target

STARTS = 100
"""Starts tried for a superchain before its density is called hopeless."""

FITS = 10
"""The same for starts that an approximation is fitted for."""


class StartError(MaxwellError):
    """No start with a finite density."""


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
    ) -> None:
        self.target, self.spec, self.structure, self.settings = target, spec, spec.structure, settings
        self.data = jax.tree.map(jnp.asarray, data)
        likelihood = frozenset(name for name, kind in target.term_kinds.items() if kind == "likelihood")
        self.tempered = likelihood if settings.ladder.tempers == "likelihood" else None
        self._recorded = recorded(spec)
        self.clock = Clock()
        self._live: dict[int, Live] = {}
        self._sweeps: dict[int, Sweeps] = {}
        self._rounds: dict[int, Compiled] = {}
        self._evaluate = Compiled(
            jax.vmap(lambda p, data: evaluate(target, self.structure, p, data), in_axes=(0, None)), self.clock
        )
        self._stale = Compiled(lambda states, data: audit.staleness(target, self.structure, states, data), self.clock)
        self._moments = Compiled(partial(shard_moments, self._levels()), self.clock)
        self._term_means = Compiled(lambda cells: {n: jnp.sum(x) / len(x) for n, x in cells.items()}, self.clock)
        self._constrain = Compiled(self._constrained, self.clock)

    @cached_property
    def _start(self) -> Compiled:
        made = make_start(self.target, *self.settings.start)
        return Compiled(made, self.clock)

    def initial(self, shard: int, start: Arrays | None = None) -> Arrays:
        """The state at the start given, or at the first of some dispersed starts whose density is finite, the same for
        every replica of the shard.

        start: rung/0/position/<site> [R, *shape], and so on for hotter rungs, of which there may be any number. It is
        not drawn again: StartError where its density is not finite.
        """
        if start is not None:
            return self._given(shard, start)
        tries = FITS if self.settings.start.kind in APPROXIMATIONS else STARTS
        for attempt in range(tries):
            key = jax.random.fold_in(stage_key(self.settings.seed, INITIALISE, attempt), shard)
            one = self._start(key, self.data)
            position = {name: jnp.repeat(x[None], self.settings.replicas, axis=0) for name, x in one.items()}
            state = self._evaluate(position, self.data)
            if not (wrong := _not_finite(state)):
                return _pack(Live(-1, (state,), accumulators.empty()))
        raise StartError(
            f"the log density is not finite at any of {tries} starts of superchain {shard}: at the last one these "
            f"terms are NaN or infinite: {', '.join(wrong)}. Check these terms and the supports of their sites, or "
            "give the model starts inside the support (start.kind=given)."
        )

    def _given(self, shard: int, start: Arrays) -> Arrays:
        """The state at a start that is given."""
        rungs: list[State] = []
        while found := under(f"rung/{len(rungs)}/position", start):
            position = {name: jnp.asarray(found[name], jnp.float64) for name in self.target.sites}
            rungs.append(self._evaluate(position, self.data))
            if wrong := _not_finite(rungs[-1]):
                sites = sorted(set().union(*(self.structure.depends[name] for name in wrong)))
                raise StartError(
                    f"the log density is not finite at the start given for superchain {shard}: these terms are NaN or "
                    f"infinite: {', '.join(wrong)}. Give starts inside the support: look at their sites, "
                    f"{', '.join(sites)}. A given start is not drawn again."
                )
        return _pack(Live(-1, tuple(rungs), accumulators.empty()))

    def load(self, shard: int, epoch: int, state: Arrays) -> None:
        self._live[shard] = _unpack(epoch, state)

    def state(self, shard: int) -> Arrays:
        return _pack(self._live[shard])

    def run(self, shard: int, plan: RoundPlan) -> RoundResult:
        live = self._live[shard]
        if live.epoch != plan.epoch - 1:
            raise ValueError(f"shard {shard} stands at round {live.epoch}, it cannot run round {plan.epoch}")
        tuning = self._tuning(plan)
        sums, walkers = accumulators.empty() if plan.reset else live.sums, live.walkers[:1]
        if self.settings.runs_scout(plan.stage):
            rungs, statistics = self._scout_round(shard, live.rungs, plan, tuning)
        else:
            rungs, tally, walkers = self._exact_round(shard, live, plan, tuning)
            statistics = _statistics(tally, walkers, condensed=not plan.stage.adapts)
            if plan.stage.accumulates:
                sums = accumulators.absorb(sums, *jax.tree.map(np.asarray, (tally.total, tally.square)))
            if plan.stage.relocates and len(rungs) == 1:
                rungs, count = self._relocated(shard, rungs, plan)
                statistics = statistics._replace(relocated=count)
        statistics = statistics._replace(lp=np.asarray(jax.vmap(log_density)(rungs[0].cells)))
        if plan.stage.adapts:
            statistics = self._with_moments(statistics, rungs, tuning)
        if plan.with_diagnostics:
            statistics = statistics._replace(accumulated=accumulators.pooled(sums))
            sums = accumulators.drained(sums)
        self._live[shard] = Live(plan.epoch, rungs, sums, walkers)
        draws = self._draws(shard, rungs[0], walkers, statistics, plan)
        return RoundResult(plan.epoch, shard, statistics, draws, *self.clock.read())

    def _tuning(self, plan: RoundPlan) -> TuningState:
        rungs = self.settings.rungs(plan.stage)
        betas = 1 / np.asarray(self.settings.ladder.temperatures[:rungs])
        template = first_tuning(self.spec, betas, plan.sweeps, replica_swap=self.settings.swaps_replicas)
        if self.settings.runs_scout(plan.stage):
            template = template._replace(scout=scout_tuning(self.structure, self.settings.scout))
        return unflatten(template, plan.tuning)

    def _keys(self, shard: int, plan: RoundPlan, rungs: int) -> jax.Array:
        """Keys [rungs, R]; replica numbers run over shards, then rungs, then replicas."""
        count = self.settings.replicas
        first = shard * len(self.settings.ladder.temperatures) * count
        return replica_keys(self.settings.seed, plan.stage, plan.round, first, rungs * count).reshape(rungs, count)

    @cached_property
    def _scout(self) -> Compiled:
        return Compiled(make_scout(self.target, self.structure, self.settings.scout), self.clock)

    def _scout_round(
        self, shard: int, rungs: Rungs, plan: RoundPlan, tuning: TuningState
    ) -> tuple[Rungs, RoundStatistics]:
        keys = self._keys(shard, plan, 1)[0]
        state, sums = self._scout(rungs[0], keys, self.data, tuning)
        # The scout's cells are those of its accepted points; what follows starts from terms computed anew.
        return (self._evaluate(state.position, self.data),), _scouted(jax.tree.map(np.asarray, sums))

    def _exact_round(
        self, shard: int, live: Live, plan: RoundPlan, tuning: TuningState
    ) -> tuple[Rungs, RoundTally, Walkers]:
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
            self._rounds[count] = Compiled(self._sweeps[count].round, self.clock, donate=(0,))
        if plan.stage.must_be_exact:
            self._sweeps[count].require_exact()
        keys = self._keys(shard, plan, count)
        rungs, tally, walkers = self._rounds[count](rungs, keys, self.data, tuning, walkers)
        for states in rungs:
            audit.check(self._stale(states, self.data), self.structure, shard, plan.epoch, self.target.single)
        return rungs, tally, walkers

    @cached_property
    def _relocate(self) -> Compiled:
        furthest, dimension = self.settings.scout["furthest"], self.target.dimension
        return Compiled(lambda key, states: relocated(key, states, furthest, dimension), self.clock)

    def _relocated(self, shard: int, rungs: Rungs, plan: RoundPlan) -> tuple[Rungs, int]:
        """The replicas with their stragglers among the others, and the number of these."""
        states, count = self._relocate(relocation_key(self.settings.seed, plan.round, shard), rungs[0])
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

    def _with_moments(self, statistics: RoundStatistics, rungs: Rungs, tuning: TuningState) -> RoundStatistics:
        """The statistics with what adaptation is steered by."""
        moments, means = self._moments(rungs, tuning, self.data), self._term_means(rungs[0].cells)
        return statistics._replace(
            moments=jax.tree.map(np.asarray, moments),
            term_means=jax.tree.map(np.asarray, means),
            gradients=statistics.gradients + self._measured(len(rungs)),
        )

    def _measured(self, rungs: int) -> np.ndarray:
        """Evaluations of the gradient for the moments: one after another, and over all replicas."""
        levels = sum(kernel.needs.gradient for kernel in level_kernels(self.spec).values())
        return levels * rungs * np.array([1.0, self.settings.replicas])

    def _constrained(self, position: Any, data: Any) -> Any:
        stored = {name: x[: self.settings.stored] for name, x in position.items()}
        values = jax.vmap(self.target.constrain, in_axes=(0, None))(stored, data)
        return {name: value.astype(jnp.float32) for name, value in values.items()}

    def _draws(
        self, shard: int, cold: State, walkers: Walkers, statistics: RoundStatistics, plan: RoundPlan
    ) -> dict[str, Arrays]:
        warmup = not plan.stage.records
        if not (plan.record or warmup):
            return {}
        values = {name: np.asarray(x)[None] for name, x in self._constrain(cold.position, self.data).items()}
        count = self.settings.stored
        numbers = np.asarray(walkers[0].number) if walkers else np.arange(self.settings.replicas)
        rungs = len(self.settings.ladder.temperatures) if self.settings.swaps_replicas else 1
        first = shard * self.settings.replicas * rungs
        stats = {
            "lp": np.asarray(statistics.lp)[None, :count],
            "replica": first + numbers[None, :count],
            **drawn(statistics.chains, count, self._recorded),
        }
        if not warmup:
            return {"posterior": values, "sample_stats": stats}
        shared = {name: values[name] for name in self.settings.shared}
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
    model = getattr(importlib.import_module(module), function)(name, keys)
    return ShardRunner(model.target, spec, settings, data)


def _statistics(tally: RoundTally, walkers: Walkers, *, condensed: bool) -> RoundStatistics:
    """What a round of exact kernels says, but for `lp`: its acceptance by block for adaptation, summed over the blocks
    once the tuning is frozen."""
    rates, swaps = tally.rates, tally.swaps
    if condensed:
        rates, swaps = jax.tree.map(jnp.sum, (rates, swaps))
    finished = [np.asarray(of_rung.trips.finished).sum() for of_rung in walkers]
    trips = np.sum(finished) if len(finished) > 1 else None
    ladder = LadderSums(tally.energy, tally.flow, tally.stones, trips) if swaps else None
    found = RoundStatistics(
        lp=np.empty(0),
        nonfinite=tally.nonfinite,
        gradients=tally.gradients,
        rates=rates,
        interweaving=tally.interweaving,
        swaps=swaps,
        ladder=ladder,
        moments={},
        term_means={},
        chains=tally.chains,
    )
    arrays: RoundStatistics = jax.tree.map(np.asarray, found)
    return arrays


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


def _not_finite(state: State) -> list[str]:
    """The terms that are NaN or infinite at a state of any replica."""
    return sorted(name for name, cells in state.cells.items() if not bool(jnp.all(jnp.isfinite(cells))))


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
