"""The runner of shards: a fixed-shape group of replicas, one superchain, advanced one round at a time."""

import importlib
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensemble import accumulators, audit
from ensemble.accumulators import Accumulators
from ensemble.compiled import Clock, Compiled
from ensemble.controls import Controls, first_controls, is_dense
from ensemble.errors import MaxwellError
from ensemble.flat import flatten, prefixed, under, unflatten
from ensemble.keys import replica_keys, stage_key
from ensemble.messages import Arrays, RoundPlan, RoundReport
from ensemble.scouts import make_scout, scout_controls
from ensemble.sweeps import Rungs, Sweeps, Tally
from kernels.state import State, evaluate, log_density
from kernels.structure import Interweaving, Structure
from kernels.target import Target

STARTS = 100
"""Starts tried for a superchain before its density is called hopeless."""


class StartError(MaxwellError):
    """No start with a finite density."""


class ShardSettings(NamedTuple):
    """What a runner must know: the same for every shard, and never the number of workers."""

    seed: int
    replicas: int
    temperatures: tuple[float, ...]
    tempered_stages: tuple[str, ...]
    repeats: int
    stored: int
    shared: tuple[str, ...]
    scout: dict[str, Any]

    def rungs(self, stage: str) -> int:
        """Rungs in use in a stage."""
        return len(self.temperatures) if stage in self.tempered_stages else 1


class Live(NamedTuple):
    """A shard in memory: the last finished round, the rungs' states, the accumulators."""

    epoch: int
    rungs: Rungs
    sums: Accumulators


class ShardRunner:
    """Runs rounds of any shard; all shards share the compiled programs."""

    def __init__(
        self,
        target: Target,
        structure: Structure,
        moves: tuple[Interweaving, ...],
        settings: ShardSettings,
        data: Any,
    ) -> None:
        self.target, self.structure, self.moves, self.settings = target, structure, moves, settings
        self.data = jax.tree.map(jnp.asarray, data)
        self.clock = Clock()
        self._live: dict[int, Live] = {}
        self._sweeps: dict[int, Sweeps] = {}
        self._rounds: dict[int, Compiled] = {}
        self._evaluate = Compiled(
            jax.vmap(lambda p, data: evaluate(target, structure, p, data), in_axes=(0, None)), self.clock
        )
        self._stale = Compiled(lambda states, data: audit.staleness(target, structure, states, data), self.clock)
        self._moments = Compiled(self._moments_of, self.clock)
        self._term_means = Compiled(lambda cells: {n: jnp.sum(x) / len(x) for n, x in cells.items()}, self.clock)
        self._constrain = Compiled(self._constrained, self.clock)
        self._start = Compiled(target.initial, self.clock)

    def initial(self, shard: int) -> Arrays:
        """The first of STARTS dispersed starts whose density is finite, the same for every replica of the shard."""
        for attempt in range(STARTS):
            key = jax.random.fold_in(stage_key(self.settings.seed, "initialise", attempt), shard)
            start = self._start(key, self.data)
            position = {name: jnp.repeat(x[None], self.settings.replicas, axis=0) for name, x in start.items()}
            state = self._evaluate(position, self.data)
            if all(bool(jnp.all(jnp.isfinite(cells))) for cells in state.cells.values()):
                return _pack(Live(-1, (state,), accumulators.empty()))
        wrong = sorted(name for name, cells in state.cells.items() if not bool(jnp.all(jnp.isfinite(cells))))
        raise StartError(
            f"the log density is not finite at any of {STARTS} starts of superchain {shard}: at the last one these "
            f"terms are NaN or infinite: {', '.join(wrong)}. Check these terms and the supports of their sites, or "
            "give the model starts inside the support."
        )

    def load(self, shard: int, epoch: int, state: Arrays) -> None:
        self._live[shard] = _unpack(epoch, state)

    def state(self, shard: int) -> Arrays:
        return _pack(self._live[shard])

    def run(self, shard: int, plan: RoundPlan) -> RoundReport:
        live = self._live[shard]
        if live.epoch != plan.epoch - 1:
            raise ValueError(f"shard {shard} stands at round {live.epoch}, it cannot run round {plan.epoch}")
        controls = self._controls(plan)
        sums = accumulators.empty() if plan.reset else live.sums
        if plan.stage == "scout":
            rungs, statistics = self._scout_round(shard, live.rungs, plan, controls)
        else:
            rungs, tally = self._exact_round(shard, live.rungs, plan, controls)
            statistics = _statistics(tally, condensed=plan.stage == "sample")
            if plan.stage == "sample":
                sums = accumulators.absorb(sums, *jax.tree.map(np.asarray, (tally.total, tally.square)))
        statistics["lp"] = np.asarray(jax.vmap(log_density)(rungs[0].cells))
        if plan.stage != "sample":
            statistics.update(prefixed("moments", flatten(self._moments(rungs, controls))))
            statistics.update(prefixed("term", flatten(self._term_means(rungs[0].cells))))
        if plan.report:
            statistics.update(prefixed("accumulated", accumulators.report(sums)))
            sums = accumulators.drained(sums)
        self._live[shard] = Live(plan.epoch, rungs, sums)
        draws = self._draws(shard, rungs[0], statistics, plan)
        return RoundReport(plan.epoch, shard, statistics, draws, *self.clock.read())

    def _controls(self, plan: RoundPlan) -> Controls:
        rungs = self.settings.rungs(plan.stage)
        betas = 1 / np.asarray(self.settings.temperatures[:rungs])
        template = first_controls(self.structure, betas, len(self.moves), plan.sweeps)
        if plan.stage == "scout":
            template = template._replace(scout=scout_controls(self.structure, self.settings.scout))
        return unflatten(template, plan.controls)

    def _keys(self, shard: int, plan: RoundPlan, rungs: int) -> jax.Array:
        """Keys [rungs, R]; replica numbers run over shards, then rungs, then replicas."""
        count = self.settings.replicas
        first = shard * len(self.settings.temperatures) * count
        return replica_keys(self.settings.seed, plan.stage, plan.round, first, rungs * count).reshape(rungs, count)

    @cached_property
    def _scout(self) -> Compiled:
        return Compiled(make_scout(self.target, self.structure, self.settings.scout), self.clock)

    def _scout_round(self, shard: int, rungs: Rungs, plan: RoundPlan, controls: Controls) -> tuple[Rungs, Arrays]:
        keys = self._keys(shard, plan, 1)[0]
        state, statistics = self._scout(rungs[0], keys, self.data, controls)
        # The scout's cells are those of its accepted points; what follows starts from terms computed anew.
        return (self._evaluate(state.position, self.data),), flatten(statistics)

    def _exact_round(self, shard: int, rungs: Rungs, plan: RoundPlan, controls: Controls) -> tuple[Rungs, Tally]:
        count = self.settings.rungs(plan.stage)
        rungs = self._with_hot(rungs, count, plan, controls)
        if count not in self._rounds:
            self._sweeps[count] = Sweeps(
                self.target,
                self.structure,
                self.moves,
                replicas=self.settings.replicas,
                rungs=count,
                repeats=self.settings.repeats,
            )
            self._rounds[count] = Compiled(self._sweeps[count].round, self.clock, donate=(0,))
        if plan.stage == "sample":
            self._sweeps[count].require_exact()
        rungs, tally = self._rounds[count](rungs, self._keys(shard, plan, count), self.data, controls)
        for states in rungs:
            audit.check(self._stale(states, self.data), self.structure, shard, plan.epoch)
        return rungs, tally

    def _with_hot(self, rungs: Rungs, count: int, plan: RoundPlan, controls: Controls) -> Rungs:
        """As many rungs as the stage has. Until the freeze, the hot replicas' other levels follow the ensemble's mean:
        the auxiliary target prod_b t_b(ghat, x_b)^beta, any fixed choice of which is exact."""
        if count == 1:
            return rungs[:1]
        hot = rungs[1] if len(rungs) > 1 else rungs[0]
        if plan.stage == "sample" and len(rungs) > 1:
            return rungs
        position = dict(hot.position)
        for level in self.structure.levels:
            if not level.leaf:
                mean = jnp.asarray(controls.levels[level.name][0].mean)
                fixed = level.scatter({name: x[0] for name, x in position.items()}, mean)
                position.update({n: jnp.broadcast_to(fixed[n], position[n].shape) for n in level.sites})
        return rungs[0], self._evaluate(position, self.data)

    def _moments_of(self, rungs: Rungs, controls: Controls) -> Any:
        """For each level and rung: sum [p, B] and outer products [p, p, B] (or squares) of x - the controls' mean."""
        moments: dict[str, Any] = {}
        for level in self.structure.levels:
            for rung, states in enumerate(rungs[: len(controls.levels[level.name])]):
                x = jax.vmap(level.gather)(states.position) - controls.levels[level.name][rung].mean
                outer = jnp.einsum("rib,rjb->ijb", x, x) if is_dense(level) else jnp.sum(x**2, axis=0)
                moments[f"{level.name}/{rung}"] = {"sum": jnp.sum(x, axis=0), "outer": outer}
        return moments

    def _constrained(self, position: Any, data: Any) -> Any:
        stored = {name: x[: self.settings.stored] for name, x in position.items()}
        values = jax.vmap(self.target.constrain, in_axes=(0, None))(stored, data)
        return {name: value.astype(jnp.float32) for name, value in values.items()}

    def _draws(self, shard: int, cold: State, statistics: Arrays, plan: RoundPlan) -> dict[str, Arrays]:
        warmup = plan.stage != "sample"
        if not (plan.record or warmup):
            return {}
        values = {name: np.asarray(x)[None] for name, x in self._constrain(cold.position, self.data).items()}
        count = self.settings.stored
        first = shard * self.settings.replicas
        stats = {
            "lp": statistics["lp"][None, :count],
            "replica": np.arange(first, first + count)[None],
            "acceptance_rate": np.full((1, count), acceptance(statistics, self.structure)),
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
    structure: Structure,
    moves: tuple[Interweaving, ...],
    settings: ShardSettings,
    data: Any,
) -> ShardRunner:
    """A runner from what can be sent to another machine. model_factory: "module:function" that makes the model of this
    name and keys, an object with a `target`."""
    module, _, function = model_factory.partition(":")
    model = getattr(importlib.import_module(module), function)(name, keys)
    return ShardRunner(model.target, structure, moves, settings, data)


def _statistics(tally: Tally, *, condensed: bool) -> Arrays:
    """The round's acceptance sums: whole for adaptation, [2] (sum, count) each once the controls are frozen."""
    rates = {"walk": tally.walk, "fitted": tally.fitted, "interweave": tally.interweave, "swap": tally.swap}
    if condensed:
        rates = jax.tree.map(jnp.sum, {**rates, "interweave": ()}) | {"interweave": tally.interweave}
    return flatten({**rates, "nonfinite": tally.nonfinite})


def acceptance(statistics: Arrays, structure: Structure) -> float:
    """Mean acceptance of the finest leaf level's moves at the cold rung: walk and fitted, or the scout's score."""
    level = next(level.name for level in reversed(structure.levels) if level.leaf)
    names = [n for kind in ("walk", "fitted", "score") if (n := f"{kind}/{level}/0") + "/0" in statistics]
    tried = sum(float(statistics[f"{name}/1"].sum()) for name in names)
    return sum(float(statistics[f"{name}/0"].sum()) for name in names) / tried


def _pack(live: Live) -> Arrays:
    rungs = {str(rung): {"position": s.position, "cells": s.cells} for rung, s in enumerate(live.rungs)}
    return prefixed("rung", flatten(rungs)) | prefixed("accumulators", accumulators.pack(live.sums))


def _unpack(epoch: int, arrays: Arrays) -> Live:
    rungs: list[State] = []
    while found := under(f"rung/{len(rungs)}", arrays):
        position, cells = under("position", found), under("cells", found)
        rungs.append(State(*({name: jnp.asarray(x) for name, x in part.items()} for part in (position, cells))))
    return Live(epoch, tuple(rungs), accumulators.unpack(under("accumulators", arrays)))
