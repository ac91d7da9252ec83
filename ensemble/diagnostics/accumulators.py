"""Sums that give ESS and nested R-hat for every coordinate without storing every sweep.

A batch at level 0 is one round of one replica; a batch at level k is 2^k rounds. Every level keeps the sum and the sum
of squares of its finished batches, summed over the replicas of the shard; a batch that waits for its other half is
kept per replica. Sums are about the frozen tuning's mean, so that nothing cancels.
"""

from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from ensemble.protocol.events import WIDEST
from ensemble.protocol.flat import flatten, under
from ensemble.protocol.plans import Arrays
from ensemble.protocol.statistics import AccumulatedSums, BatchSums, ByLevel
from kernels.ladder.evidence import Stones


class Accumulators(NamedTuple):
    """The sums of one shard.

    rounds: finished rounds.
    chain: sum of each replica [R, p, B].
    square: sum of squares over replicas [p, B].
    batches: the finished batches of each batch level.
    waiting: {batch level: a batch of each replica without its other half, [R, p, B] float32}.
    """

    rounds: int
    chain: ByLevel
    square: ByLevel
    batches: tuple[BatchSums, ...]
    waiting: dict[int, ByLevel]


def empty() -> Accumulators:
    """Before the first round."""
    return Accumulators(0, {}, {}, (), {})


def absorb(accumulators: Accumulators, total: ByLevel, square: ByLevel) -> Accumulators:
    """Add one round: total [R, p, B] and square [p, B] of every level."""
    rounds, chain, squares, batches, waiting = accumulators
    closed, waiting = list(batches), dict(waiting)
    carry, level = {name: np.asarray(values, np.float32) for name, values in total.items()}, 0
    while True:
        _close(closed, level, carry)
        if not (rounds >> level) & 1:
            waiting[level] = carry
            break
        first = waiting.pop(level)
        carry = {name: first[name] + values for name, values in carry.items()}
        level += 1
    return Accumulators(rounds + 1, _add(chain, total), _add(squares, square), tuple(closed), waiting)


def _close(batches: list[BatchSums], level: int, batch: ByLevel) -> None:
    """Count a finished batch of every replica at a batch level."""
    sums = {name: values.sum(axis=0, dtype=np.float64) for name, values in batch.items()}
    squares = {name: np.square(values, dtype=np.float64).sum(axis=0) for name, values in batch.items()}
    if level == len(batches):
        batches.append(BatchSums(sums, squares))
    else:
        batches[level] = _with(batches[level], BatchSums(sums, squares))


def _with(one: BatchSums, other: BatchSums) -> BatchSums:
    return BatchSums(_add(one.sums, other.sums), _add(one.squares, other.squares))


def _add(one: ByLevel, other: ByLevel) -> ByLevel:
    """The sums of two rounds or shards, either of which may have none."""
    if not (one and other):
        return {name: np.asarray(values) for name, values in (one or other).items()}
    return {name: one[name] + np.asarray(values) for name, values in other.items()}


def pooled(accumulators: Accumulators) -> AccumulatedSums:
    """What the coordinator needs, O(d), summed over the replicas of the shard: of the chains since the start, of
    squares and batches since the last `drained`."""
    return AccumulatedSums(
        rounds=accumulators.rounds,
        sums={name: chain.sum(axis=0) for name, chain in accumulators.chain.items()},
        chain_squares={name: np.square(chain).sum(axis=0) for name, chain in accumulators.chain.items()},
        chain_largest={name: chain.max(axis=0) for name, chain in accumulators.chain.items()},
        chain_smallest={name: chain.min(axis=0) for name, chain in accumulators.chain.items()},
        squares=accumulators.square,
        batches=accumulators.batches,
    )


def drained(accumulators: Accumulators) -> Accumulators:
    """What remains in the shard once they are handed out: the coordinator keeps the squares and batches, once for all
    shards, which makes checkpoints smaller."""
    return accumulators._replace(square={}, batches=())


class Mark(NamedTuple):
    """The sums of all chains at an earlier check.

    rounds: how many they are over; 0 before the first check.
    sums: of coordinates, [p, B] by level.
    """

    rounds: int
    sums: ByLevel


UNMARKED = Mark(0, {})


class DiagnosticSums(NamedTuple):
    """What the coordinator keeps over all shards for ESS, R-hat and the evidence.

    squares: of coordinates, [p, B] by level.
    batches: the finished batches of each batch level.
    first, second: what the first part of the stage, and one at least twice as long, had summed up to.
    earlier: of levels of few coordinates, what the parts had that were `first` before, each half as long as the next.
    stones: of the log evidence, one row a superchain; None where the ladder does not tell it.
    """

    squares: ByLevel
    batches: tuple[BatchSums, ...]
    first: Mark = UNMARKED
    second: Mark = UNMARKED
    earlier: tuple[Mark, ...] = ()
    stones: Stones | None = None


NOTHING = DiagnosticSums({}, ())
"""Before the first round that counts."""


def collect(sums: DiagnosticSums, pooled_by_shard: list[AccumulatedSums]) -> DiagnosticSums:
    """The coordinator's sums of squares and batches with those newly pooled in each shard, in shard order."""
    for shard in pooled_by_shard:
        pairs = zip_longest(sums.batches, shard.batches, fillvalue=BatchSums({}, {}))
        sums = sums._replace(
            squares=_add(sums.squares, shard.squares), batches=tuple(_with(one, other) for one, other in pairs)
        )
    return _marked(sums, pooled_by_shard)


def _marked(sums: DiagnosticSums, pooled_by_shard: list[AccumulatedSums]) -> DiagnosticSums:
    """The sums with a mark at the first check, and whenever the stage is twice as long as at the last one."""
    rounds = pooled_by_shard[0].rounds
    if rounds < 2 * sums.second.rounds:
        return sums
    total: ByLevel = {}
    for shard in pooled_by_shard:
        total = _add(total, shard.sums)
    few = {name: values for name, values in sums.first.sums.items() if values.size <= WIDEST}
    earlier = (*sums.earlier, sums.first._replace(sums=few)) if few else sums.earlier
    return sums._replace(first=sums.second, second=Mark(rounds, total), earlier=earlier)


def pack_sums(sums: DiagnosticSums) -> Arrays:
    """Flat arrays for a checkpoint."""
    return flatten(sums._asdict())


def unpack_sums(arrays: Arrays) -> DiagnosticSums:
    """The sums that `pack_sums` flattened."""
    stones = under("stones", arrays)
    first, second = _mark("first", arrays), _mark("second", arrays)
    known = Stones(**stones) if stones else None
    earlier: list[Mark] = []
    while f"earlier/{len(earlier)}/rounds" in arrays:
        earlier.append(_mark(f"earlier/{len(earlier)}", arrays))
    return DiagnosticSums(under("squares", arrays), _batches(arrays), first, second, tuple(earlier), known)


def _mark(name: str, arrays: Arrays) -> Mark:
    return Mark(int(arrays[f"{name}/rounds"]), under(f"{name}/sums", arrays))


def _batches(arrays: Arrays) -> tuple[BatchSums, ...]:
    found: list[BatchSums] = []
    while level := under(f"batches/{len(found)}", arrays):
        found.append(BatchSums(under("sums", level), under("squares", level)))
    return tuple(found)


def pack(accumulators: Accumulators) -> Arrays:
    """Flat arrays for a checkpoint."""
    rounds = {"rounds": np.asarray(accumulators.rounds)}
    return rounds | flatten({name: part for name, part in accumulators._asdict().items() if name != "rounds"})


def unpack(arrays: Arrays) -> Accumulators:
    """The accumulators that `pack` flattened."""
    waiting: dict[int, ByLevel] = {}
    for key, array in under("waiting", arrays).items():
        level, name = key.split("/", 1)
        waiting.setdefault(int(level), {})[name] = array
    chain, square = under("chain", arrays), under("square", arrays)
    return Accumulators(int(arrays["rounds"]), chain, square, _batches(arrays), waiting)
