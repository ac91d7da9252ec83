"""The lock of a store: held by one process, released by its death, and saying who holds it."""

import fcntl
import json
import os
import socket
import time
from pathlib import Path

from ensemble.errors import StoreError, StoreLocked

GLANCES = 5
"""How often a lock that is taken is asked for again, GLANCE seconds apart: `holder` holds one for microseconds."""
GLANCE = 0.02


class Lock:
    """A held lock. Closing the descriptor releases it, and so does the end of the process, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let the next writer in. Releasing twice is allowed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def acquire(path: Path) -> Lock:
    """Lock the file at `path`, made where missing, and write this process's number and host into it.

    The file is never removed or replaced: a lock is on the file itself, and two files would be two locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"cannot lock {path}: {error.strerror}. A writer needs write access to the store.") from error
    try:
        _lock(descriptor)
    except BlockingIOError:
        holder = _signed(descriptor)
        os.close(descriptor)
        raise StoreLocked(
            f"{path.parent} is being written by {holder}. One process writes to a store at a time: wait for it to end "
            "or stop it (its death releases the lock), then try again. Reading needs no lock."
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"cannot lock {path}: {error.strerror}. Put the store on a file system with flock.") from error
    _sign(descriptor)
    return Lock(descriptor)


def holder(path: Path) -> str | None:
    """Who holds the lock at `path`; None where nobody does, as far as this machine can tell: not every network file
    system tells one machine of the locks of another."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signed(descriptor)
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int) -> None:
    """Raises BlockingIOError where another writer has it."""
    for _ in range(GLANCES):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(GLANCE)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode(), 0)


def _signed(descriptor: int) -> str:
    """Who signed the lock file, as far as it can be read: the holder may be just about to sign it."""
    try:
        signed = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {signed['process']} on host {signed['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
