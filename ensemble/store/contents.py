"""What a store holds, whatever keeps it: recorded variables in a layout, and checkpoints."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Variable(NamedTuple):
    """A recorded quantity.

    dtype: its NumPy name; booleans, integers and floats can be recorded.
    dims: names of the dimensions of one draw of one chain, those after (chain, draw).
    shape: their sizes.
    """

    dtype: str
    dims: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()


class Layout(NamedTuple):
    """The arrays of a run, declared before the first draw.

    groups: variables by ArviZ group, stored as [shards * shard_chains, draws, *shape]; a group grows as one.
    shard_chains: stored chains a shard; shard i has the chains i * shard_chains to (i + 1) * shard_chains - 1.
    shards: how many there are.
    chunk_draws: draws in one chunk, of a shard's chains or of all where it is small; a file has one chunk or many.
    coords: coordinate values by dimension, strings or numbers; a dimension without any counts from 0.
    static: {group: {name: (dims, values)}}, written once.
    """

    groups: dict[str, dict[str, Variable]]
    shard_chains: int
    shards: int
    chunk_draws: int
    coords: Mapping[str, np.ndarray] = {}
    static: Mapping[str, Mapping[str, tuple[tuple[str, ...], np.ndarray]]] = {}


class Checkpoint(NamedTuple):
    """All that a run needs to go on bit for bit.

    epoch: the round counter.
    shards: the complete state of each shard.
    coordinator: the coordinator's arrays.
    info: the coordinator's JSON values.
    """

    epoch: int
    shards: list[dict[str, np.ndarray]]
    coordinator: dict[str, np.ndarray]
    info: dict[str, Any]


class CoordinatorState(NamedTuple):
    """The coordinator's part of a checkpoint: a small one, whatever the shards hold.

    epoch: the round counter.
    arrays: what `Checkpoint.coordinator` was; diagnostics of every coordinate are among them.
    info: JSON values, the ledger of the run.
    """

    epoch: int
    arrays: dict[str, np.ndarray]
    info: dict[str, Any]


class Damage(NamedTuple):
    """A file that is not as it was written.

    file: its path in the store.
    why: what is wrong with it.
    """

    file: str
    why: str


class Verification(NamedTuple):
    """What was looked at and what was found.

    files: how many.
    bytes: in them.
    damaged: those that are not as they were written.
    digests: whether the store has digests of its draws; where not, only what cannot be read at all is found.
    """

    files: int
    bytes: int
    damaged: tuple[Damage, ...]
    digests: bool
