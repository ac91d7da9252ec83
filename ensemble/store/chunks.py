"""Chunks of draws: their bytes and their names."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.buffer import Buffer
from zarr.buffer import cpu
from zarr.storage import MemoryStore

from ensemble.errors import StoreDamaged
from ensemble.store.contents import Variable
from ensemble.store.layout import ROOT, fill_value
from ensemble.store.root import Record, Root

Blocks = dict[str, np.ndarray]
"""One chunk of each variable of a group, [shard_chains, chunk_draws, *shape], fill values where no draw is yet."""


class Codec:
    """Turns one chunk of one array into bytes and back, by Zarr itself: an array of one chunk, held in memory."""

    def __init__(self, member: dict[str, Any]) -> None:
        """`member` is the array's Zarr metadata."""
        shape = member["chunk_grid"]["configuration"]["chunk_shape"]
        metadata = json.dumps({**member, "shape": shape}).encode()
        self._keys: dict[str, Buffer] = {ROOT: cpu.Buffer.from_bytes(metadata)}
        # Without this a chunk of fill values alone (a zero statistic) would not be stored, and be taken for lost.
        config: Any = {"write_empty_chunks": True}
        self._array = zarr.open_array(MemoryStore(self._keys), mode="r+").with_config(config)
        self._key = ".".join(["c", *("0" for _ in shape)])
        self.shape: tuple[int, ...] = tuple(shape)
        self.dtype: np.dtype[Any] = self._array.dtype

    def encode(self, block: np.ndarray) -> bytes:
        """The bytes of one chunk file."""
        self._array[...] = block
        return self._keys.pop(self._key).to_bytes()

    def decode(self, data: bytes) -> np.ndarray:
        """The chunk that `encode` turned into `data`; ValueError or RuntimeError where the bytes are damaged."""
        self._keys[self._key] = cpu.Buffer.from_bytes(data)
        block = np.array(self._array[...])
        del self._keys[self._key]
        return block

    def blank(self) -> np.ndarray:
        """A chunk without draws."""
        return np.full(self.shape, fill_value(self.dtype), self.dtype)


def chunk_name(variable: Variable, shard: int, chunk: int) -> str:
    """The file of a shard's chunk in the folder of its array; the dimensions of one draw are never split."""
    return ".".join(["c", str(shard), str(chunk), *("0" for _ in variable.shape)])


def committed_chunks(record: Record, group: str, variable: Variable) -> set[str]:
    """The names of all chunk files of a variable that hold committed draws."""
    chunks = -(-record.draws[group] // record.chunk_draws)
    return {chunk_name(variable, shard, chunk) for shard in range(record.shards) for chunk in range(chunks)}


def require_chunks(path: Path, root: Root) -> None:
    """StoreDamaged where a committed chunk is missing: Zarr would read fill values there without a word."""
    for group, variables in root.variables().items():
        for name, variable in variables.items():
            folder = path / group / name
            present = set(os.listdir(folder)) if folder.is_dir() else set()
            missing = sorted(committed_chunks(root.record, group, variable) - present)
            if missing:
                raise StoreDamaged(
                    f"{len(missing)} files with committed draws are missing from {folder}, the first is {missing[0]}. "
                    "Restore them from a copy of the store."
                )
