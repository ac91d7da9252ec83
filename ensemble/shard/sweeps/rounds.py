"""The exact sweep of a shard: every level's moves, interweaving and swaps, compiled once for all rounds."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ensemble.errors import MaxwellError
from ensemble.protocol import events
from ensemble.protocol.events import TAIL, has_tails
from ensemble.protocol.statistics import LevelRates, Rate
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.shard.chain_sums import absorbed, known_facts, leading_level, no_steps, together
from ensemble.shard.first_tuning import level_rungs
from ensemble.shard.keys import for_purpose
from ensemble.shard.level_kernels.base import LevelStep
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.sweeps.kept import Kept, kept
from ensemble.shard.sweeps.swaps import LadderSwaps
from ensemble.shard.sweeps.tally import RoundTally, added, never
from ensemble.shard.sweeps.walkers import Rungs, Walkers
from kernels.ladder import evidence
from kernels.state import Info, LevelView, State, log_density
from kernels.target import Target
from kernels.transitions.interweaving import Interweave, InterweavingParameters
from kernels.types import Data


class ApproximateKernelError(MaxwellError):
    """A kernel without a known invariant law was about to make draws that count."""


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
        self.swaps = LadderSwaps(
            self.views, replicas=replicas, rungs=rungs, replica_swap=replica_swap, tempered=tempered
        )
        # Fine levels first: the parents then see children that have just moved.
        self.order = (*reversed(levels), *spec.joint)

    def require_exact(self) -> None:
        """Raise ApproximateKernelError where a kernel is approximate: for stage `sample`, whose draws count."""
        steps = [step.transition for step in self.steps.values()]
        for kernel in [*steps, self.interweave, *self.swaps.block_swaps.values()]:
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
                swap = partial(self.swaps.along_the_ladder, purpose=purpose, parity=parity, data=data, tuning=tuning)
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
            fresh, repeated = for_purpose(keys, purpose), self.steps[level.name].kernel.is_repeated
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
            fresh = for_purpose(keys, purpose)[0]
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
            return update(*carry, for_purpose(keys, repeat))

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
        infinite = tally.infinite[name]
        for rung in range(len(tuning.levels[name])):
            step = self.steps[name]
            moved[rung], sums, facts = step(keys[rung], states[rung], data, tuning, rung=rung, sweep=sweep)
            rates[rung] = added(rates[rung], LevelRates(sums.walk, sums.fitted, common=sums.common))
            nonfinite, gradients = nonfinite + sums.nonfinite, gradients + sums.gradients
            infinite = infinite if sums.infinite is None else infinite + sums.infinite
            chains = absorbed(chains, facts, leading=name == self.leading) if rung == 0 else chains
        tally = tally._replace(
            rates={**tally.rates, name: tuple(rates)},
            nonfinite=nonfinite,
            infinite={**tally.infinite, name: infinite},
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
        none = jnp.zeros(self.replicas, jnp.int64)
        nothing = Info(jnp.zeros(self.replicas), none, infinite=none)
        cold, info = jax.lax.cond(
            move < self.n_interweavings,
            lambda cold: self.interweave.step(keys, cold, data, parameters),
            lambda cold: (cold, nothing),
            states[0],
        )
        here = jnp.arange(self.n_interweavings) == move
        seen = Rate(jnp.sum(info.acceptance_probability) * here, self.replicas * here)
        tally = tally._replace(
            interweaving=added(tally.interweaving, seen), nonfinite=tally.nonfinite + jnp.sum(info.nonfinite)
        )
        return (cold, *states[1:]), tally

    def _absorb(self, cold: State, tally: RoundTally, tuning: TuningState) -> RoundTally:
        total, square = dict(tally.total), dict(tally.square)
        seen = {events.LOG_DENSITY: (jax.vmap(log_density)(cold.cells) - tuning.height)[:, None, None]}
        for level in self.watched:
            x, mean = jax.vmap(level.gather)(cold.position), tuning.levels[level.name][0].mean
            seen[level.name] = x - mean
            if has_tails(level):
                beyond = TAIL * tuning.spread[level.name]
                seen[events.below(level.name)] = (x < mean - beyond).astype(jnp.float64)
                seen[events.above(level.name)] = (x > mean + beyond).astype(jnp.float64)
            signs = events.positive(level.name)
            square[signs] = square[signs] + jnp.sum(x > 0, axis=0)
        for name, values in seen.items():
            total[name] = total[name] + values
            square[name] = square[name] + jnp.sum(values**2, axis=0)
        return tally._replace(total=total, square=square)

    def _summed(self) -> dict[str, tuple[int, int]]:
        """The shapes [p, B] of what is summed over sweeps, by the names of levels and events."""
        tails = [v for v in self.watched if has_tails(v)]
        named = [(v.name, v) for v in self.watched]
        named += [(name(v.name), v) for v in tails for name in (events.below, events.above)]
        return {events.LOG_DENSITY: (1, 1), **{name: (v.width, v.n_blocks) for name, v in named}}

    def _signs(self) -> dict[str, tuple[int, int]]:
        """The shapes of the counts of positive values."""
        return {events.positive(v.name): (v.width, v.n_blocks) for v in self.watched}

    def _empty(self, tuning: TuningState) -> RoundTally:
        rates = {}
        for level in self.spec.levels:
            nothing = never((level.n_blocks,))
            rungs = level_rungs(level, self.rungs, self.replica_swap)
            rates[level.name] = (
                LevelRates(nothing, nothing, common=never((level.width,)) if level.name in tuning.common else None),
            ) * rungs
        return RoundTally(
            rates=rates,
            interweaving=never((self.n_interweavings,)),
            swaps=self.swaps.none_yet(),
            energy=jnp.zeros(self.rungs),
            flow=jnp.zeros(()),
            stones=evidence.first_stones(self.rungs) if self.swaps.gives_evidence else None,
            total={name: jnp.zeros((self.replicas, *shape)) for name, shape in self._summed().items()},
            square={name: jnp.zeros(shape) for name, shape in (self._summed() | self._signs()).items()},
            nonfinite=jnp.zeros((), jnp.int64),
            infinite={level.name: jnp.zeros((), jnp.int64) for level in self.spec.levels},
            gradients=jnp.zeros(2),
            chains=no_steps(self.replicas, self.known),
        )


def _sweeps_of(tuning: TuningState) -> tuple[jax.Array, ...]:
    """The number, interweaving moves and parity of the swaps of each sweep of a round."""
    count = tuning.parity.shape[0]
    return jnp.arange(count), jnp.reshape(jnp.asarray(tuning.schedule), (count, -1)), jnp.asarray(tuning.parity)
