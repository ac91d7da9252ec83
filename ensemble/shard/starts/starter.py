"""The first states of a superchain: at a dispersed start with a finite density, or at the start that is given."""

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.errors import MaxwellError
from ensemble.protocol.flat import under
from ensemble.protocol.plans import Arrays
from ensemble.protocol.stages import INITIALISE
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.shard.compiled import Clock, Compiled
from ensemble.shard.keys import stage_key
from ensemble.shard.settings import ShardSettings
from ensemble.shard.starts.blockwise import one_turn, turned
from ensemble.shard.starts.kinds import APPROXIMATIONS, descending, make_start, uniform_start
from ensemble.shard.sweeps.walkers import Rungs
from kernels.state import State, evaluate
from kernels.target import Target
from kernels.types import Position

STARTS = 100
"""Starts tried for a superchain before its density is called hopeless."""

OUTSIDE = 20
"""Draws of the prior without a finite density after which starts come from the box."""

FITS = 10
"""Starts tried where an approximation is fitted for each."""


class StartError(MaxwellError):
    """No start with a finite density."""


class Starter:
    """Draws the starts of superchains."""

    def __init__(self, target: Target, spec: SweepSpec, settings: ShardSettings, clock: Clock) -> None:
        self.target, self.structure, self.interweavings = target, spec.structure, spec.interweavings
        structure, self.settings, self.clock = spec.structure, settings, clock
        self._evaluate = Compiled(
            jax.vmap(lambda p, data: evaluate(target, structure, p, data), in_axes=(0, None)), clock
        )

    @cached_property
    def _start(self) -> Compiled:
        start = self.settings.start
        return Compiled(make_start(self.target, start.kind, start.radius, start.spread), self.clock)

    @cached_property
    def _in_box(self) -> Compiled:
        return Compiled(uniform_start(self.target, self.settings.start.radius), self.clock)

    @cached_property
    def _descend(self) -> Compiled:
        return Compiled(descending(self.target), self.clock)

    @cached_property
    def _turn(self) -> Compiled:
        return Compiled(one_turn(self.target, self.structure, self.interweavings), self.clock)

    def first(self, shard: int, data: Any, turn: int = 0) -> Rungs:
        """The first of some dispersed starts whose density is finite, the same for every replica of the shard. turn:
        how often it was drawn before."""
        tries = FITS if self.settings.start.kind in APPROXIMATIONS else STARTS
        for attempt in range(tries):
            key = jax.random.fold_in(stage_key(self.settings.seed, INITIALISE, turn * STARTS + attempt), shard)
            outside = self.settings.start.kind == "prior" and attempt >= OUTSIDE
            one = (self._in_box if outside else self._start)(key, data)
            if self.settings.start.descends:
                one = self._descend(one, data)
            # In NumPy: what JAX is asked for one by one it compiles one by one.
            position = {n: np.repeat(x[None], self.settings.replicas, axis=0) for n, x in jax.device_get(one).items()}
            state = self._evaluate(position, data)
            if not (wrong := _not_finite(state)):
                return (self._near_modes(key, one, data) or state,)
        raise StartError(
            f"the log density is not finite at any of {tries} starts of superchain {shard}: at the last one these "
            f"terms are NaN or infinite: {', '.join(wrong)}. Check these terms and the supports of their sites, or "
            "give the model starts inside the support (start.kind=given)."
        )

    def _near_modes(self, key: jax.Array, start: Position, data: Any) -> State | None:
        """The states of all replicas about the modes that blocks have from this start; None where that is not wanted,
        or leads to where the density is not finite."""
        if not self.settings.start.blockwise:
            return None
        found = turned(self._turn, jax.random.fold_in(key, 1), start, data, self.settings.replicas)
        state: State = self._evaluate({n: np.stack([np.asarray(one[n]) for one in found]) for n in found[0]}, data)
        return None if _not_finite(state) else state

    def given(self, shard: int, start: Arrays, data: Any) -> Rungs:
        """The states at a start that is given: rung/0/position/<site> [R, *shape], and so on for hotter rungs, of which
        there may be any number. It is not drawn again: StartError where its density is not finite."""
        rungs: list[State] = []
        while found := under(f"rung/{len(rungs)}/position", start):
            position = {name: jnp.asarray(found[name], jnp.float64) for name in self.target.sites}
            rungs.append(self._evaluate(position, data))
            if wrong := _not_finite(rungs[-1]):
                sites = sorted(set().union(*(self.structure.depends[name] for name in wrong)))
                raise StartError(
                    f"the log density is not finite at the start given for superchain {shard}: these terms are NaN or "
                    f"infinite: {', '.join(wrong)}. Give starts inside the support: look at their sites, "
                    f"{', '.join(sites)}. A given start is not drawn again."
                )
        return tuple(rungs)


def _not_finite(state: State) -> list[str]:
    """The terms that are NaN or infinite at a state of any replica."""
    return sorted(name for name, cells in jax.device_get(state.cells).items() if not np.isfinite(cells).all())
