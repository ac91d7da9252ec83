"""Chunks of draws as bytes, and the files that must hold them."""

from typing import Any

import numpy as np
from numcodecs.zstd import Zstd

from ensemble.errors import StoreDamaged, StoreVersion
from ensemble.store.chunking.grid import chunk_codecs, of_member, with_grid
from ensemble.store.disk.packed import FROM_A_COPY, Packed, Place
from ensemble.store.layout import fill_value
from ensemble.store.root import Record, Root, read_root, repair_command

Blocks = dict[str, np.ndarray]
"""One shard's part of a chunk of each variable of a group, [shard_chains, chunk_draws, *shape], fill values where no
draw is yet."""


class Codec:
    """Turns one chunk of one array into bytes and back: the very bytes that Zarr writes and reads (held by a test),
    without the millisecond that an array of Zarr takes for each."""

    def __init__(self, member: dict[str, Any]) -> None:
        """`member` is the array's Zarr metadata. StoreVersion where chunks are encoded as this program never does."""
        first, *others = codecs = chunk_codecs(member)
        if first["name"] != "bytes" or [codec["name"] for codec in others] != ["zstd"]:
            raise StoreVersion(
                f"the draws are encoded by {[codec['name'] for codec in codecs]} and this version writes "
                "bytes and zstd: go on with the version that made the store."
            )
        self._zstd = Zstd(**others[0]["configuration"])
        self.grid = of_member(member)
        self.shape = self.grid.chunk
        self.dtype: np.dtype[Any] = np.dtype(member["data_type"])
        big = first.get("configuration", {}).get("endian") == "big"
        self._on_disk = self.dtype.newbyteorder(">" if big else "<")

    def encode(self, block: np.ndarray) -> bytes:
        """The bytes of one chunk."""
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


def committed_files(record: Record, group: str, codec: Codec) -> set[str]:
    """The names of all files of a variable that hold committed draws."""
    chains = record.shards * record.shard_chains
    return {codec.grid.name(*file) for file in codec.grid.files(chains, record.draws[group])}


def gridded_as(root: Root, other: Root) -> Root:
    """The root with its draws in files as `other` says, a later state of the same store or an earlier one."""
    growing = {f"{group}/{name}" for group, variables in root.variables().items() for name in variables}
    grids = {array: other.members[array] for array in growing & set(other.members)}
    return root._replace(
        members={path: with_grid(told, grids[path]) if path in grids else told for path, told in root.members.items()}
    )


def require_files(path: Place, root: Root) -> None:
    """StoreDamaged where a file with committed draws is missing: Zarr would read fill values there without a word."""
    # A writer may have put the draws into larger files since.
    if not _missing(path, root) or not (missing := _missing(path, gridded_as(root, read_root(path)))):
        return
    folder, names = next(iter(missing.items()))
    told = f"{len(names)} files with committed draws are missing from {folder}, the first is {names[0]}. "
    if isinstance(path, Packed):
        raise StoreDamaged(told + FROM_A_COPY)
    raise StoreDamaged(
        f"{told}Restore them from a copy of the store, or go back to the last sound commit: `{repair_command(path)}`."
    )


def _missing(path: Place, root: Root) -> dict[Place, list[str]]:
    """The names of files with committed draws that are not there, by folder."""
    found: dict[Place, list[str]] = {}
    for group, variables in root.variables().items():
        for name in variables:
            folder = path / group / name
            present = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
            names = sorted(committed_files(root.record, group, Codec(root.members[f"{group}/{name}"])) - present)
            if names:
                found[folder] = names
    return found
