"""The store of a run: one writer, whose every commit is one atomic replacement of the root metadata.

Order of a commit: chunks, shard files, manifest, array lengths, root metadata, each on the disk before the next. What
lies beyond the committed lengths is invisible to readers, and is removed or overwritten by the next writer; so a crash
between any two operations leaves the last committed state, or the new one.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ensemble.errors import StoreDamaged, StoreError, StoreLocked, StoreMismatch
from ensemble.store import checkpoint as checkpoints
from ensemble.store.checkpoint import Checkpoint, Reference
from ensemble.store.chunks import Blocks, ShardBuffer, require_chunks
from ensemble.store.files import StoreFiles, build_files
from ensemble.store.filesystem import DISK, Filesystem
from ensemble.store.layout import Layout, Variable, build
from ensemble.store.lock import Lock
from ensemble.store.plain import plain
from ensemble.store.reader import datasets, for_arviz, open, read_attributes, store_bytes
from ensemble.store.root import LOCK, RECORD, Record, Root, first_root, new_writer, read_root

__all__ = [
    "Checkpoint",
    "Layout",
    "Store",
    "Variable",
    "datasets",
    "for_arviz",
    "open",
    "read_attributes",
    "store_bytes",
]

KEPT_CHECKPOINTS = 2


class Store:
    """A store open for writing. Make one by `Store.create` or `Store.reopen`; close it, or use it in a `with`."""

    def __init__(self, path: Path, fs: Filesystem, lock: Lock, root: Root) -> None:
        """Stand at the committed state `root` with `lock` held; for `create` and `reopen`."""
        self.path = path
        self._lock = lock
        self._root = root
        self._files = StoreFiles(path, fs, root)
        self._variables = self._files.variables
        self._buffers: dict[tuple[str, int], ShardBuffer] = {}
        self._fill_buffers({})
        self._open, self._sound, self._must_rewind = True, True, False

    @classmethod
    def create(cls, path: str | Path, layout: Layout, attributes: Mapping[str, Any], fs: Filesystem = DISK) -> "Store":
        """Make an empty store at `path`, which must not exist, and open it for writing.

        It is built beside `path` and renamed once complete: a store that exists is whole.
        Raises StoreError where `path` exists or the layout or the attributes cannot be stored.
        """
        path = Path(path)
        keys = build(layout)
        root = first_root(layout, keys, _run_attributes(attributes))
        staging = path.with_name(f".{path.name}.creating")
        with ExitStack() as stack, _disk_errors(path):
            _require_free(path)
            _make_folders(fs, staging)
            lock = fs.lock(staging / LOCK)
            stack.callback(lock.release)
            _require_free(path)
            build_files(fs, staging, keys, root)
            fs.replace(staging, path)
            fs.sync_folder(path.parent)
            store = cls(path, fs, lock, root)
            stack.pop_all()
        return store

    @classmethod
    def reopen(cls, path: str | Path, fs: Filesystem = DISK, *, previous_checkpoint: bool = False) -> "Store":
        """Open a store for writing at its last committed state: verify it, take it over, trim what was not committed.

        previous_checkpoint: go back to the checkpoint before the last (for when the last is damaged), giving up the
        draws committed since. Raises StoreLocked, StoreDamaged, StoreVersion or StoreError.
        """
        path = Path(path)
        # Checked before the lock is taken, lest a wrong path be given a lock file.
        read_root(path)
        with ExitStack() as stack, _disk_errors(path):
            lock = fs.lock(path / LOCK)
            stack.callback(lock.release)
            store = cls(path, fs, lock, read_root(path))
            record = store._root.record
            if previous_checkpoint:
                record = _without_last_checkpoint(path, record)
            _verify(path, store._root.at({}, record))
            store._replace_root(store._root.attributes, record._replace(writer=new_writer()))
            store._fill_buffers(store._files.trim(store._root))
            stack.pop_all()
        last = record.checkpoints[-1] if record.checkpoints else None
        store._must_rewind = last is not None and last.draws != record.draws
        return store

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def attributes(self) -> dict[str, Any]:
        """The committed attributes of the run (a copy)."""
        return plain(self._root.attributes, "attributes")

    @property
    def committed(self) -> dict[str, int]:
        """The committed number of draws of every group."""
        return dict(self._root.record.draws)

    @property
    def layout(self) -> Layout:
        """The recorded variables and the shape of the shards, without coordinates and static arrays."""
        record = self._root.record
        return Layout(self._root.variables(), record.shard_chains, record.shards, record.chunk_draws)

    def require(self, expected: Mapping[str, Any]) -> None:
        """StoreMismatch where an attribute of the run (its model's fingerprint, say) is not as expected."""
        for name, value in plain(expected, "the expected attributes").items():
            if (found := self._root.attributes.get(name)) != value:
                raise StoreMismatch(
                    f"{self.path} has {name} = {found!r}, but this run has {name} = {value!r}: "
                    "resume it with the model and settings that made it, or start a new run at another path."
                )

    def append(self, shard: int, group: str, draws: Mapping[str, np.ndarray]) -> None:
        """Add draws of one shard to a group: {variable: [n, shard_chains, *shape]}, all variables at once.

        They count from the next commit on. Finished chunks are written at once, beyond the committed length; the rest
        is kept in memory. Values are copied; floats may be narrowed to the variable's dtype.
        """
        self._require_usable()
        if self._must_rewind:
            raise StoreError(
                f"{self.path} holds draws beyond its last checkpoint, {self._root.record.checkpoints[-1].draws}. "
                "Going on from the checkpoint would record them twice: call rewind() first."
            )
        blocks = self._admit(shard, group, draws)
        finished = self._buffers[group, shard].add(blocks)
        if finished:
            with self._writing():
                self._files.write_chunks(group, shard, finished)

    def commit(self, checkpoint: Checkpoint | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        """Make all appended draws, a checkpoint and changed attributes of the run count, all of them or none.

        A checkpoint's epoch must be above the last one's (the same checkpoint again is allowed). The last two are kept.
        Draws committed without a checkpoint are readable, but `rewind` drops them before a resumed run goes on.
        After an error in the middle the store refuses to go on: reopen it.
        """
        self._require_usable()
        draws = self._even_draws()
        merged = {**self._root.attributes, **_run_attributes(attributes or {})}
        repeated = checkpoint is not None and self._is_repeated(checkpoint)
        with self._writing():
            for (group, shard), buffer in self._buffers.items():
                self._files.write_chunks(group, shard, buffer.take_unfinished())
            self._files.sync()
            named = self._root.record.checkpoints
            if repeated:
                named = (*named[:-1], named[-1]._replace(draws=draws))
            elif checkpoint is not None:
                manifest = self._files.write_checkpoint(checkpoint)
                named = (*named, Reference(int(checkpoint.epoch), manifest, draws))[-KEPT_CHECKPOINTS:]
            record = self._root.record._replace(draws=draws, checkpoints=named)
            self._files.write_lengths(self._root, self._root.at({}, record))
            self._replace_root(merged, record)
            self._files.prune_checkpoints(self._root)

    def load_checkpoint(self) -> Checkpoint:
        """The last committed checkpoint, every hash verified. StoreError where there is none, StoreDamaged."""
        named = self._root.record.checkpoints
        if not named:
            raise StoreError(f"{self.path} has no checkpoint yet: start the run anew at another path.")
        return checkpoints.read(self.path, named[-1])

    def rewind(self) -> None:
        """Go back to the last checkpoint: give up all draws, committed or not, that were added after it.

        Durable at once. A reader that opened the store before may see fill values in place of the draws given up.
        """
        self._require_usable()
        record = self._root.record
        if not record.checkpoints:
            raise StoreError(f"{self.path} has no checkpoint to rewind to.")
        with self._writing():
            self._replace_root(self._root.attributes, record._replace(draws=record.checkpoints[-1].draws))
            self._fill_buffers(self._files.trim(self._root))
        self._must_rewind = False

    def close(self) -> None:
        """Release the lock. Draws that were not committed are given up. Closing twice is allowed."""
        self._open = False
        self._lock.release()

    def _require_usable(self) -> None:
        if not self._open:
            raise StoreError(f"the store {self.path} is closed: reopen it to write.")
        if not self._sound:
            raise StoreError(f"an earlier write to {self.path} failed: close the store and reopen it to go on.")

    def _require_current(self) -> None:
        """The epoch token: on file systems where locks do not reach other machines, the last writer to come wins."""
        current, own = read_root(self.path).record.writer, self._root.record.writer
        if current.token != own.token:
            raise StoreLocked(
                f"{self.path} was taken over by process {current.process} on host {current.host}: "
                "this writer has nothing more to say. Stop this run; the other one goes on from the last checkpoint."
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Writes happen in here: where one is cut short, what is in memory and on the disk may differ for good."""
        self._sound = False
        with _disk_errors(self.path):
            self._require_current()
            yield
        self._sound = True

    def _admit(self, shard: int, group: str, draws: Mapping[str, np.ndarray]) -> Blocks:
        """The given draws as [shard_chains, n, *shape] in the stored dtypes, all checked before any is taken."""
        if (group, shard) not in self._buffers:
            raise StoreError(
                f"the store has no shard {shard!r} in group {group!r}: shards are 0 to {self._root.record.shards - 1}, "
                f"groups {sorted(self._variables)}."
            )
        if set(draws) != set(self._variables[group]):
            raise StoreError(
                f"group {group!r} was given {sorted(draws)}, but has {sorted(self._variables[group])}: "
                "append all its variables at once, and no others."
            )
        blocks = {name: self._converted(group, name, np.asarray(values)) for name, values in draws.items()}
        lengths = {name: block.shape[1] for name, block in blocks.items()}
        if len(set(lengths.values())) > 1:
            raise StoreError(f"group {group!r} was given different numbers of draws, {lengths}: they must agree.")
        return blocks

    def _converted(self, group: str, name: str, values: np.ndarray) -> np.ndarray:
        variable, chains = self._variables[group][name], self._root.record.shard_chains
        dtype = self._files.codecs[group][name].dtype
        fits = np.can_cast(values.dtype, dtype) or values.dtype.kind == dtype.kind == "f"
        if values.shape[1:] != (chains, *variable.shape) or not fits:
            raise StoreError(
                f"{group}/{name} was given {values.dtype} of shape {values.shape}: "
                f"it takes {dtype} of shape (draws, {', '.join(map(str, (chains, *variable.shape)))})."
            )
        return values.astype(dtype, copy=False).swapaxes(0, 1)

    def _even_draws(self) -> dict[str, int]:
        """The draws of every group, which all shards must have alike."""
        draws = {}
        for group in self._variables:
            lengths = [self._buffers[group, shard].draws for shard in range(self._root.record.shards)]
            if len(set(lengths)) > 1:
                raise StoreError(
                    f"the shards of group {group!r} have {lengths} draws: append as many for every shard, then commit."
                )
            draws[group] = lengths[0]
        return draws

    def _is_repeated(self, checkpoint: Checkpoint) -> bool:
        """Whether this is the last checkpoint over again; StoreError where its epoch is not new and it is not."""
        checkpoints.check(checkpoint)
        named = self._root.record.checkpoints
        if not named or checkpoint.epoch > named[-1].epoch:
            return False
        if checkpoint.epoch == named[-1].epoch and checkpoints.manifest_hash(checkpoint) == named[-1].manifest:
            return True
        raise StoreError(
            f"a checkpoint of epoch {checkpoint.epoch} was given after that of epoch {named[-1].epoch}: "
            "epochs must grow, for a committed checkpoint is never written over."
        )

    def _replace_root(self, attributes: dict[str, Any], record: Record) -> None:
        """Commit, unless another writer has come since."""
        self._require_current()
        root = self._root.at(attributes, record)
        self._files.replace_root(root)
        self._root = root

    def _fill_buffers(self, unfinished: dict[tuple[str, int], Blocks]) -> None:
        """Stand at the committed draws, given the unfinished chunks that hold some of them."""
        record = self._root.record
        self._buffers = {
            (group, shard): ShardBuffer(
                self._files.codecs[group], record.chunk_draws, record.draws[group], unfinished.get((group, shard))
            )
            for group in self._variables
            for shard in range(record.shards)
        }


def _run_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    if RECORD in attributes:
        raise StoreError(f"the attribute {RECORD!r} is the store's own: use another name.")
    return plain(attributes, "the attributes of the run")


def _require_free(path: Path) -> None:
    if path.exists():
        raise StoreError(f"{path} exists: resume the run in it, or give a new run another path.")


def _make_folders(fs: Filesystem, path: Path) -> None:
    """Make `path` and the folders above it where missing, durably."""
    if not path.exists():
        _make_folders(fs, path.parent)
        fs.make_folder(path)
        fs.sync_folder(path.parent)


def _verify(path: Path, root: Root) -> None:
    """StoreDamaged where committed draws or the last checkpoint are not as written; says whether the other one is."""
    require_chunks(path, root)
    if not root.record.checkpoints:
        return
    *earlier, last = root.record.checkpoints
    try:
        checkpoints.verify(path, last)
    except StoreDamaged as error:
        raise StoreDamaged(f"{error} {_remedy(path, earlier)}") from error


def _remedy(path: Path, earlier: list[Reference]) -> str:
    """What to do where the last checkpoint is damaged."""
    restore = "Restore that file from a copy of the store"
    if not earlier:
        return f"{restore}: there is no earlier checkpoint."
    previous = earlier[-1]
    try:
        checkpoints.verify(path, previous)
    except StoreDamaged:
        return f"{restore}: the checkpoint before it, of epoch {previous.epoch}, is damaged too."
    return (
        f"{restore}, or reopen with previous_checkpoint=True: the checkpoint before it, of epoch {previous.epoch}, is "
        f"intact. That gives up the draws committed since; it keeps {previous.draws}."
    )


def _without_last_checkpoint(path: Path, record: Record) -> Record:
    if len(record.checkpoints) < 2:
        raise StoreError(f"{path} has no checkpoint before the last: reopen it without previous_checkpoint.")
    previous = record.checkpoints[-2]
    return record._replace(checkpoints=(previous,), draws=previous.draws)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot read or write {error.filename or path}: {error.strerror}. "
            f"What was committed to {path} before is intact: make room or mend access, then resume."
        ) from error
