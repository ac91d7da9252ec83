"""Whether a store can be made at a path: found out by trying, before any work is done for it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ensemble.errors import StoreError
from ensemble.store.disk.filesystem import Filesystem

ELSEWHERE = "name another place (--out, in Python out=...)"


def require_path(path: Path) -> None:
    """StoreError for a text that names no file on any disk."""
    try:
        named = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        named = False
    if not named:
        raise StoreError(f"{str(path)!r} is no path: it has characters that no name of a file can have.")


def staging(path: Path) -> Path:
    """Where the store at `path` is built, to be renamed once it is whole."""
    return path.with_name(f".{path.name}.creating")


def require_free(path: Path) -> None:
    """StoreError where there is something at `path`, or a link that leads nowhere."""
    if path.exists():
        raise StoreError(
            f"{path} exists already. Go on with it by `maxwell resume {path}`, in Python "
            f"maxwell.resume({str(path)!r}), or {ELSEWHERE}."
        )
    if path.is_symlink():
        raise StoreError(
            f"{path} is a link to {os.readlink(path)}, and nothing is there: make that folder's store by its own name, "
            f"remove the link, or {ELSEWHERE}."
        )


def require_place(path: Path, fs: Filesystem, *, free: bool = True) -> None:
    """StoreError unless `create` can make a store at `path`. Folders that are missing above it are not made yet.

    free: whether nothing may be there yet.
    """
    require_path(path)
    with place_errors(path):
        if free:
            require_free(path)
        folder = next(above for above in path.absolute().parents if above.exists() or above.is_symlink())
        with place_errors(path, folder), tempfile.TemporaryDirectory(prefix=".maxwell-", dir=folder) as trial:
            # Names that the file system does not take are found out by asking for one.
            for name in (staging(path).name, *path.parts):
                Path(trial, name.lstrip(os.sep)).exists()
            fs.lock(Path(trial, "lock")).release()


@contextmanager
def place_errors(path: Path, folder: Path | None = None) -> Iterator[None]:
    """Say of a disk that fails that no store was made at `path`. folder: where it failed, the file at fault else."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"no store can be made at {path}: {folder or error.filename or path} cannot be written ({error.strerror}). "
            f"Make room there or mend access, or {ELSEWHERE}."
        ) from error
