"""Stores made, reopened and read: the one place that chooses what keeps them, today Zarr on a local disk."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ensemble.errors import StoreDamaged, StoreError
from ensemble.store import checkpoint as checkpoints
from ensemble.store.arviz_schema import now, schema_attributes
from ensemble.store.checkpoint import Reference
from ensemble.store.chunks import require_chunks
from ensemble.store.contents import Layout
from ensemble.store.disk.filesystem import DISK, Filesystem
from ensemble.store.files import build_files
from ensemble.store.layout import build
from ensemble.store.reader import ZarrReader
from ensemble.store.root import LOCK, Record, Root, first_root, read_root
from ensemble.store.writer import ZarrStore, disk_errors, run_attributes


def create(path: str | Path, layout: Layout, attributes: Mapping[str, Any], fs: Filesystem = DISK) -> ZarrStore:
    """Make an empty store at `path`, which must not exist, and open it for writing.

    It is built beside `path` and renamed once complete: a store that exists is whole.
    Raises StoreError where `path` exists or the layout or the attributes cannot be stored.
    """
    path, given, created_at = Path(path), run_attributes(attributes), now()
    keys = build(layout, given, created_at)
    root = first_root(layout, keys, given, schema_attributes(given, created_at, sampled=True))
    staging = path.with_name(f".{path.name}.creating")
    with ExitStack() as stack, disk_errors(path):
        _require_free(path)
        _make_folders(fs, staging)
        lock = fs.lock(staging / LOCK)
        stack.callback(lock.release)
        _require_free(path)
        build_files(fs, staging, keys, root)
        fs.replace(staging, path)
        fs.sync_folder(path.parent)
        store = ZarrStore(path, fs, lock, root)
        stack.pop_all()
    return store


def reopen(path: str | Path, fs: Filesystem = DISK, *, previous_checkpoint: bool = False) -> ZarrStore:
    """Open a store for writing at its last committed state: verify it, take it over, trim what was not committed.

    previous_checkpoint: go back to the checkpoint before the last (for when the last is damaged), giving up the
    draws committed since. Raises StoreLocked, StoreDamaged, StoreVersion or StoreError.
    """
    path = Path(path)
    # Checked before the lock is taken, lest a wrong path be given a lock file.
    read_root(path)
    with ExitStack() as stack, disk_errors(path):
        lock = fs.lock(path / LOCK)
        stack.callback(lock.release)
        root = read_root(path)
        if previous_checkpoint:
            root = root.at(root.attributes, _without_last_checkpoint(path, root.record))
        _verify(path, root)
        store = ZarrStore(path, fs, lock, root)
        store.take_over()
        stack.pop_all()
    return store


def reader(path: str | Path) -> ZarrReader:
    """The store at `path` as it is committed now. Raises StoreError, StoreDamaged or StoreVersion."""
    return ZarrReader(path)


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
