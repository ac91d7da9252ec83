"""The files of a store in one zip file: what `Path` is for those on a disk, as far as readers need it."""

import errno
import io
import os
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What a damaged zip file raises."""


class Archive:
    """An open zip file, closed when nobody needs it any more."""

    def __init__(self, path: Path) -> None:
        """Raises one of DAMAGE where it cannot be read."""
        self.path, self.file = path, zipfile.ZipFile(path)
        self.last = "", b""
        # A file that is left to the garbage collector warns of that.
        weakref.finalize(self, self.file.close)


class Packed:
    """A file or a folder in a zip file. Errors are those of files: FileNotFoundError, and OSError for damage."""

    def __init__(self, archive: Archive, key: str = "") -> None:
        self._archive, self.key = archive, key

    def __truediv__(self, key: str | Path) -> "Packed":
        return Packed(self._archive, f"{self.key}/{key}".strip("/"))

    def __str__(self) -> str:
        return "/".join(filter(None, [str(self._archive.path), self.key]))

    def __fspath__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packed) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.rpartition("/")[2]

    def open(self, mode: str = "rb") -> IO[bytes]:
        """The file as it was packed, its checksum compared. `mode` is always to read bytes.

        From memory: where several files of an archive are open, zipfile of Python 3.13.0 seeks in the wrong one.
        """
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """The bytes of the file, its checksum compared. The file that was read last is kept: its chunks are read in
        turn."""
        key, data = self._archive.last
        if key != self.key or not key:
            data = self._read()
            self._archive.last = self.key, data
        return data

    def _read(self) -> bytes:
        try:
            return self._archive.file.read(self.key)
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None
        except DAMAGE as error:
            raise OSError(errno.EIO, f"damaged in the archive: {error}", str(self)) from error

    def is_file(self) -> bool:
        """Whether there is a file of this name."""
        return self.key in self._archive.file.NameToInfo

    def is_dir(self) -> bool:
        """Whether there are files below."""
        return not self.key or any(name.startswith(f"{self.key}/") for name in self._archive.file.NameToInfo)

    def exists(self) -> bool:
        """Whether there is anything."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator["Packed"]:
        """What is in the folder."""
        start = f"{self.key}/" if self.key else ""
        below = (name.removeprefix(start) for name in self._archive.file.NameToInfo if name.startswith(start))
        for name in dict.fromkeys(name.partition("/")[0] for name in below):
            yield self / name

    def archive_size(self) -> int:
        """Of the whole zip file, in bytes."""
        return self._archive.path.stat().st_size


FROM_A_COPY = "Restore the archive from a copy, or pack the store again."
"""What to do about damage in it."""

Place = Path | Packed
"""Where the files of a store are that is read."""


def is_packed(path: Path) -> bool:
    """Whether there is a file that begins as a zip file does."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(2) == b"PK"


def place_of(path: str | Path) -> Place:
    """The folder of a store, or the packed one in a zip file. Raises OSError for a zip file that cannot be read."""
    path = Path(path)
    if not is_packed(path):
        return path
    try:
        return Packed(Archive(path))
    except DAMAGE as error:
        raise OSError(errno.EIO, f"it is no zip file that can be read: {error}", str(path)) from error
