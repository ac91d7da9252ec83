"""The one writer of a store, whose every commit is one atomic replacement of the root metadata.

Order of a commit: files of draws, shard files, manifest, array lengths, root metadata, each on the disk before the
next. The root has the digests of all that is committed, taken as it is written. Where files of draws have become many,
another commit follows, of the same draws in larger files, which are written beside the old ones: larger files, root,
the arrays' own metadata, removal of the old. What
lies beyond the committed lengths is invisible to readers, and is removed or overwritten by the next writer; so a crash
between any two operations leaves the last committed state, or the new one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ensemble.errors import StoreError, StoreLocked, StoreMismatch
from ensemble.store import checkpoint as checkpoints
from ensemble.store.arviz_schema import NAMES
from ensemble.store.buffers import DrawBuffers
from ensemble.store.checkpoint import Reference
from ensemble.store.contents import Checkpoint, Layout
from ensemble.store.disk import stop
from ensemble.store.disk.filesystem import Filesystem
from ensemble.store.disk.lock import Lock
from ensemble.store.files import StoreFiles
from ensemble.store.plain import plain
from ensemble.store.root import RECORD, Record, Root, new_writer, read_root

KEPT_CHECKPOINTS = 2


class ZarrStore:
    """A `RunStore` on a local disk. `opening.create` and `opening.reopen` make one; close it, or use it in a `with`."""

    def __init__(self, path: Path, fs: Filesystem, lock: Lock, root: Root) -> None:
        """Stand at the committed state `root`, that of an empty store, with `lock` held."""
        self.path, self._fs = path, fs
        self._lock = lock
        self._root, self._encoded = root, b""
        self._files = StoreFiles(path, fs, root)
        self._buffers = DrawBuffers(self._files.variables, self._files.codecs, root.record, {})
        self._open, self._sound, self._must_rewind = True, True, False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def locator(self) -> str:
        """The path."""
        return str(self.path)

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

    def stop_asked(self) -> str | None:
        """Who asked this writer to stop, as user@host; None while nobody did."""
        return stop.asked(self.path, self._root.record.writer.token)

    def take_over(self) -> None:
        """Become the writer of a store that was closed, or whose writer died, and trim what was not committed."""
        record = self._root.record
        self._replace_root(self._root.attributes, record._replace(writer=new_writer()))
        stop.forget(self.path, self._fs)
        self._trim()
        last = record.checkpoints[-1] if record.checkpoints else None
        self._must_rewind = last is not None and last.draws != record.draws
        self._condense()

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

        They count from the next commit on. Full files are written at once, beyond the committed length; the rest is
        kept in memory. Values are copied; floats may be narrowed to the variable's dtype.
        """
        self._require_usable()
        if self._must_rewind:
            raise StoreError(
                f"{self.path} holds draws beyond its last checkpoint, {self._root.record.checkpoints[-1].draws}. "
                "Going on from the checkpoint would record them twice: call rewind() first."
            )
        if finished := self._buffers.add(shard, group, draws):
            with self._writing():
                self._files.add_chunks(group, shard, finished, self._root.record.chunk_draws)

    def commit(self, checkpoint: Checkpoint | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        """Make all appended draws, a checkpoint and changed attributes of the run count, all of them or none.

        A checkpoint's epoch must be above the last one's (the same checkpoint again is allowed). The last two are kept.
        Draws committed without a checkpoint are readable, but `rewind` drops them before a resumed run goes on.
        After an error in the middle the store refuses to go on: reopen it.
        """
        self._require_usable()
        draws = self._buffers.even_draws()
        merged = {**self._root.attributes, **run_attributes(attributes or {})}
        repeated = checkpoint is not None and self._is_repeated(checkpoint)
        with self._writing():
            for group, shard, unfinished in self._buffers.take_unfinished():
                self._files.add_chunks(group, shard, unfinished, draws[group] % self._root.record.chunk_draws)
            self._files.flush()
            self._files.sync()
            named, digests = self._root.record.checkpoints, self._files.digests()
            tails = digests.tails(draws, self._root.record.chunk_draws) if digests else {}
            if repeated:
                named = (*named[:-1], named[-1]._replace(draws=draws, tails=tails))
            elif checkpoint is not None:
                manifest = self._files.write_checkpoint(checkpoint, self._root)
                named = (*named, Reference(int(checkpoint.epoch), manifest, draws, tails))[-KEPT_CHECKPOINTS:]
            record = self._root.record._replace(draws=draws, checkpoints=named, digests=digests)
            self._files.write_lengths(self._root, self._root.at({}, record))
            self._replace_root(merged, record)
            self._files.prune_checkpoints(self._root)
            self._condense()

    def load_checkpoint(self) -> Checkpoint:
        """The last committed checkpoint, every hash verified. StoreError where there is none, StoreDamaged."""
        named = self._root.record.checkpoints
        if not named:
            raise StoreError(f"{self.path} has no checkpoint to go on from: start the run anew at another path.")
        with checkpoints.with_remedy(self.path, named) as last:
            return checkpoints.read(self.path, last)

    def rewind(self) -> None:
        """Go back to the last checkpoint: give up all draws, committed or not, that were added after it.

        Durable at once. A reader that opened the store before may see fill values in place of the draws given up.
        """
        self._require_usable()
        record = self._root.record
        if not record.checkpoints:
            raise StoreError(f"{self.path} has no checkpoint to rewind to.")
        with self._writing():
            self._replace_root(self._root.attributes, record.back_at(record.checkpoints[-1]))
            self._trim()
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
        # Read as a whole only where it is not what this writer wrote last: it is looked at before every write.
        if self._files.root_is(self._encoded):
            return
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
        with disk_errors(self.path):
            self._require_current()
            yield
        self._sound = True

    def _is_repeated(self, checkpoint: Checkpoint) -> bool:
        """Whether this is the last checkpoint over again; StoreError where its epoch is not new and it is not."""
        checkpoints.check(checkpoint)
        named = self._root.record.checkpoints
        if not named or checkpoint.epoch > named[-1].epoch:
            return False
        if checkpoint.epoch == named[-1].epoch and checkpoints.is_written(self.path, named[-1], checkpoint):
            return True
        raise StoreError(
            f"a checkpoint of epoch {checkpoint.epoch} was given after that of epoch {named[-1].epoch}: "
            "epochs must grow, for a committed checkpoint is never written over."
        )

    def _replace_root(self, attributes: dict[str, Any], record: Record) -> None:
        """Commit, unless another writer has come since."""
        self._require_current()
        root = self._root.at(attributes, record)
        self._encoded = self._files.replace_root(root)
        self._root = root

    def _condense(self) -> None:
        """Put draws into fewer and larger files where there are many: a commit of its own, of the same draws."""
        before, condensed = self._root, self._files.condense(self._root)
        if condensed is before:
            return
        self._root = condensed
        self._replace_root(before.attributes, before.record)
        self._files.write_lengths(before, self._root)
        self._files.remove_uncondensed(before, self._root)

    def _trim(self) -> None:
        """Remove what is not committed, and stand at the committed draws."""
        unfinished = self._files.trim(self._root)
        self._buffers = DrawBuffers(self._files.variables, self._files.codecs, self._root.record, unfinished)


def run_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a run as they are stored. StoreError for names that are not the run's to give, and for objects."""
    if taken := sorted({RECORD, *NAMES} & set(attributes)):
        raise StoreError(f"the attribute {', '.join(map(repr, taken))} is the store's own: use another name.")
    return plain(attributes, "the attributes of the run")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say of a disk that fails what it means for the store at `path`."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot read or write {error.filename or path}: {error.strerror}. "
            f"What was committed to {path} before is intact: make room or mend access, then resume."
        ) from error
