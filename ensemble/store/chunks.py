"""Chunks of draws: their bytes and their names."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd

from ensemble.errors import StoreDamaged, StoreVersion
from ensemble.store.contents import Variable
from ensemble.store.layout import fill_value
from ensemble.store.root import Record, Root, repair_command

Blocks = dict[str, np.ndarray]
"""One shard's part of a chunk of each variable of a group, [shard_chains, chunk_draws, *shape], fill values where no
draw is yet."""


class Codec:
    """Turns one chunk of one array into bytes and back: the very bytes that Zarr writes and reads (held by a test),
    without the millisecond that an array of Zarr takes for each."""

    def __init__(self, member: dict[str, Any]) -> None:
        """`member` is the array's Zarr metadata. StoreVersion where chunks are encoded as this program never does."""
        first, *others = member["codecs"]
        if first["name"] != "bytes" or [codec["name"] for codec in others] != ["zstd"]:
            raise StoreVersion(
                f"the draws are encoded by {[codec['name'] for codec in member['codecs']]} and this version writes "
                "bytes and zstd: go on with the version that made the store."
            )
        self._zstd = Zstd(**others[0]["configuration"])
        self.shape: tuple[int, ...] = tuple(member["chunk_grid"]["configuration"]["chunk_shape"])
        self.dtype: np.dtype[Any] = np.dtype(member["data_type"])
        big = first.get("configuration", {}).get("endian") == "big"
        self._on_disk = self.dtype.newbyteorder(">" if big else "<")

    def encode(self, block: np.ndarray) -> bytes:
        """The bytes of one chunk file."""
        return bytes(self._zstd.encode(np.ascontiguousarray(block, self._on_disk)))

    def decode(self, data: bytes) -> np.ndarray:
        """The chunk that `encode` turned into `data`; ValueError or RuntimeError where the bytes are damaged."""
        return np.frombuffer(self._zstd.decode(data), self._on_disk).reshape(self.shape).astype(self.dtype)

    def blank(self, chains: int | None = None) -> np.ndarray:
        """A chunk without draws, or the part of it with so many chains."""
        shape = (self.shape[0] if chains is None else chains, *self.shape[1:])
        return np.full(shape, fill_value(self.dtype), self.dtype)


def spans_shards(record: Record, codec: Codec) -> bool:
    """Whether a chunk has the chains of all shards, and not of one."""
    return codec.shape[0] > record.shard_chains


def chunk_name(variable: Variable, shard: int, chunk: int) -> str:
    """The file of a shard's chunk in the folder of its array, shard 0 where a chunk spans all; the dimensions of one
    draw are never split."""
    return ".".join(["c", str(shard), str(chunk), *("0" for _ in variable.shape)])


def committed_chunks(record: Record, group: str, variable: Variable, codec: Codec) -> set[str]:
    """The names of all chunk files of a variable that hold committed draws."""
    chunks = -(-record.draws[group] // record.chunk_draws)
    rows = 1 if spans_shards(record, codec) else record.shards
    return {chunk_name(variable, row, chunk) for row in range(rows) for chunk in range(chunks)}


def require_chunks(path: Path, root: Root) -> None:
    """StoreDamaged where a committed chunk is missing: Zarr would read fill values there without a word."""
    for group, variables in root.variables().items():
        for name, variable in variables.items():
            folder = path / group / name
            present = set(os.listdir(folder)) if folder.is_dir() else set()
            codec = Codec(root.members[f"{group}/{name}"])
            missing = sorted(committed_chunks(root.record, group, variable, codec) - present)
            if missing:
                raise StoreDamaged(
                    f"{len(missing)} files with committed draws are missing from {folder}, the first is {missing[0]}. "
                    "Restore them from a copy of the store, or go back to the last sound commit: "
                    f"`{repair_command(path)}`."
                )
