"""The exact sweep of a shard: every level's moves, interweaving and block swaps, compiled once for all rounds."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensemble.controls import Controls, level_rungs, metropolis_controls
from ensemble.errors import MaxwellError
from kernels import block_swap, interweaving
from kernels.batching import over_replicas
from kernels.block_swap import BlockSwap
from kernels.interweaving import Interweave
from kernels.metropolis import Metropolis
from kernels.state import Info, LevelView, State
from kernels.structure import Interweaving, Structure
from kernels.target import Target
from kernels.types import Data

Rungs = tuple[State, ...]
"""The states of a shard: for each rung (cold first) a State whose arrays have a leading axis of replicas."""


class ApproximateKernelError(MaxwellError):
    """A kernel without a known invariant law was about to make draws that count."""


class Tally(NamedTuple):
    """Sums over the sweeps of a round and the replicas of a shard.

    walk, fitted: {level: for each rung ([B] sum of acceptance probabilities, [B] how often)}; interweave: the same,
    [moves]; swap: {leaf level: ([B], [B])}; total: {level: [R, p, B]} and square: {level: [p, B]} of the cold
    replicas' coordinates about the controls' mean; nonfinite: proposals rejected for a non-finite density.
    """

    walk: dict[str, Any]
    fitted: dict[str, Any]
    interweave: tuple[jax.Array, jax.Array]
    swap: dict[str, tuple[jax.Array, jax.Array]]
    total: dict[str, jax.Array]
    square: dict[str, jax.Array]
    nonfinite: jax.Array


class Sweeps:
    """Rounds of exact sweeps for a shard of `replicas` replicas a rung on `rungs` rungs."""

    def __init__(
        self,
        target: Target,
        structure: Structure,
        moves: tuple[Interweaving, ...],
        *,
        replicas: int,
        rungs: int,
        repeats: int,
    ) -> None:
        if rungs not in (1, 2):
            raise ValueError(f"{rungs} rungs were given; allowed are 1 (no tempering) and 2 (cold and hot)")
        self.structure, self.replicas, self.rungs, self.repeats = structure, replicas, rungs, repeats
        self.views = {level.name: LevelView(target, structure, level) for level in structure.levels}
        self.kernels = {name: Metropolis(view) for name, view in self.views.items()}
        self.moves = len(moves)
        self.interweave = Interweave(target, structure, moves)
        self.swaps = {n: BlockSwap(v) for n, v in self.views.items() if v.level.leaf and rungs > 1}
        self._batched = partial(over_replicas, coordinates=target.dimension)
        # Fine levels first: the parents then see children that have just moved.
        self.order = tuple(reversed(structure.levels))

    def require_exact(self) -> None:
        """Raise ApproximateKernelError where a kernel is approximate: for stage `sample`, whose draws count."""
        kernels: list[Metropolis | Interweave | BlockSwap] = [*self.kernels.values(), self.interweave]
        for kernel in [*kernels, *self.swaps.values()]:
            if not kernel.exact:
                raise ApproximateKernelError(
                    f"the kernel {type(kernel).__name__} is approximate and was given to stage `sample`, which records "
                    "draws: only exact kernels may run there. Use it in stage `scout`, and to sample an exact kernel, "
                    "such as Metropolis or one that accepts by the true density."
                )

    def round(self, states: Rungs, keys: jax.Array, data: Data, controls: Controls) -> tuple[Rungs, Tally]:
        """As many sweeps as controls.schedule has entries. keys: one for each rung and replica, [rungs, R]."""

        def body(carry: tuple[Rungs, Tally], sweep: tuple[jax.Array, jax.Array]) -> tuple[tuple[Rungs, Tally], None]:
            index, move = sweep
            fresh = jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, index)))(keys)
            return self._sweep(*carry, fresh, move, data, controls), None

        count = controls.schedule.shape[0]
        start = states, self._empty(controls)
        (states, tally), _ = jax.lax.scan(body, start, (jnp.arange(count), jnp.asarray(controls.schedule)))
        return states, tally

    def _sweep(
        self, states: Rungs, tally: Tally, keys: jax.Array, move: jax.Array, data: Data, controls: Controls
    ) -> tuple[Rungs, Tally]:
        purpose = 0
        for level in self.order:
            update = partial(self._level, name=level.name, data=data, controls=controls)
            fresh = _purpose(keys, purpose)
            states, tally = update(states, tally, fresh) if level.leaf else self._repeated(update, states, tally, fresh)
            purpose += 1
        if self.moves:
            states, tally = self._interweave(states, tally, _purpose(keys, purpose)[0], move, data, controls)
        for name in self.swaps:
            purpose += 1
            states, tally = self._swap(states, tally, name, _purpose(keys, purpose)[0], data, controls)
        return states, self._absorb(states[0], tally, controls)

    def _repeated(
        self, update: Callable[..., tuple[Rungs, Tally]], states: Rungs, tally: Tally, keys: jax.Array
    ) -> tuple[Rungs, Tally]:
        """Several updates of a level that is cheap against the leaves; a loop, so that it is compiled once."""

        def body(repeat: jax.Array, carry: tuple[Rungs, Tally]) -> tuple[Rungs, Tally]:
            return update(*carry, _purpose(keys, repeat))

        return jax.lax.fori_loop(0, self.repeats, body, (states, tally))

    def _level(
        self, states: Rungs, tally: Tally, keys: jax.Array, *, name: str, data: Data, controls: Controls
    ) -> tuple[Rungs, Tally]:
        step, moved = self.kernels[name].step, list(states)
        walk, fitted, nonfinite = list(tally.walk[name]), list(tally.fitted[name]), tally.nonfinite
        for rung in range(len(controls.levels[name])):
            kernel_controls = metropolis_controls(controls, name, rung)
            batched = self._batched(lambda key, state, c=kernel_controls: step(key, state, data, c))
            moved[rung], info = batched(keys[rung], states[rung])
            walk[rung] = _add(walk[rung], info.walk)
            fitted[rung] = _add(fitted[rung], info.fitted)
            nonfinite = nonfinite + jnp.sum(info.nonfinite)
        tally = tally._replace(
            walk={**tally.walk, name: tuple(walk)}, fitted={**tally.fitted, name: tuple(fitted)}, nonfinite=nonfinite
        )
        return tuple(moved), tally

    def _interweave(
        self, states: Rungs, tally: Tally, keys: jax.Array, move: jax.Array, data: Data, controls: Controls
    ) -> tuple[Rungs, Tally]:
        """The scheduled move on the cold replicas; the index past the last move does nothing."""
        which = jnp.minimum(move, self.moves - 1)
        chosen = interweaving.Controls(which, controls.interweave[which])
        step = self._batched(lambda key, state: self.interweave.step(key, state, data, chosen))
        nothing = Info(jnp.zeros(self.replicas), jnp.zeros(self.replicas, jnp.int64))
        cold, info = jax.lax.cond(
            move < self.moves, lambda cold: step(keys, cold), lambda cold: (cold, nothing), states[0]
        )
        here = jnp.arange(self.moves) == move
        sums = _add(tally.interweave, (jnp.outer(info.accepted, here), jnp.tile(here, (self.replicas, 1))))
        tally = tally._replace(interweave=sums, nonfinite=tally.nonfinite + jnp.sum(info.nonfinite))
        return (cold, *states[1:]), tally

    def _swap(
        self, states: Rungs, tally: Tally, name: str, keys: jax.Array, data: Data, controls: Controls
    ) -> tuple[Rungs, Tally]:
        """Every cold replica with a randomly chosen hot one of its shard (which is its superchain)."""
        order_key, swap_keys = jax.random.fold_in(keys[0], 0), jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
        order = jax.random.permutation(order_key, self.replicas)
        # Hot walkers are exchangeable and not stored, so they may stay in the new order.
        hot = jax.tree.map(lambda array: array[order], states[1])
        betas = block_swap.Controls(controls.betas[0], controls.betas[1])
        step = self._batched(lambda key, pair: self.swaps[name].step(key, pair, data, betas))
        (cold, hot), info = step(swap_keys, (states[0], hot))
        accepted = (tally.swap[name][0] + jnp.sum(info.accepted, axis=0), tally.swap[name][1] + self.replicas)
        tally = tally._replace(swap={**tally.swap, name: accepted}, nonfinite=tally.nonfinite + jnp.sum(info.nonfinite))
        return (cold, hot), tally

    def _absorb(self, cold: State, tally: Tally, controls: Controls) -> Tally:
        total, square = dict(tally.total), dict(tally.square)
        for name, view in self.views.items():
            offset = jax.vmap(view.blocks)(cold.position) - controls.levels[name][0].mean
            total[name] = total[name] + offset
            square[name] = square[name] + jnp.sum(offset**2, axis=0)
        return tally._replace(total=total, square=square)

    def _empty(self, controls: Controls) -> Tally:
        def pairs(shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
            return jnp.zeros(shape), jnp.zeros(shape)

        levels = self.structure.levels
        empty = {
            level.name: tuple(pairs((level.n_blocks,)) for _ in range(level_rungs(level, self.rungs)))
            for level in levels
        }
        return Tally(
            walk=empty,
            fitted=empty,
            interweave=pairs((self.moves,)),
            swap={name: pairs((self.views[name].level.n_blocks,)) for name in self.swaps},
            total={level.name: jnp.zeros((self.replicas, level.width, level.n_blocks)) for level in levels},
            square={level.name: jnp.zeros((level.width, level.n_blocks)) for level in levels},
            nonfinite=jnp.zeros((), jnp.int64),
        )


def _purpose(keys: jax.Array, purpose: int | jax.Array) -> jax.Array:
    return jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, purpose)))(keys)


def _add(sums: tuple[jax.Array, jax.Array], new: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Add per-replica values [R, B] to sums [B]."""
    return sums[0] + jnp.sum(new[0], axis=0), sums[1] + jnp.sum(new[1], axis=0)
