"""Checks of single files against the root: what a file's bytes should be, and what is wrong where they are not that."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ensemble.store.chunks import Codec, chunk_name
from ensemble.store.disk import digests
from ensemble.store.layout import ROOT
from ensemble.store.root import Root, repair_command


class Chunk(NamedTuple):
    """A chunk with committed draws.

    array: its array's path in the store.
    row, chunk: its place among the array's chunks.
    draws: how many of its draws are committed.
    """

    array: str
    row: int
    chunk: int
    draws: int


class Checks:
    """What every file of draws, coordinates and metadata should be at one committed state."""

    def __init__(self, root: Root) -> None:
        self._root, self._digests = root, root.record.digests
        self._codecs = {
            f"{group}/{name}": Codec(root.members[f"{group}/{name}"])
            for group, variables in root.variables().items()
            for name in variables
        }
        self.chunks = dict(self._chunks())
        self.fixed: dict[str, str] = {} if self._digests is None else self._digests.fixed

    def chunk(self, key: str, data: bytes) -> str:
        """What is wrong with the file of a chunk; empty where its committed draws are as written. Without digests only
        what cannot be decoded is told."""
        chunk = self.chunks[key]
        try:
            block = self._codecs[chunk.array].decode(data)
        except (ValueError, RuntimeError) as error:
            return f"it cannot be decoded ({error})"
        if self._digests is None:
            return ""
        found = digests.of_draws(block, chunk.draws)
        same = found == self._digests.of_chunk(chunk.array, chunk.row, chunk.chunk)
        return "" if same else "its draws are not those that were committed"

    def fixed_file(self, key: str, data: bytes) -> str:
        """The same of a file of coordinates or of a static array."""
        return "" if digests.of_bytes(data) == self.fixed[key] else "its digest is not the one recorded"

    def member(self, key: str, data: bytes) -> str:
        """The same of the metadata of an array or group, which may be ahead of the commit with an array's length."""
        path = key.removesuffix(f"/{ROOT}")
        expected = self._root.members[path]
        try:
            found = json.loads(data)
            if path in self._codecs:
                ahead = found["shape"][1]
                shape = expected["shape"]
                expected = {**expected, "shape": [shape[0], max(int(ahead), shape[1]), *shape[2:]]}
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return f"it is no metadata of Zarr ({error!r})"
        return "" if found == expected else f"it does not say what the store's own {ROOT} says"

    def _chunks(self) -> Iterator[tuple[str, Chunk]]:
        record = self._root.record
        variables = self._root.variables()
        for array, codec in self._codecs.items():
            group, _, name = array.partition("/")
            variable, draws = variables[group][name], record.draws[group]
            rows = record.shards * record.shard_chains // codec.shape[0]
            for first in range(0, draws, record.chunk_draws):
                chunk, count = first // record.chunk_draws, min(record.chunk_draws, draws - first)
                for row in range(rows):
                    yield f"{array}/{chunk_name(variable, row, chunk)}", Chunk(array, row, chunk, count)


def is_foreign(path: Path, root: Root) -> bool:
    """Whether the root is that of another store: no group's metadata, which tell when it was made, are as it says."""
    checks = Checks(root)
    groups = [f"{member}/{ROOT}" for member, told in root.members.items() if told["node_type"] == "group"]
    there = [(key, (path / key).read_bytes()) for key in groups if (path / key).is_file()]
    return len(there) > 1 and all(checks.member(key, data) for key, data in there)


def remedy(path: Path) -> str:
    """What to do about a damaged file of the store at `path`."""
    return (
        f"Restore it from a copy of the store, or go back to the last sound commit: `{repair_command(path)}`, "
        f"in Python maxwell.verify({str(path)!r}, repair=True)."
    )
