"""The durable operations on files: whatever a store depends on is written, replaced and removed here."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ensemble.store.disk.lock import Lock, acquire

PARTIAL = ".partial"
"""The end of the name of a file that is still being written; one left behind by a crash may be removed."""


class Filesystem:
    """A local POSIX file system. Tests inject one that crashes after a given number of operations.

    A file is durable once `write` has returned AND its folder has been synced: the two are apart so that many files
    of one folder share one sync. Removals need no sync: a removed file that comes back after a power cut is removed
    again by the next writer.
    """

    def write(self, path: Path, data: bytes | memoryview) -> None:
        """Put `data` at `path` in one step: readers see the old bytes or the new ones, never a mixture."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
        try:
            self.write_new(temporary, data)
            self.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise

    def write_new(self, path: Path, data: bytes | memoryview) -> None:
        """Write a file that did not exist and wait until its bytes are on the disk."""
        with open(path, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file over another, or a folder to a free name, atomically."""
        os.replace(source, target)

    def make_folder(self, path: Path) -> None:
        """Make one folder, whose parent exists."""
        os.mkdir(path)

    def sync_folder(self, path: Path) -> None:
        """Wait until the names in a folder are on the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Remove one file."""
        os.unlink(path)

    def remove_folder(self, path: Path) -> None:
        """Remove one empty folder."""
        os.rmdir(path)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with everything in it."""
        for entry in sorted(path.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                self.remove_tree(entry)
            else:
                self.remove(entry)
        self.remove_folder(path)

    def lock(self, path: Path) -> Lock:
        """Take the lock of a store; StoreLocked where another holds it."""
        return acquire(path)


DISK = Filesystem()
