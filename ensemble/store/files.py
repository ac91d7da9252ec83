"""The files of a store: built, written and synced in order, and trimmed to what is committed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ensemble.errors import StoreDamaged
from ensemble.store import checkpoint
from ensemble.store.chunks import Blocks, Codec, chunk_name, committed_chunks, spans_shards
from ensemble.store.contents import Checkpoint
from ensemble.store.disk.digests import DigestBook, Digests
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


class StoreFiles:
    """The files below `path`, through the file system `fs`."""

    def __init__(self, path: Path, fs: Filesystem, root: Root) -> None:
        """`root` tells the variables and their codecs, which never change."""
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

    def write_chunks(self, group: str, shard: int, chunks: list[tuple[int, Blocks]], count: int) -> None:
        """Write one shard's part of numbered chunks, of their first `count` draws; `sync` makes them durable. A chunk
        that spans all shards is written with the last of them."""
        for chunk, blocks in chunks:
            waiting = self._spanning.setdefault((group, chunk), Spanning(set(), {}))
            for name, block in blocks.items():
                codec = self.codecs[group][name]
                if not spans_shards(self._record, codec):
                    self._write_chunk(f"{group}/{name}", shard, chunk, block, count)
                    continue
                whole = waiting.blocks.setdefault(name, codec.blank())
                whole[shard * len(block) : (shard + 1) * len(block)] = block
            waiting.shards.add(shard)
            if len(waiting.shards) == self._record.shards:
                del self._spanning[group, chunk]
                for name, whole in waiting.blocks.items():
                    self._write_chunk(f"{group}/{name}", 0, chunk, whole, count)

    def _write_chunk(self, array: str, row: int, chunk: int, block: np.ndarray, count: int) -> None:
        group, _, name = array.partition("/")
        file = chunk_name(self.variables[group][name], row, chunk)
        self._put(self._path / array / file, self.codecs[group][name].encode(block))
        self._book.note(array, row, chunk, block, count)

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
        self._book = DigestBook(root.record.digests)
        for group, variables in self.variables.items():
            for name, variable in variables.items():
                kept = committed_chunks(root.record, group, variable, self.codecs[group][name])
                self._remove_all_but(self._path / group / name, {ROOT, *kept})
                for shard, block in self._unfinished(root, group, name):
                    unfinished.setdefault((group, shard), {})[name] = block
                self._mend_length(root, f"{group}/{name}")
        for entry in sorted(self._path.glob(f".*{PARTIAL}")):
            self._fs.remove(entry)
        self.sync()
        self.prune_checkpoints(root)
        return unfinished

    def _put(self, path: Path, data: bytes) -> None:
        self._fs.write(path, data)
        self._unsynced.add(path.parent)

    def _remove_all_but(self, folder: Path, kept: set[str]) -> None:
        for name in sorted(set(os.listdir(folder)) - kept):
            self._fs.remove(folder / name)

    def _unfinished(self, root: Root, group: str, name: str) -> Iterator[tuple[int, np.ndarray]]:
        """The last chunk of every shard where it is not full, on the disk too without draws beyond the committed."""
        chunk, draws = divmod(root.record.draws[group], root.record.chunk_draws)
        if draws == 0:
            return
        codec, chains = self.codecs[group][name], root.record.shard_chains
        for row in range(root.record.shards * chains // codec.shape[0]):
            path = self._path / group / name / chunk_name(self.variables[group][name], row, chunk)
            data = path.read_bytes()
            block = _decoded(codec, data, path)
            block[:, draws:] = codec.blank()[:, draws:]
            if (clean := codec.encode(block)) != data:
                self._put(path, clean)
            for part, first in enumerate(range(0, codec.shape[0], chains)):
                yield row * (codec.shape[0] // chains) + part, block[first : first + chains].copy()

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
        raise StoreDamaged(
            f"the file {path} with committed draws is damaged ({error}). Restore it from a copy of the store."
        ) from error
