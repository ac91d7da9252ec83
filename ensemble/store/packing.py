"""A store packed into one file, for archives, and made a folder again."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ensemble.errors import StoreDamaged, StoreError
from ensemble.store import checkpoint as checkpoints
from ensemble.store.disk.filesystem import DISK, PARTIAL, Filesystem
from ensemble.store.disk.packed import FROM_A_COPY, Place, is_packed
from ensemble.store.disk.place import place_errors, require_free, require_path, staging
from ensemble.store.integrity.checks import Checks, remedy
from ensemble.store.integrity.verification import verify_at
from ensemble.store.layout import ROOT
from ensemble.store.root import LOCK, Root, read_root, readable

ENDING = ".zip"


def pack(path: str | Path, out: str | Path | None = None, fs: Filesystem = DISK) -> Path:
    """Copy what is committed in the store at `path` into one zip file, which readers take as they take the folder.

    Nothing is compressed again. out: where nothing must be yet; None: the path with .zip after it. Raises StoreLocked
    where the store is being written, StoreDamaged where it, or the file, is not as written, and StoreError.
    """
    path = Path(path)
    require_path(path)
    read_root(path)
    if out is None:
        out = path if path.name else path.resolve()
        out = out.with_name(out.name + ENDING)
    out = Path(out)
    require_path(out)
    with ExitStack() as stack:
        with place_errors(out):
            require_free(out)
        lock = fs.lock(path / LOCK)
        stack.callback(lock.release)
        root = read_root(path)
        if damaged := verify_at(path, root).damaged:
            raise StoreDamaged(f"the file {path / damaged[0].file} is damaged: {damaged[0].why}. {remedy(path)}")
        partial = out.with_name(f".{out.name}{PARTIAL}")
        with place_errors(out):
            partial.unlink(missing_ok=True)
            stack.callback(partial.unlink, missing_ok=True)
            _write(partial, path, list(_files(path, root)))
            if verify_at(readable(partial), root).damaged:
                raise StoreDamaged(f"{out} was not written as it should be: the disk under it may be failing.")
            require_free(out)
            fs.replace(partial, out)
            fs.sync_folder(out.parent)
    return out


def unpack(path: str | Path, out: str | Path | None = None, fs: Filesystem = DISK) -> Path:
    """Make a folder of a packed store, to go on with its run.

    out: where nothing must be yet; None: the path without .zip. Raises StoreDamaged where the archive is not as it was
    written, and StoreError.
    """
    path = Path(path)
    require_path(path)
    if out is None and path.suffix != ENDING:
        raise StoreError(f"say where {path} is to be unpacked (--out): its name does not end in {ENDING}.")
    out = Path(out) if out is not None else path.with_suffix("")
    require_path(out)
    if path.exists() and not is_packed(path):
        raise StoreError(f"{path} is no packed store: give the file that `maxwell pack` made.")
    packed = readable(path)
    root = read_root(packed)
    if damaged := verify_at(packed, root).damaged:
        raise StoreDamaged(f"the file {packed / damaged[0].file} is damaged: {damaged[0].why}. {FROM_A_COPY}")
    building = staging(out)
    with place_errors(out):
        require_free(out)
        if building.exists():
            fs.remove_tree(building)
        files = list(_files(packed, root))
        folders = {str(parent) for file in files for parent in Path(file).parents if parent.name}
        for name in ("", *sorted(folders | {checkpoints.FOLDER})):
            fs.make_folder(building / name)
        for file in files:
            fs.write(building / file, (packed / file).read_bytes())
        for name in ("", *sorted(folders)):
            fs.sync_folder(building / name)
        if verify_at(building, root).damaged:
            raise StoreDamaged(f"{out} was not written as it should be: the disk under it may be failing.")
        require_free(out)
        fs.replace(building, out)
        fs.sync_folder(out.parent)
    return out


def _write(archive: Path, path: Path, files: list[str]) -> None:
    with open(archive, "xb") as raw:
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as packed:
            for name in files:
                # Of no date: two archives of one store are the same bytes.
                with packed.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                    file.write((path / name).read_bytes())
        raw.flush()
        os.fsync(raw.fileno())


def _files(path: Place, root: Root) -> Iterator[str]:
    """All that is committed, and nothing else."""
    growing = {f"{group}/{name}" for group, variables in root.variables().items() for name in variables}
    yield ROOT
    for member, told in root.members.items():
        yield f"{member}/{ROOT}"
        if told["node_type"] == "array" and member not in growing:
            names = (entry.name for entry in (path / member).iterdir())
            yield from sorted(f"{member}/{name}" for name in names if name != ROOT and not name.endswith(PARTIAL))
    yield from Checks(root).files
    for reference in root.record.checkpoints:
        for file, _, _ in checkpoints.files_of(path, reference):
            yield f"{checkpoints.FOLDER}/{reference.epoch}/{file.name}"
