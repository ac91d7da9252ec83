"""Checkpoints: the complete state of a run, in files whose hashes form a chain up to the root of the store.

checkpoint/<epoch>/shard-<i>.npz and coordinator.npz hold arrays; manifest.json, written last, holds their hashes; the
root attributes hold the hash of the manifest. A checkpoint that the root names is therefore whole or found out. Where
there are more than MOST_FILES shards, a file has several.
"""

import hashlib
import io
import json
import shlex
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensemble.errors import StoreDamaged, StoreError, StoreVersion
from ensemble.store.contents import Checkpoint, CoordinatorState
from ensemble.store.disk.filesystem import Filesystem
from ensemble.store.disk.packed import FROM_A_COPY, Packed, Place
from ensemble.store.plain import plain

FOLDER = "checkpoint"
MANIFEST = "manifest.json"
COORDINATOR = "coordinator.npz"
BEFORE = "root_before"
"""The key of a manifest that has the root of the commit before as text; checkpoints of old stores have none."""
FORMAT_VERSION = 8
"""Of what a checkpoint holds; the draws beside it are read whatever it is."""
READABLE = (7, FORMAT_VERSION)
"""7 had a file for every shard."""
TOGETHER = "shards_per_file"
"""The key of a manifest that says how many shards a file has; where it is more than one, names of arrays begin with the
shard's number and a slash."""
MOST_FILES = 8
"""Files of shards in a checkpoint."""
ALLOWED_KINDS = "biufcSU"


NO_TAILS: dict[str, str] = {}
"""Of a checkpoint at the end of a chunk, or in a store without digests."""


class Reference(NamedTuple):
    """How the root names a checkpoint.

    epoch: the round counter, which is its folder's name.
    manifest: the sha256 of its manifest.
    draws: those committed along with it, by group.
    tails: the digests of the chunks that were not full then, by array.
    """

    epoch: int
    manifest: str
    draws: dict[str, int]
    tails: dict[str, str] = NO_TAILS


def check(checkpoint: Checkpoint) -> None:
    """Refuse, before anything is written, what cannot be stored without pickle."""
    plain(checkpoint.info, "the checkpoint's info")
    for file, arrays in _parts(checkpoint):
        for name, array in arrays.items():
            if (dtype := np.asarray(array).dtype).kind not in ALLOWED_KINDS:
                raise StoreError(
                    f"checkpoint array {name!r} of {file} has dtype {dtype}. Allowed are booleans, numbers and "
                    "strings: convert it (a random key to its key data, a small float to float32)."
                )


def write(fs: Filesystem, root: Path, checkpoint: Checkpoint, before: bytes) -> str:
    """Write a checkpoint durably into a fresh folder; returns the hash of its manifest, for the root to name.

    before: the root of the commit before, kept in the manifest for the case that the root is lost.
    """
    folder = root / FOLDER / str(checkpoint.epoch)
    fs.make_folder(folder)
    files = {}
    for file, arrays in _parts(checkpoint):
        data = _pack(arrays)
        files[file] = _hash(data)
        fs.write(folder / file, data)
    manifest = _manifest(checkpoint, files, before.decode())
    fs.write(folder / MANIFEST, manifest)
    fs.sync_folder(folder)
    fs.sync_folder(folder.parent)
    return _hash(manifest)


def is_written(root: Path, reference: Reference, checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint is the one that `reference` names. StoreDamaged where that one's manifest is."""
    written = json.loads(_intact(root / FOLDER / str(reference.epoch) / MANIFEST, reference.manifest))
    files = {file: _hash(_pack(arrays)) for file, arrays in _parts(checkpoint)}
    return _hash(_manifest(checkpoint, files, written.get(BEFORE))) == reference.manifest


def roots_before(root: Place) -> Iterator[bytes]:
    """The roots that the manifests keep of the commits before them, the latest first; they verify themselves."""
    folders: list[Place] = [*(root / FOLDER).iterdir()] if (root / FOLDER).is_dir() else []
    for folder in sorted(folders, key=lambda f: int(f.name) if f.name.isdecimal() else -1, reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            yield json.loads((folder / MANIFEST).read_bytes())[BEFORE].encode()


def files_of(root: Place, reference: Reference) -> Iterator[tuple[Place, bytes | None, str]]:
    """Every file of a checkpoint, whatever its format: its path, its bytes where it is as written, else what is wrong.
    Where the manifest is not, the others cannot be told."""
    folder = root / FOLDER / str(reference.epoch)
    data, why = _looked_at(folder / MANIFEST, reference.manifest)
    yield folder / MANIFEST, data, why
    for file, recorded in json.loads(data)["sha256"].items() if data else ():
        yield folder / file, *_looked_at(folder / file, recorded)


def _looked_at(path: Place, expected: str) -> tuple[bytes | None, str]:
    try:
        return _intact(path, expected), ""
    except StoreDamaged as error:
        return None, str(error)


def verify(root: Place, reference: Reference) -> None:
    """Read every file of a checkpoint and compare its hash; StoreDamaged names the first that is not as written."""
    for _ in _verified(root, reference):
        pass


@contextmanager
def with_remedy(root: Place, named: Sequence[Reference]) -> Iterator[Reference]:
    """The last of the checkpoints that a root names, oldest first. StoreDamaged that is raised in the block says what
    to do about it, and whether the checkpoint before is intact."""
    *earlier, last = named
    try:
        yield last
    except StoreDamaged as error:
        raise StoreDamaged(f"{error} {_remedy(root, earlier)}") from error


def _remedy(root: Place, earlier: list[Reference]) -> str:
    if isinstance(root, Packed):
        return FROM_A_COPY
    restore = "Restore that file from a copy of the store"
    if not earlier:
        return f"{restore}: there is no earlier checkpoint."
    previous = earlier[-1]
    try:
        verify(root, previous)
    except StoreDamaged:
        return f"{restore}: the checkpoint before it, of epoch {previous.epoch}, is damaged too."
    command = shlex.join(["maxwell", "resume", str(root), "--previous-checkpoint"])
    return (
        f"{restore}, or go on from the checkpoint before it, of epoch {previous.epoch}, which is intact: `{command}`, "
        f"in Python maxwell.resume({str(root)!r}, previous_checkpoint=True). That keeps "
        f"{previous.draws.get('posterior', 0)} draws of each stored chain, and makes those since anew."
    )


def read(root: Place, reference: Reference) -> Checkpoint:
    """Load a checkpoint, every hash verified."""
    files = dict(_verified(root, reference))
    manifest = json.loads(files.pop(MANIFEST))
    info, together = manifest["info"], manifest.get(TOGETHER, 1)
    coordinator = _unpack(files.pop(COORDINATOR))
    return Checkpoint(reference.epoch, list(_shards(files, together)), coordinator, info)


def read_coordinator(root: Place, reference: Reference) -> CoordinatorState:
    """Load the coordinator's part alone, its hashes verified, whatever format the shards beside it have."""
    folder = root / FOLDER / str(reference.epoch)
    manifest = json.loads(_intact(folder / MANIFEST, reference.manifest))
    arrays = _unpack(_intact(folder / COORDINATOR, manifest["sha256"][COORDINATOR]))
    return CoordinatorState(reference.epoch, arrays, manifest["info"])


def prune(fs: Filesystem, root: Path, keep: tuple[Reference, ...]) -> None:
    """Remove every checkpoint that the root does not name: the old ones, and those never committed."""
    names = {str(reference.epoch) for reference in keep}
    for entry in sorted((root / FOLDER).iterdir()):
        if entry.name not in names:
            fs.remove_tree(entry)


def _parts(checkpoint: Checkpoint) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
    together = _together(checkpoint)
    for i, first in enumerate(range(0, len(checkpoint.shards), together)):
        yield _shard(i), _joined(checkpoint.shards[first : first + together], first, together)
    yield COORDINATOR, checkpoint.coordinator


def _together(checkpoint: Checkpoint) -> int:
    """How many shards a file has."""
    return max(1, -(-len(checkpoint.shards) // MOST_FILES))


def _joined(shards: list[dict[str, np.ndarray]], first: int, together: int) -> Mapping[str, np.ndarray]:
    """The arrays of a file, with the shards from number `first` on."""
    if together == 1:
        return shards[0]
    return {f"{first + i}/{name}": array for i, arrays in enumerate(shards) for name, array in arrays.items()}


def _shards(files: Mapping[str, bytes], together: int) -> Iterator[dict[str, np.ndarray]]:
    """The shards that `_joined` put into files."""
    for i in range(len(files)):
        arrays = _unpack(files[_shard(i)])
        if together == 1:
            yield arrays
            continue
        found: dict[str, dict[str, np.ndarray]] = {}
        for key, array in arrays.items():
            shard, _, name = key.partition("/")
            found.setdefault(shard, {})[name] = array
        yield from found.values()


def _shard(i: int) -> str:
    return f"shard-{i}.npz"


def _manifest(checkpoint: Checkpoint, files: dict[str, str], before: str | None) -> bytes:
    manifest: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "epoch": int(checkpoint.epoch),
        TOGETHER: _together(checkpoint),
        "sha256": files,
        "info": plain(checkpoint.info, "the checkpoint's info"),
    }
    if before is not None:
        manifest[BEFORE] = before
    return json.dumps(manifest, indent=1).encode()


def _verified(root: Place, reference: Reference) -> Iterator[tuple[str, bytes]]:
    """The files of a checkpoint, the manifest first: its own hash vouches for the hashes in it."""
    folder = root / FOLDER / str(reference.epoch)
    manifest = _intact(folder / MANIFEST, reference.manifest)
    yield MANIFEST, manifest
    content = json.loads(manifest)
    if content["format_version"] not in READABLE:
        raise StoreVersion(
            f"the checkpoint {folder} has format {content['format_version']} and this version goes on from format "
            f"{FORMAT_VERSION}: resume with the version that wrote it (inspect names it), or start a new run. "
            "Its draws can be read by any."
        )
    for file, expected in content["sha256"].items():
        yield file, _intact(folder / file, expected)


def _intact(path: Place, expected: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreDamaged(f"the checkpoint file {path} cannot be read ({error.strerror}).") from error
    if _hash(data) != expected:
        raise StoreDamaged(f"the checkpoint file {path} is damaged: its sha256 is not the one recorded.")
    return data


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an uncompressed .npz, equal for equal arrays.

    np.savez takes names as keyword arguments and so refuses some ("file"); any name may stand here.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def _unpack(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return dict(archive)
