"""The swaps of a sweep: blocks or whole replicas of neighbouring rungs change places, and what that tells."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp

from ensemble.protocol.statistics import REPLICA_SWAP, Rate
from ensemble.protocol.tuning import TuningState
from ensemble.shard.keys import for_purpose
from ensemble.shard.sweeps.tally import RoundTally, added, never
from ensemble.shard.sweeps.walkers import Rungs, Walkers, energies, exchange
from kernels.ladder import evidence
from kernels.state import LevelView, log_density
from kernels.transitions.block_swap import BlockSwap, BlockSwapParameters
from kernels.types import Data


class LadderSwaps:
    """Swaps between `rungs` rungs of `replicas` replicas each."""

    def __init__(
        self,
        views: Mapping[str, LevelView],
        *,
        replicas: int,
        rungs: int,
        replica_swap: bool,
        tempered: frozenset[str] | None,
    ) -> None:
        """views: of the levels, the leaves of which change places block by block unless whole replicas do. tempered:
        the terms that beta multiplies, all for None."""
        self.views, self.replicas, self.rungs = views, replicas, rungs
        self.replica_swap, self.tempered = replica_swap, tempered
        blocks = rungs > 1 and not replica_swap
        self.block_swaps = {name: BlockSwap(view) for name, view in views.items() if view.level.leaf and blocks}

    @property
    def gives_evidence(self) -> bool:
        """Whether the log evidence comes of the ladder."""
        return self.replica_swap and self.tempered is not None and self.rungs > 1

    def none_yet(self) -> dict[str, tuple[Rate, ...]]:
        """What RoundTally.swaps is before the first."""
        shapes: dict[str, tuple[int, ...]] = {name: (self.views[name].level.n_blocks,) for name in self.block_swaps}
        if self.replica_swap:
            shapes = {REPLICA_SWAP: ()}
        return {name: (never(shape),) * (self.rungs - 1) for name, shape in shapes.items()}

    def along_the_ladder(
        self,
        states: Rungs,
        tally: RoundTally,
        walkers: Walkers,
        keys: jax.Array,
        *,
        purpose: int,
        parity: jax.Array,
        data: Data,
        tuning: TuningState,
    ) -> tuple[Rungs, RoundTally, Walkers]:
        """Swaps along the ladder, and what it tells. Two rungs that exchange blocks do so in every sweep, others by
        even and odd pairs."""
        before = cold_density(states)
        if self.replica_swap:
            states, tally, walkers = self._replicas(
                states, tally, walkers, for_purpose(keys, purpose + 1), parity, tuning
            )
        for name in self.block_swaps:
            purpose += 1
            pairs = partial(self._blocks, name=name, keys=for_purpose(keys, purpose), data=data, tuning=tuning)
            if self.rungs == 2:
                states, tally = pairs(states, tally, first=0)
            else:
                even, odd = partial(pairs, first=0), partial(pairs, first=1)
                states, tally = jax.lax.cond(parity == 0, even, odd, states, tally)
        found = energies(states, self.tempered)
        tally = tally._replace(
            energy=tally.energy + jnp.sum(found, axis=1), flow=tally.flow + cold_density(states) - before
        )
        if tally.stones is not None:
            stones = evidence.absorb(tally.stones, jnp.asarray(tuning.betas), found)
            tally = tally._replace(stones=stones)
        return states, tally, walkers

    def _replicas(
        self,
        states: Rungs,
        tally: RoundTally,
        walkers: Walkers,
        keys: jax.Array,
        parity: jax.Array,
        tuning: TuningState,
    ) -> tuple[Rungs, RoundTally, Walkers]:
        """Whole replicas of neighbouring rungs change places."""
        betas = jnp.asarray(tuning.betas)
        states, walkers, swaps = exchange(keys[0], states, walkers, parity, betas, self.tempered)
        sums = jnp.sum(swaps.acceptance_probability, axis=0), jnp.sum(swaps.tried, axis=0)
        seen = tuple(
            added(before, Rate(sums[0][rung], sums[1][rung])) for rung, before in enumerate(tally.swaps[REPLICA_SWAP])
        )
        tally = tally._replace(swaps={REPLICA_SWAP: seen}, nonfinite=tally.nonfinite + jnp.sum(swaps.nonfinite))
        return states, tally, walkers

    def _blocks(
        self,
        states: Rungs,
        tally: RoundTally,
        *,
        first: int,
        name: str,
        keys: jax.Array,
        data: Data,
        tuning: TuningState,
    ) -> tuple[Rungs, RoundTally]:
        """Blocks of the level change places between the rungs first and first + 1, first + 2 and first + 3, ..."""
        for cold in range(first, self.rungs - 1, 2):
            swap = partial(self._swap, cold=cold, level=name, keys=keys[cold])
            states, tally = swap(states, tally, data=data, tuning=tuning)
        return states, tally

    def _swap(
        self,
        states: Rungs,
        tally: RoundTally,
        *,
        cold: int,
        level: str,
        keys: jax.Array,
        data: Data,
        tuning: TuningState,
    ) -> tuple[Rungs, RoundTally]:
        """Every replica of a rung with a randomly chosen one of the next in its shard (which is its superchain)."""
        order_key, swap_keys = jax.random.fold_in(keys[0], 0), jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
        order = jax.random.permutation(order_key, self.replicas)
        # Hot walkers are exchangeable and not stored, so they may stay in the new order.
        hot = jax.tree.map(lambda array: array[order], states[cold + 1])
        betas = BlockSwapParameters(tuning.betas[cold], tuning.betas[cold + 1])
        pair, info = self.block_swaps[level].step(swap_keys, (states[cold], hot), data, betas)
        pairs = list(tally.swaps[level])
        before, accepted = pairs[cold], jnp.sum(info.acceptance_probability, axis=0)
        pairs[cold] = Rate(before.accepted + accepted, before.tried + 1.0 * self.replicas)
        swaps, nonfinite = {**tally.swaps, level: tuple(pairs)}, tally.nonfinite + jnp.sum(info.nonfinite)
        tally = tally._replace(swaps=swaps, nonfinite=nonfinite)
        return (*states[:cold], *pair, *states[cold + 2 :]), tally


def cold_density(states: Rungs) -> jax.Array:
    """The sum of the cold replicas' log densities."""
    return jnp.sum(jax.vmap(log_density)(states[0].cells))
