"""Checks of single files against the root: what a file's bytes should be, and what is wrong where they are not that."""

import json
from collections.abc import Iterator
from typing import IO, NamedTuple

from ensemble.store.chunking.codec import Codec
from ensemble.store.chunking.grid import PREFIXES, coarsened, of_member, with_grid
from ensemble.store.chunking.sharded import read_chunk, split
from ensemble.store.disk import digests
from ensemble.store.disk.packed import FROM_A_COPY, Packed, Place
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
        """files: the chunks with committed draws by file, in the order of draws; chunks: by the names that they would
        have as files of their own; fixed: digests of the files that never change."""
        self._root, self._digests = root, root.record.digests
        self._codecs = {
            f"{group}/{name}": Codec(root.members[f"{group}/{name}"])
            for group, variables in root.variables().items()
            for name in variables
        }
        self.files: dict[str, list[Chunk]] = {}
        self.chunks: dict[str, Chunk] = {}
        for chunk in self._chunks():
            self.files.setdefault(self.file_of(chunk), []).append(chunk)
            name = self._codecs[chunk.array].grid._replace(prefix=PREFIXES["default"]).name(chunk.row, chunk.chunk)
            self.chunks[f"{chunk.array}/{name}"] = chunk
        self.fixed: dict[str, str] = {} if self._digests is None else self._digests.fixed

    def draws_file(self, key: str, data: bytes) -> str:
        """What is wrong with a file of draws; empty where those committed are as written. Without digests only what
        cannot be decoded is told."""
        return self._first_wrong(key, data)[1]

    def sound_draws(self, key: str, data: bytes) -> int:
        """The draws of its array before the first chunk of a file that is not as written."""
        chunks = self.files[key]
        wrong = self._first_wrong(key, data)[0]
        return self._root.record.chunk_draws * (chunks[-1].chunk + 1 if wrong is None else wrong.chunk)

    def chunk(self, chunk: Chunk, data: bytes) -> str:
        """What is wrong with the bytes of a chunk; empty where its committed draws are as written."""
        try:
            block = self._codecs[chunk.array].decode(data)
        except (ValueError, RuntimeError) as error:
            return f"it cannot be decoded ({error})"
        if self._digests is None:
            return ""
        found = digests.of_draws(block, chunk.draws)
        same = found == self._digests.of_chunk(chunk.array, chunk.row, chunk.chunk)
        return "" if same else "its draws are not those that were committed"

    def chunk_in(self, chunk: Chunk, file: IO[bytes]) -> bytes:
        """The bytes of a chunk out of its file, of which no more is read. ValueError where they cannot be found."""
        grid = self._codecs[chunk.array].grid
        return read_chunk(file, grid, grid.place_of(chunk.row, chunk.chunk))

    def file_of(self, chunk: Chunk) -> str:
        """The file that has a chunk."""
        grid = self._codecs[chunk.array].grid
        return f"{chunk.array}/{grid.name(*grid.file_of(chunk.row, chunk.chunk))}"

    def _first_wrong(self, key: str, data: bytes) -> tuple[Chunk | None, str]:
        chunks = self.files[key]
        grid = self._codecs[chunks[0].array].grid
        try:
            there = split(data, grid)
        except ValueError as error:
            return chunks[0], str(error)
        for chunk in chunks:
            found = there.get(grid.place_of(chunk.row, chunk.chunk))
            if why := "it is too short" if found is None else self.chunk(chunk, found):
                return chunk, why
        return None, ""

    def fixed_file(self, key: str, data: bytes) -> str:
        """The same of a file of coordinates or of a static array."""
        if self._digests is None:
            return ""
        return "" if digests.of_bytes(data) == self.fixed[key] else "its digest is not the one recorded"

    def member(self, key: str, data: bytes) -> str:
        """The same of the metadata of an array or group. They may be ahead of the commit with an array's length, and
        behind it with its files, which have just become larger."""
        path = key.removesuffix(f"/{ROOT}")
        expected = self._root.members[path]
        try:
            found = json.loads(data)
            if path in self._codecs:
                shape, ahead = expected["shape"], int(found["shape"][1])
                longer = {**expected, "shape": [shape[0], max(ahead, shape[1]), *shape[2:]]}
                # `coarser` gives other names: the files of before are still there.
                behind = coarsened(found, longer) and of_member(found).prefix != of_member(longer).prefix
                expected = with_grid(longer, found) if behind else longer
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return f"it is no metadata of Zarr ({error!r})"
        return "" if found == expected else f"it does not say what the store's own {ROOT} says"

    def _chunks(self) -> Iterator[Chunk]:
        record = self._root.record
        for array, codec in self._codecs.items():
            draws = record.draws[digests.group_of(array)]
            rows = record.shards * record.shard_chains // codec.shape[0]
            for first in range(0, draws, record.chunk_draws):
                chunk, count = first // record.chunk_draws, min(record.chunk_draws, draws - first)
                for row in range(rows):
                    yield Chunk(array, row, chunk, count)


def is_foreign(path: Place, root: Root) -> bool:
    """Whether the root is that of another store: no group's metadata, which tell when it was made, are as it says."""
    checks = Checks(root)
    groups = [f"{member}/{ROOT}" for member, told in root.members.items() if told["node_type"] == "group"]
    there = [(key, bytes_of(path / key)) for key in groups if (path / key).is_file()]
    return len(there) > 1 and all(checks.member(key, data) for key, data in there)


def bytes_of(file: Place) -> bytes:
    """The bytes of a file, none where they cannot be read."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def remedy(path: Place) -> str:
    """What to do about a damaged file of the store at `path`."""
    if isinstance(path, Packed):
        return FROM_A_COPY
    return (
        f"Restore it from a copy of the store, or go back to the last sound commit: `{repair_command(path)}`, "
        f"in Python maxwell.verify({str(path)!r}, repair=True)."
    )
