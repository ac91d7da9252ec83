"""The exact sweep of a shard: every level's moves, interweaving and swaps, compiled once for all rounds."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from ensemble.errors import MaxwellError
from ensemble.protocol.statistics import REPLICA_SWAP, ChainSums, LevelRates, Rate
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.shard.chain_sums import absorbed, known_facts, leading_level, no_steps, together
from ensemble.shard.first_tuning import level_rungs
from ensemble.shard.kept import Kept, kept
from ensemble.shard.level_kernels.base import LevelStep
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.walkers import Rungs, Walkers, energies, exchange
from kernels.ladder import evidence
from kernels.ladder.evidence import Stones
from kernels.state import Info, LevelView, State, log_density
from kernels.target import Target
from kernels.transitions.block_swap import BlockSwap, BlockSwapParameters
from kernels.transitions.interweaving import Interweave, InterweavingParameters
from kernels.types import Data

Tree = TypeVar("Tree")


class ApproximateKernelError(MaxwellError):
    """A kernel without a known invariant law was about to make draws that count."""


class RoundTally(NamedTuple):
    """Sums over the sweeps of a round and the replicas of a shard.

    rates: level -> for each rung its moves, walk and fitted, [B].
    interweaving: of the interweaving moves, [moves].
    swaps: leaf level, [B], or REPLICA_SWAP, a scalar -> for each pair of neighbouring rungs, from cold to hot.
    energy: [rungs], what beta multiplies, one number for each sweep and replica.
    flow: what swaps added to the log density of the cold replicas.
    stones: of the log evidence, where the likelihood alone is tempered and whole replicas travel.
    total: level -> [R, p, B], the cold replicas' coordinates about the tuning's mean; levels that are all auxiliary
        are left out.
    square: level -> [p, B], their squares, summed over replicas.
    nonfinite: proposals rejected for a non-finite density.
    gradients: [2], evaluations one after another, and those that all replicas needed (see level_kernels.base).
    chains: what every cold replica's steps say of it.
    jumps: level -> [p, B], squared distances from the first to the last state, summed over the cold replicas; where
        there are joint levels.
    """

    rates: dict[str, tuple[LevelRates, ...]]
    interweaving: Rate
    swaps: dict[str, tuple[Rate, ...]]
    energy: jax.Array
    flow: jax.Array
    stones: Stones | None
    total: dict[str, jax.Array]
    square: dict[str, jax.Array]
    nonfinite: jax.Array
    gradients: jax.Array
    chains: ChainSums
    jumps: dict[str, jax.Array] | None = None


Carry = tuple[Rungs, RoundTally, Walkers]
"""What goes from sweep to sweep."""


class Sweeps:
    """Rounds of exact sweeps for a shard of `replicas` replicas a rung on `rungs` rungs."""

    def __init__(
        self,
        target: Target,
        spec: SweepSpec,
        *,
        replicas: int,
        rungs: int,
        repeats: int,
        replica_swap: bool = False,
        tempered: frozenset[str] | None = None,
    ) -> None:
        """replica_swap: whole replicas are exchanged, not blocks. tempered: the terms that beta multiplies, all for
        None."""
        self.spec, self.replicas, self.rungs, self.repeats = spec, replicas, rungs, repeats
        self.replica_swap, self.tempered = replica_swap, tempered
        levels = spec.structure.levels
        self.views = {level.name: LevelView(target, spec.structure, level, tempered) for level in spec.levels}
        kernels = level_kernels(spec)
        self.steps = {name: LevelStep(kernel, self.views[name]) for name, kernel in kernels.items()}
        self.leading = leading_level(kernels, spec.levels)
        self.known = known_facts(kernels, self.leading)
        self.watched = [level for level in levels if not target.auxiliary.issuperset(level.sites)]
        self.n_interweavings = len(spec.interweavings)
        self.interweave = Interweave(target, spec.structure, spec.interweavings)
        blocks = rungs > 1 and not replica_swap
        self.swaps = {name: BlockSwap(view) for name, view in self.views.items() if view.level.leaf and blocks}
        # Fine levels first: the parents then see children that have just moved.
        self.order = (*reversed(levels), *spec.joint)

    def require_exact(self) -> None:
        """Raise ApproximateKernelError where a kernel is approximate: for stage `sample`, whose draws count."""
        steps = [step.transition for step in self.steps.values()]
        for kernel in [*steps, self.interweave, *self.swaps.values()]:
            if not kernel.exact:
                raise ApproximateKernelError(
                    f"the kernel {type(kernel).__name__} is approximate and was given to stage `sample`, which records "
                    "draws: only exact kernels may run there. Use it in stage `scout`, and to sample an exact kernel, "
                    "such as Metropolis or one that accepts by the true density."
                )

    def round(
        self, states: Rungs, keys: jax.Array, data: Data, tuning: TuningState, walkers: Walkers = ()
    ) -> tuple[Rungs, RoundTally, Walkers]:
        """As many sweeps as tuning.parity has entries. keys: one for each rung and replica, [rungs, R]; walkers:
        where whole replicas are exchanged."""
        carry = states, self._empty(tuning), walkers
        return self._advance(carry, _sweeps_of(tuning), keys, data, tuning)

    def recorded_round(
        self,
        states: Rungs,
        keys: jax.Array,
        data: Data,
        tuning: TuningState,
        walkers: Walkers = (),
        *,
        draws: int,
        stored: int,
    ) -> tuple[Rungs, RoundTally, Walkers, Kept]:
        """`round`, with so many draws of the first `stored` cold replicas on the way, evenly spaced, the last of which
        are the states that it ends with. draws: a divisor of the number of sweeps."""

        def part(carry: Carry, sweeps: Any) -> tuple[Carry, Kept]:
            states, tally, walkers = carry
            fresh = tally._replace(chains=no_steps(self.replicas, self.known))
            states, tally, walkers = self._advance((states, fresh, walkers), sweeps, keys, data, tuning)
            return (states, tally, walkers), kept(states[0], walkers, tally.chains, stored)

        sweeps = jax.tree.map(lambda values: values.reshape(draws, -1, *values.shape[1:]), _sweeps_of(tuning))
        carry = states, self._empty(tuning), walkers
        if draws == 1:
            carry, one = part(carry, jax.tree.map(lambda values: values[0], sweeps))
            found = jax.tree.map(lambda values: values[None], one)
        else:
            carry, found = jax.lax.scan(part, carry, sweeps)
        moved, tally, walkers = carry
        jumps = self._jumps(states[0], moved[0]) if self.spec.joint else None
        return moved, tally._replace(chains=together(found.chains), jumps=jumps), walkers, found

    def _jumps(self, before: State, after: State) -> dict[str, jax.Array]:
        """Squared distances that the cold replicas moved, summed, by level."""
        far = {name: after.position[name] - x for name, x in before.position.items()}
        return {level.name: jnp.sum(jax.vmap(level.gather)(far) ** 2, axis=0) for level in self.watched}

    def _advance(
        self, carry: Carry, sweeps: tuple[jax.Array, ...], keys: jax.Array, data: Data, tuning: TuningState
    ) -> Carry:
        """Some sweeps of a round: their numbers, interweaving moves and parities of swaps, [sweeps] each."""

        def body(carry: Carry, sweep: tuple[jax.Array, ...]) -> tuple[Carry, None]:
            (states, tally, walkers), (index, moves, parity) = carry, sweep
            fresh = jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, index)))(keys)
            states, tally, purpose = self._moves(states, tally, fresh, index, moves, data, tuning)
            if self.rungs > 1:
                swap = partial(self._swaps, purpose=purpose, parity=parity, data=data, tuning=tuning)
                states, tally, walkers = swap(states, tally, walkers, fresh)
            return (states, self._absorb(states[0], tally, tuning), walkers), None

        return jax.lax.scan(body, carry, sweeps)[0]

    def _moves(
        self,
        states: Rungs,
        tally: RoundTally,
        keys: jax.Array,
        index: jax.Array,
        moves: jax.Array,
        data: Data,
        tuning: TuningState,
    ) -> tuple[Rungs, RoundTally, int]:
        """Everything but the swaps, and the number of purposes of keys that it took."""
        purpose = 0
        for level in self.order:
            update = partial(self._level, name=level.name, sweep=index, data=data, tuning=tuning)
            fresh, repeated = _purpose(keys, purpose), self.steps[level.name].kernel.is_repeated
            if level in self.spec.joint:
                goes = jnp.asarray(tuning.lengths[level.name])[0, index] > 0
                states, tally = jax.lax.cond(
                    goes, update, lambda states, tally, _: (states, tally), states, tally, fresh
                )
            elif repeated:
                states, tally = self._repeated(update, states, tally, fresh)
            else:
                states, tally = update(states, tally, fresh)
            purpose += 1
        if self.n_interweavings:
            fresh = _purpose(keys, purpose)[0]
            if len(moves) == 1:
                states, tally = self._interweave(states, tally, fresh, moves[0], data, tuning)
            else:
                states, tally = self._interweavings(states, tally, fresh, moves, data, tuning)
        return states, tally, purpose

    def _repeated(
        self, update: Callable[..., tuple[Rungs, RoundTally]], states: Rungs, tally: RoundTally, keys: jax.Array
    ) -> tuple[Rungs, RoundTally]:
        """Several updates of a level that is cheap against the leaves; a loop, so that it is compiled once."""

        def body(repeat: jax.Array, carry: tuple[Rungs, RoundTally]) -> tuple[Rungs, RoundTally]:
            return update(*carry, _purpose(keys, repeat))

        return jax.lax.fori_loop(0, self.repeats, body, (states, tally))

    def _level(
        self,
        states: Rungs,
        tally: RoundTally,
        keys: jax.Array,
        *,
        name: str,
        sweep: jax.Array,
        data: Data,
        tuning: TuningState,
    ) -> tuple[Rungs, RoundTally]:
        moved, rates = list(states), list(tally.rates[name])
        nonfinite, gradients, chains = tally.nonfinite, tally.gradients, tally.chains
        for rung in range(len(tuning.levels[name])):
            step = self.steps[name]
            moved[rung], sums, facts = step(keys[rung], states[rung], data, tuning, rung=rung, sweep=sweep)
            rates[rung] = _added(rates[rung], LevelRates(sums.walk, sums.fitted))
            nonfinite, gradients = nonfinite + sums.nonfinite, gradients + sums.gradients
            chains = absorbed(chains, facts, leading=name == self.leading) if rung == 0 else chains
        tally = tally._replace(
            rates={**tally.rates, name: tuple(rates)},
            nonfinite=nonfinite,
            gradients=gradients,
            chains=chains,
        )
        return tuple(moved), tally

    def _interweavings(
        self, states: Rungs, tally: RoundTally, keys: jax.Array, moves: jax.Array, data: Data, tuning: TuningState
    ) -> tuple[Rungs, RoundTally]:
        """Several of the scheduled moves, in a loop, so that they are compiled once."""

        def body(number: jax.Array, carry: tuple[Rungs, RoundTally]) -> tuple[Rungs, RoundTally]:
            fresh = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
            return self._interweave(*carry, fresh, moves[number], data, tuning)

        return jax.lax.fori_loop(0, len(moves), body, (states, tally))

    def _interweave(
        self, states: Rungs, tally: RoundTally, keys: jax.Array, move: jax.Array, data: Data, tuning: TuningState
    ) -> tuple[Rungs, RoundTally]:
        """The scheduled move on the cold replicas; the index past the last move does nothing."""
        which = jnp.minimum(move, self.n_interweavings - 1)
        parameters = InterweavingParameters(which, tuning.interweave[which])
        nothing = Info(jnp.zeros(self.replicas), jnp.zeros(self.replicas, jnp.int64))
        cold, info = jax.lax.cond(
            move < self.n_interweavings,
            lambda cold: self.interweave.step(keys, cold, data, parameters),
            lambda cold: (cold, nothing),
            states[0],
        )
        here = jnp.arange(self.n_interweavings) == move
        seen = Rate(jnp.sum(info.acceptance_probability) * here, self.replicas * here)
        tally = tally._replace(
            interweaving=_added(tally.interweaving, seen), nonfinite=tally.nonfinite + jnp.sum(info.nonfinite)
        )
        return (cold, *states[1:]), tally

    def _swaps(
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
        before = _cold_density(states)
        if self.replica_swap:
            states, tally, walkers = self._replicas(states, tally, walkers, _purpose(keys, purpose + 1), parity, tuning)
        for name in self.swaps:
            purpose += 1
            pairs = partial(self._blocks, name=name, keys=_purpose(keys, purpose), data=data, tuning=tuning)
            if self.rungs == 2:
                states, tally = pairs(states, tally, first=0)
            else:
                even, odd = partial(pairs, first=0), partial(pairs, first=1)
                states, tally = jax.lax.cond(parity == 0, even, odd, states, tally)
        found = energies(states, self.tempered)
        tally = tally._replace(
            energy=tally.energy + jnp.sum(found, axis=1), flow=tally.flow + _cold_density(states) - before
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
            _added(before, Rate(sums[0][rung], sums[1][rung])) for rung, before in enumerate(tally.swaps[REPLICA_SWAP])
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
        pair, info = self.swaps[level].step(swap_keys, (states[cold], hot), data, betas)
        pairs = list(tally.swaps[level])
        before, accepted = pairs[cold], jnp.sum(info.acceptance_probability, axis=0)
        pairs[cold] = Rate(before.accepted + accepted, before.tried + 1.0 * self.replicas)
        swaps, nonfinite = {**tally.swaps, level: tuple(pairs)}, tally.nonfinite + jnp.sum(info.nonfinite)
        tally = tally._replace(swaps=swaps, nonfinite=nonfinite)
        return (*states[:cold], *pair, *states[cold + 2 :]), tally

    def _absorb(self, cold: State, tally: RoundTally, tuning: TuningState) -> RoundTally:
        total, square = dict(tally.total), dict(tally.square)
        for level in self.watched:
            offset = jax.vmap(level.gather)(cold.position) - tuning.levels[level.name][0].mean
            total[level.name] = total[level.name] + offset
            square[level.name] = square[level.name] + jnp.sum(offset**2, axis=0)
        return tally._replace(total=total, square=square)

    @property
    def _gives_evidence(self) -> bool:
        return self.replica_swap and self.tempered is not None and self.rungs > 1

    def _no_swaps(self) -> dict[str, tuple[Rate, ...]]:
        shapes: dict[str, tuple[int, ...]] = {name: (self.views[name].level.n_blocks,) for name in self.swaps}
        if self.replica_swap:
            shapes = {REPLICA_SWAP: ()}
        return {name: (_never(shape),) * (self.rungs - 1) for name, shape in shapes.items()}

    def _empty(self, tuning: TuningState) -> RoundTally:
        rates = {}
        for level in self.spec.levels:
            nothing = _never((level.n_blocks,))
            rungs = level_rungs(level, self.rungs, self.replica_swap)
            rates[level.name] = (LevelRates(nothing, nothing),) * rungs
        return RoundTally(
            rates=rates,
            interweaving=_never((self.n_interweavings,)),
            swaps=self._no_swaps(),
            energy=jnp.zeros(self.rungs),
            flow=jnp.zeros(()),
            stones=evidence.first_stones(self.rungs) if self._gives_evidence else None,
            total={v.name: jnp.zeros((self.replicas, v.width, v.n_blocks)) for v in self.watched},
            square={v.name: jnp.zeros((v.width, v.n_blocks)) for v in self.watched},
            nonfinite=jnp.zeros((), jnp.int64),
            gradients=jnp.zeros(2),
            chains=no_steps(self.replicas, self.known),
        )


def _sweeps_of(tuning: TuningState) -> tuple[jax.Array, ...]:
    """The number, interweaving moves and parity of the swaps of each sweep of a round."""
    count = tuning.parity.shape[0]
    return jnp.arange(count), jnp.reshape(jnp.asarray(tuning.schedule), (count, -1)), jnp.asarray(tuning.parity)


def _cold_density(states: Rungs) -> jax.Array:
    """The sum of the cold replicas' log densities."""
    return jnp.sum(jax.vmap(log_density)(states[0].cells))


def _purpose(keys: jax.Array, purpose: int | jax.Array) -> jax.Array:
    return jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, purpose)))(keys)


def _added(sums: Tree, new: Tree) -> Tree:
    """The sums with new ones, tree by tree."""
    total: Tree = jax.tree.map(operator.add, sums, new)
    return total


def _never(shape: tuple[int, ...]) -> Rate:
    """Of what was not tried yet."""
    return Rate(jnp.zeros(shape), jnp.zeros(shape))
