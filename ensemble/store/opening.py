"""Stores made, found, reopened and read: the one place that chooses what keeps them, today Zarr on a local disk."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ensemble.errors import StoreDamaged, StoreError, StoreVersion
from ensemble.store import checkpoint as checkpoints
from ensemble.store.arviz_schema import now, schema_attributes
from ensemble.store.chunking.codec import require_files
from ensemble.store.contents import Layout, Verification
from ensemble.store.disk import lock as locks
from ensemble.store.disk import place
from ensemble.store.disk import stop as stops
from ensemble.store.disk.filesystem import DISK, Filesystem
from ensemble.store.disk.lock import Lock
from ensemble.store.disk.packed import FROM_A_COPY as FROM_A_COPY
from ensemble.store.disk.packed import is_packed as is_packed
from ensemble.store.disk.place import place_errors, require_free, staging
from ensemble.store.files import build_files
from ensemble.store.integrity import recovery as recoveries
from ensemble.store.integrity import verification
from ensemble.store.integrity.checks import remedy
from ensemble.store.layout import ROOT, build
from ensemble.store.packing import pack as pack  # for commands
from ensemble.store.packing import unpack as unpack
from ensemble.store.reader import ZarrReader
from ensemble.store.root import LOCK, Record, Root, first_root, read_root, readable
from ensemble.store.root import repair_command as repair_command  # for messages outside
from ensemble.store.writer import ZarrStore, disk_errors, run_attributes


def create(
    path: str | Path, layout: Layout, attributes: Mapping[str, Any], fs: Filesystem = DISK, *, over: bool = False
) -> ZarrStore:
    """Make an empty store at `path`, which must not exist, and open it for writing.

    It is built beside `path` and renamed once complete: a store that exists is whole. `require_place` asks before.
    over: there may be one in which nothing was ever committed, whose place it takes. Raises StoreError where `path`
    exists or the layout or the attributes cannot be stored, StoreLocked where somebody writes to what is there.
    """
    path, given, created_at = Path(path), run_attributes(attributes), now()
    keys = build(layout, given, created_at)
    root = first_root(layout, keys, given, schema_attributes(given, created_at, sampled=True))
    building = staging(path)
    with ExitStack() as stack, place_errors(path):
        if not over or unbegun(path) is None:
            require_free(path)
        _make_folders(fs, building)
        lock = fs.lock(building / LOCK)
        stack.callback(lock.release)
        build_files(fs, building, keys, root)
        if over and unbegun(path) is not None:
            _remove_unbegun(path, fs)
        require_free(path)
        fs.replace(building, path)
        fs.sync_folder(path.parent)
        store = ZarrStore(path, fs, lock, root)
        stack.pop_all()
    return store


def require_place(path: str | Path, *, over: bool = False) -> None:
    """Raises StoreError, at once, where `create` could not make a store at `path`."""
    place.require_place(Path(path), DISK, free=not over or unbegun(path) is None)


def unbegun(path: str | Path) -> dict[str, Any] | None:
    """The attributes of a store in which nothing was ever committed, as a run leaves it that is killed before its first
    checkpoint; None for whatever else is at `path`, or nothing."""
    try:
        root = read_root(Path(path))
    except StoreError:
        return None
    return None if root.record.checkpoints or any(root.record.draws.values()) else dict(root.attributes)


def _remove_unbegun(path: Path, fs: Filesystem) -> None:
    """Remove such a store, unless somebody writes to it or has begun it meanwhile."""
    lock = fs.lock(path / LOCK)
    try:
        if unbegun(path) is not None:
            fs.remove_tree(path)
    finally:
        lock.release()


def reopen(path: str | Path, fs: Filesystem = DISK, *, previous_checkpoint: bool = False) -> ZarrStore:
    """Open a store for writing at its last committed state: verify it, take it over, trim what was not committed.

    previous_checkpoint: go back to the checkpoint before the last, which must be damaged, giving up the draws committed
    since. Raises StoreLocked, StoreDamaged, StoreVersion or StoreError.
    """
    path = Path(path)
    lock, root = _held(path, fs, previous_checkpoint)
    with ExitStack() as stack:
        stack.callback(lock.release)
        store = _taken_over(path, fs, lock, root)
        stack.pop_all()
    return store


@contextmanager
def hold(
    path: str | Path, fs: Filesystem = DISK, *, previous_checkpoint: bool = False
) -> Iterator[Callable[[], ZarrStore]]:
    """A block in which nobody else may write to a store, which was verified and is not changed; what it yields opens
    the store then. Arguments and errors are those of `reopen`."""
    path = Path(path)
    lock, root = _held(path, fs, previous_checkpoint)
    try:
        yield lambda: _taken_over(path, fs, lock, root)
    finally:
        lock.release()


def _held(path: Path, fs: Filesystem, previous_checkpoint: bool) -> tuple[Lock, Root]:
    """The lock of a store, and the state in it to go on from, verified."""
    # Checked before the lock is taken, lest a wrong path be given a lock file.
    read_root(path)
    with ExitStack() as stack, disk_errors(path):
        lock = fs.lock(path / LOCK)
        stack.callback(lock.release)
        root = read_root(path)
        if previous_checkpoint:
            root = root.at(root.attributes, _without_last_checkpoint(path, root.record))
        _verify(path, root)
        stack.pop_all()
    return lock, root


def _taken_over(path: Path, fs: Filesystem, lock: Lock, root: Root) -> ZarrStore:
    with disk_errors(path):
        store = ZarrStore(path, fs, lock, root)
        store.take_over()
    return store


def verify(path: str | Path) -> Verification:
    """Look at every committed file of a store, also while it is being written. Raises StoreError, StoreVersion."""
    return verification.verify(readable(path))


def repair(path: str | Path, fs: Filesystem = DISK) -> tuple[str, ...]:
    """Go back to the last sound commit of a damaged store: write anew what the store knows twice, cut what is damaged
    and what came after it. Returns sentences on what was lost.

    A store that is sound is left alone. Raises StoreLocked, StoreVersion, and StoreError where only a copy helps.
    """
    path = Path(path)
    found = verify(path)
    if not found.damaged:
        return ()
    if is_packed(path):
        raise StoreError(f"{path} is an archive, which is not repaired. {FROM_A_COPY}")
    with ExitStack() as stack, disk_errors(path):
        lock = fs.lock(path / LOCK)
        stack.callback(lock.release)
        recovery = recoveries.last_sound(path)
        recoveries.mend(path, fs, recovery)
        _taken_over(path, fs, lock, recovery.root)
    return recovery.lost


def reader(path: str | Path) -> ZarrReader:
    """The store at `path` as it is committed now. Raises StoreError, StoreDamaged or StoreVersion."""
    return ZarrReader(path)


def find(folder: str | Path) -> list[Path]:
    """The stores below a folder, or the folder itself where it is one, by name. Hidden folders and links to others are
    left out. Raises StoreError where there is no such folder."""
    if not Path(folder).is_dir():
        raise StoreError(f"there is no folder {folder}")
    found = []
    for above, folders, _ in os.walk(folder):
        if is_store(above):
            found.append(Path(above))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return found


def is_store(path: str | Path) -> bool:
    """Whether there is a store at `path`, of any version and in any state."""
    try:
        read_root(Path(path))
    except (StoreDamaged, StoreVersion):
        return True
    except StoreError:
        return False
    return True


def committed_at(path: str | Path) -> float:
    """When the last commit was [seconds since 1970], by the clock of the disk; of a packed store when it was packed."""
    path = Path(path)
    with disk_errors(path):
        return (path if is_packed(path) else path / ROOT).stat().st_mtime


def writer_of(path: str | Path) -> str | None:
    """Who writes to the store at `path`; None where nobody does, as far as this machine can tell."""
    return None if is_packed(Path(path)) else locks.holder(Path(path) / LOCK)


def request_stop(path: str | Path, fs: Filesystem = DISK) -> None:
    """Ask the present writer of the store at `path` to stop after its round. The next one is not meant. Raises
    StoreError where there is no store, or it cannot be written."""
    path = Path(path)
    token = read_root(path).record.writer.token
    with disk_errors(path):
        stops.ask(path, token, fs)


def stop_asked(path: str | Path) -> str | None:
    """Who asked the present or last writer of the store at `path` to stop, as user@host; None where nobody did."""
    path = Path(path)
    return None if is_packed(path) else stops.asked(path, read_root(path).record.writer.token)


def _make_folders(fs: Filesystem, path: Path) -> None:
    """Make `path` and the folders above it where missing, durably."""
    if not path.exists():
        _make_folders(fs, path.parent)
        fs.make_folder(path)
        fs.sync_folder(path.parent)


def _verify(path: Path, root: Root) -> None:
    """StoreDamaged where committed draws or the last checkpoint are not as written; says whether the other one is."""
    require_files(path, root)
    for file, _, why in verification.files_of(path, root):
        if why:
            raise StoreDamaged(f"the file {path / file} is damaged: {why}. {remedy(path)}")
    if not root.record.checkpoints:
        return
    with checkpoints.with_remedy(path, root.record.checkpoints) as last:
        checkpoints.verify(path, last)


def _without_last_checkpoint(path: Path, record: Record) -> Record:
    if len(record.checkpoints) < 2:
        raise StoreError(f"{path} has no checkpoint before the last: go on without previous_checkpoint.")
    previous, last = record.checkpoints[-2:]
    try:
        checkpoints.verify(path, last)
    except StoreDamaged:
        return record.back_at(previous)
    raise StoreError(
        f"the last checkpoint of {path}, of epoch {last.epoch}, is intact: go on from it, without previous_checkpoint, "
        "which would give up draws for nothing."
    )
