"""The files of a store: built, written and synced in order, and trimmed to what is committed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ensemble.errors import StoreDamaged
from ensemble.store import checkpoint
from ensemble.store.chunking.codec import Blocks, Codec, committed_files, spans_shards
from ensemble.store.chunking.condensing import Growing, crowded
from ensemble.store.chunking.grid import Grid, Place, coarser
from ensemble.store.chunking.sharded import join, split
from ensemble.store.contents import Checkpoint
from ensemble.store.disk.digests import DigestBook, Digests, group_of
from ensemble.store.disk.filesystem import PARTIAL, Filesystem
from ensemble.store.layout import ROOT
from ensemble.store.root import LOCK, Root, by_nobody, encode_member, encode_root


class Spanning(NamedTuple):
    """Chunks of a group that span all shards, on their way.

    shards: those whose part is there.
    blocks: by variable, of all chains.
    """

    shards: set[int]
    blocks: Blocks


class OpenFile(NamedTuple):
    """A file of draws that is not full.

    chunks: those in it, encoded.
    full: the places of those that will not be written over.
    """

    chunks: dict[Place, bytes]
    full: set[Place]


FileKey = tuple[str, int, int]
"""An array's path in the store, and the place of one of its files."""


class StoreFiles:
    """The files below `path`, through the file system `fs`."""

    def __init__(self, path: Path, fs: Filesystem, root: Root) -> None:
        """`root` tells the variables and their codecs."""
        self._path, self._fs = path, fs
        self.variables = root.variables()
        self.codecs = {
            group: {name: Codec(root.members[f"{group}/{name}"]) for name in variables}
            for group, variables in self.variables.items()
        }
        self._record = root.record
        self._book = DigestBook(root.record.digests)
        self._unsynced: set[Path] = set()
        self._spanning: dict[tuple[str, int], Spanning] = {}
        self._open: dict[FileKey, OpenFile] = {}
        self._changed: set[FileKey] = set()

    def add_chunks(self, group: str, shard: int, chunks: list[tuple[int, Blocks]], count: int) -> None:
        """Take one shard's part of numbered chunks with their first `count` draws, and write the files they fill;
        `flush` writes the others. A chunk that spans all shards is there with the last of them."""
        for chunk, blocks in chunks:
            waiting = self._spanning.setdefault((group, chunk), Spanning(set(), {}))
            for name, block in blocks.items():
                codec = self.codecs[group][name]
                if not spans_shards(self._record, codec):
                    self._add_chunk(f"{group}/{name}", shard, chunk, block, count)
                    continue
                whole = waiting.blocks.setdefault(name, codec.blank())
                whole[shard * len(block) : (shard + 1) * len(block)] = block
            waiting.shards.add(shard)
            if len(waiting.shards) == self._record.shards:
                del self._spanning[group, chunk]
                for name, whole in waiting.blocks.items():
                    self._add_chunk(f"{group}/{name}", 0, chunk, whole, count)

    def _add_chunk(self, array: str, row: int, chunk: int, block: np.ndarray, count: int) -> None:
        codec = self._codec(array)
        key, place = (array, *codec.grid.file_of(row, chunk)), codec.grid.place_of(row, chunk)
        file = self._open.setdefault(key, OpenFile({}, set()))
        file.chunks[place] = codec.encode(block)
        self._book.note(array, row, chunk, block, count)
        self._changed.add(key)
        if count == self._record.chunk_draws:
            file.full.add(place)
            if len(file.full) == codec.grid.rows * codec.grid.chunks:
                self._write_file(key)

    def _write_file(self, key: FileKey) -> None:
        """Write a file of draws as it is now; one that is full is forgotten."""
        array, *place = key
        grid, file = self._codec(array).grid, self._open[key]
        self._put(self._path / array / grid.name(*place), join(file.chunks, grid))
        self._changed.discard(key)
        if len(file.full) == grid.rows * grid.chunks:
            del self._open[key]

    def _codec(self, array: str) -> Codec:
        group, _, name = array.partition("/")
        return self.codecs[group][name]

    def flush(self) -> None:
        """Write all files with draws that were not written yet; `sync` makes them durable."""
        for key in sorted(self._changed):
            self._write_file(key)

    def digests(self) -> Digests | None:
        """Of all that is written; committed are those that the root has."""
        return self._book.digests()

    def sync(self) -> None:
        """Wait until the names of all files written since the last sync are on the disk."""
        for folder in sorted(self._unsynced):
            self._fs.sync_folder(folder)
        self._unsynced.clear()

    def write_lengths(self, old: Root, new: Root) -> None:
        """Resize the arrays themselves, durably, for readers that pass over the consolidated metadata."""
        for path, member in new.members.items():
            if member != old.members[path]:
                self._put(self._path / path / ROOT, encode_member(member))
        self.sync()

    def replace_root(self, root: Root) -> bytes:
        """The commit: the bytes that stand at the root now. All that `root` tells of must be on the disk."""
        encoded = encode_root(root)
        self._fs.write(self._path / ROOT, encoded)
        self._fs.sync_folder(self._path)
        return encoded

    def root_is(self, encoded: bytes) -> bool:
        """Whether these bytes stand at the root."""
        try:
            return (self._path / ROOT).read_bytes() == encoded
        except FileNotFoundError:
            return False

    def condense(self, root: Root) -> Root:
        """Where there are many files of draws, put those that `root` has committed into fewer, durably and beside the
        old ones; returns the root that tells of them, which is `root` itself where files are few. Nothing else is
        waiting to be written. `remove_uncondensed` comes after the commit of it."""
        members = dict(root.members)
        for array, times in crowded(self._growing(root)).items():
            members[array] = coarser(members[array], times)
            self._copy(root, array, Codec(members[array]))
        self.sync()
        return root._replace(members=members) if members != root.members else root

    def _growing(self, root: Root) -> dict[str, Growing]:
        record = root.record
        chains = record.shards * record.shard_chains
        return {
            f"{group}/{name}": Growing(codec.grid, chains, record.draws[group], codec.dtype.itemsize)
            for group, codecs in self.codecs.items()
            for name, codec in codecs.items()
        }

    def _copy(self, root: Root, array: str, into: Codec) -> None:
        """Write all files of an array anew in a coarser grid, a file at a time, and go on in it."""
        before, group, name = self._codec(array).grid, *array.split("/")
        chains, draws = root.record.shards * root.record.shard_chains, root.record.draws[group]
        times = into.grid.chunks // before.chunks
        self.codecs[group][name] = into
        for row, number in into.grid.files(chains, draws):
            file = OpenFile({}, set())
            for part in range(min(times, -(-draws // before.file[1]) - number * times)):
                key = (array, row, number * times + part)
                opened = self._open.pop(key, None) or self._full_file(before, *key)
                behind = part * before.chunks
                file.chunks.update({Place(at.row, behind + at.chunk): data for at, data in opened.chunks.items()})
                file.full.update(Place(at.row, behind + at.chunk) for at in opened.full)
            self._open[array, row, number] = file
            self._write_file((array, row, number))

    def _full_file(self, grid: Grid, array: str, row: int, number: int) -> OpenFile:
        path = self._path / array / grid.name(row, number)
        chunks = _split(path.read_bytes(), grid, path)
        return OpenFile(chunks, set(chunks))

    def remove_uncondensed(self, before: Root, now: Root) -> None:
        """Remove the files of arrays that `condense` has put into larger ones."""
        for array in now.members:
            if now.members[array] != before.members[array]:
                group, _, name = array.partition("/")
                kept = committed_files(now.record, group, self.codecs[group][name])
                self._remove_all_but(self._path / array, {ROOT, *kept})

    def write_checkpoint(self, given: Checkpoint, committed: Root) -> str:
        """Write a checkpoint durably; returns its manifest's hash. committed: the root as it is now."""
        return checkpoint.write(self._fs, self._path, given, encode_root(by_nobody(committed), indent=None))

    def prune_checkpoints(self, root: Root) -> None:
        """Remove the checkpoints that `root` does not name."""
        checkpoint.prune(self._fs, self._path, root.record.checkpoints)

    def trim(self, root: Root) -> dict[tuple[str, int], Blocks]:
        """Remove what `root` has not committed; returns the unfinished chunk of every group and shard.

        An interrupted trim is completed by the next: nothing here touches a committed draw or checkpoint.
        """
        unfinished: dict[tuple[str, int], Blocks] = {}
        self._spanning.clear()
        self._open.clear()
        self._changed.clear()
        self._book = DigestBook(root.record.digests)
        for group, variables in self.variables.items():
            for name in variables:
                self._mend_length(root, f"{group}/{name}")
                kept = committed_files(root.record, group, self.codecs[group][name])
                self._remove_all_but(self._path / group / name, {ROOT, *kept})
                for shard, block in self._reopened(root, f"{group}/{name}"):
                    unfinished.setdefault((group, shard), {})[name] = block
        for entry in sorted(self._path.glob(f".*{PARTIAL}")):
            self._fs.remove(entry)
        self.flush()
        self.sync()
        self.prune_checkpoints(root)
        return unfinished

    def _put(self, path: Path, data: bytes) -> None:
        self._fs.write(path, data)
        self._unsynced.add(path.parent)

    def _remove_all_but(self, folder: Path, kept: set[str]) -> None:
        for name in sorted(set(os.listdir(folder)) - kept):
            self._fs.remove(folder / name)

    def _reopened(self, root: Root, array: str) -> Iterator[tuple[int, np.ndarray]]:
        """Open the last files of an array where they are not full, without draws beyond those committed, and hand out
        the chunks that are not full, by shard."""
        codec, record = self._codec(array), root.record
        draws, grid = record.draws[group_of(array)], codec.grid
        last, rest = divmod(draws, record.chunk_draws)
        if draws % grid.file[1] == 0:
            return
        for row, number in grid.files(record.shards * record.shard_chains, draws):
            if number != draws // grid.file[1]:
                continue
            path = self._path / array / grid.name(row, number)
            data = path.read_bytes()
            full = last % grid.chunks
            found = _split(data, grid, path)
            kept = {place: found[place] for place in found if place.chunk < full}
            self._open[array, row, number] = file = OpenFile(kept, set(kept))
            for place in sorted(place for place in found if place.chunk == full and rest):
                block = _decoded(codec, found[place], path)
                block[:, rest:] = codec.blank()[:, rest:]
                file.chunks[place] = codec.encode(block)
                yield from self._by_shard(block, row * grid.rows + place.row)
            if join(file.chunks, grid) != data:
                self._changed.add((array, row, number))

    def _by_shard(self, block: np.ndarray, row: int) -> Iterator[tuple[int, np.ndarray]]:
        """A chunk of an array's row of chunks, cut by shards."""
        chains = self._record.shard_chains
        for part, first in enumerate(range(0, len(block), chains)):
            yield row * (len(block) // chains) + part, block[first : first + chains].copy()

    def _mend_length(self, root: Root, member: str) -> None:
        path, data = self._path / member / ROOT, encode_member(root.members[member])
        if not path.exists() or path.read_bytes() != data:
            self._put(path, data)


def build_files(fs: Filesystem, folder: Path, keys: dict[str, bytes], root: Root) -> None:
    """Write a new store durably into `folder`, which holds its lock and perhaps the rests of an earlier attempt."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            fs.remove_tree(entry)
        elif entry.name != LOCK:
            fs.remove(entry)
    folders = sorted(
        {parent for key in keys for parent in Path(key).parents if parent.name} | {Path(checkpoint.FOLDER)}
    )
    for name in folders:
        fs.make_folder(folder / name)
    for key, data in keys.items():
        fs.write(folder / key, data)
    for name in reversed(folders):
        fs.sync_folder(folder / name)
    fs.write(folder / ROOT, encode_root(root))
    fs.sync_folder(folder)


def _decoded(codec: Codec, data: bytes, path: Path) -> np.ndarray:
    try:
        return codec.decode(data)
    except (ValueError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _split(data: bytes, grid: Grid, path: Path) -> dict[Place, bytes]:
    try:
        return split(data, grid)
    except ValueError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StoreDamaged:
    return StoreDamaged(
        f"the file {path} with committed draws is damaged ({error}). Restore it from a copy of the store."
    )
