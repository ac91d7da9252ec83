"""Sums that give ESS and nested R-hat for every coordinate without storing every sweep.

A batch at level 0 is one round of one replica; a batch at level k is 2^k rounds. Every level keeps the sum and the sum
of squares of its finished batches, summed over the replicas of the shard; a batch that waits for its other half is
kept per replica. Sums are about the frozen controls' mean, so that nothing cancels.
"""

from typing import NamedTuple

import numpy as np

from ensemble.protocol.plans import Arrays

Level = dict[str, np.ndarray]
"""One array for each level of the model, by name."""


class Accumulators(NamedTuple):
    """The sums of one shard.

    rounds: finished rounds.
    chain: sum of each replica [R, p, B].
    square: sum of squares over replicas [p, B].
    batches: for each batch level (sum [p, B], sum of squares [p, B]).
    waiting: {batch level: a batch of each replica without its other half, [R, p, B] float32}.
    """

    rounds: int
    chain: Level
    square: Level
    batches: list[tuple[Level, Level]]
    waiting: dict[int, Level]


def empty() -> Accumulators:
    """Before the first round."""
    return Accumulators(0, {}, {}, [], {})


def absorb(accumulators: Accumulators, total: Level, square: Level) -> Accumulators:
    """Add one round: total [R, p, B] and square [p, B] of every level."""
    rounds, chain, squares, batches, waiting = accumulators
    batches, waiting = list(batches), dict(waiting)
    carry, level = {name: np.asarray(values, np.float32) for name, values in total.items()}, 0
    while True:
        _close(batches, level, carry)
        if not (rounds >> level) & 1:
            waiting[level] = carry
            break
        first = waiting.pop(level)
        carry = {name: first[name] + values for name, values in carry.items()}
        level += 1
    return Accumulators(rounds + 1, _add(chain, total), _add(squares, square), batches, waiting)


def _close(batches: list[tuple[Level, Level]], level: int, batch: Level) -> None:
    """Count a finished batch of every replica at a batch level."""
    sums = {name: values.sum(axis=0, dtype=np.float64) for name, values in batch.items()}
    squares = {name: np.square(values, dtype=np.float64).sum(axis=0) for name, values in batch.items()}
    if level == len(batches):
        batches.append((sums, squares))
    else:
        batches[level] = _add(batches[level][0], sums), _add(batches[level][1], squares)


def _add(one: Level, other: Level) -> Level:
    return {name: one[name] + np.asarray(values) if one else np.asarray(values) for name, values in other.items()}


def pooled(accumulators: Accumulators) -> Arrays:
    """What the coordinator needs, O(d), summed over the replicas of the shard: of the chains since the start, of
    squares and batches since the last `drained`."""
    arrays: Arrays = {"rounds": np.asarray(accumulators.rounds)}
    for name, chain in accumulators.chain.items():
        arrays[f"sum/{name}"] = chain.sum(axis=0)
        arrays[f"chain_square/{name}"] = np.square(chain).sum(axis=0)
        arrays[f"square/{name}"] = accumulators.square[name]
        for level, (sums, squares) in enumerate(accumulators.batches):
            arrays[f"batch_sum/{level}/{name}"] = sums[name]
            arrays[f"batch_square/{level}/{name}"] = squares[name]
    return arrays


def drained(accumulators: Accumulators) -> Accumulators:
    """What remains in the shard once they are handed out: the coordinator keeps the squares and batches, once for all
    shards, which makes checkpoints smaller."""
    return accumulators._replace(square={}, batches=[])


def collect(sums: Arrays, pooled_by_shard: list[Arrays]) -> Arrays:
    """The coordinator's sums of squares and batches with those newly pooled in each shard, in shard order."""
    total = dict(sums)
    for arrays in pooled_by_shard:
        for name, values in arrays.items():
            if name.startswith(("square/", "batch_")):
                total[name] = total[name] + values if name in total else values
    return total


def pack(accumulators: Accumulators) -> Arrays:
    """Flat arrays for a checkpoint."""
    arrays: Arrays = {"rounds": np.asarray(accumulators.rounds), "levels": np.asarray(len(accumulators.batches))}
    for name, chain in accumulators.chain.items():
        arrays[f"chain/{name}"] = chain
    arrays.update({f"square/{name}": values for name, values in accumulators.square.items()})
    for level, (sums, squares) in enumerate(accumulators.batches):
        for name in sums:
            arrays[f"batch/{level}/sum/{name}"], arrays[f"batch/{level}/square/{name}"] = sums[name], squares[name]
    for level, values in accumulators.waiting.items():
        arrays.update({f"waiting/{level}/{name}": array for name, array in values.items()})
    return arrays


def unpack(arrays: Arrays) -> Accumulators:
    """The accumulators that `pack` flattened."""
    names = [name.removeprefix("chain/") for name in arrays if name.startswith("chain/")]
    drained = not any(name.startswith("square/") for name in arrays)
    batches = [
        tuple({name: arrays[f"batch/{level}/{kind}/{name}"] for name in names} for kind in ("sum", "square"))
        for level in range(int(arrays["levels"]))
    ]
    waiting: dict[int, Level] = {}
    for key, array in arrays.items():
        if key.startswith("waiting/"):
            _, level, name = key.split("/", 2)
            waiting.setdefault(int(level), {})[name] = array
    chain = {name: arrays[f"chain/{name}"] for name in names}
    square = {} if drained else {name: arrays[f"square/{name}"] for name in names}
    return Accumulators(int(arrays["rounds"]), chain, square, batches, waiting)  # type: ignore[arg-type]
