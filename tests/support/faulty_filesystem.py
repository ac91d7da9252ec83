"""A file system that crashes after a number of operations, for tests of the store's writer.

It works on real files, tears the file being written, and may take back what was not yet synced, as a power cut does.
"""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ensemble.store.disk.filesystem import PARTIAL, Filesystem


class Crash(BaseException):
    """The death of the writer: no handler for errors may catch it."""


class Change(NamedTuple):
    """Something done to the name `path` that a power cut may take back until its folder is synced."""

    path: Path
    undo: Callable[[Path], Any]


class FaultyFilesystem(Filesystem):
    """Crashes in place of operation number `limit` (from 0), every later one too.

    power: "stays" keeps all that was done (kill -9), "cut" takes back all that was not synced, "flickers" a random
    part of it, path by path.
    """

    def __init__(self, limit: int | None = None, power: str = "stays", seed: int = 0) -> None:
        self.limit, self.power, self.count, self.dead = limit, power, 0, False
        self._random = random.Random(seed)
        self._changes: list[Change] = []
        self._locks: list[Any] = []

    def write_new(self, path, data):
        self._operate(lambda: path.write_bytes(bytes(data)[: len(data) // 2]))
        path.write_bytes(data)
        self._changes.append(Change(path, lambda now: now.unlink(missing_ok=True)))

    def replace(self, source, target):
        self._operate()
        old = target.read_bytes() if target.is_file() else None
        os.replace(source, target)
        if target.is_dir():
            # What was removed there before stood in another folder of that name, and comes back with that one alone.
            before = [change for change in self._changes if change.path.is_relative_to(target)]
            rest = [change for change in self._changes if change not in before]
            self._changes = [Change(_moved(path, source, target), undo) for path, undo in rest]
            self._changes.append(Change(target, lambda now: _undo_move(now, source, before)))
        else:
            self._changes.append(Change(target, lambda now: _undo_replace(now, old)))

    def make_folder(self, path):
        self._operate()
        os.mkdir(path)
        self._changes.append(Change(path, lambda now: shutil.rmtree(now, ignore_errors=True)))

    def sync_folder(self, path):
        self._operate()
        self._changes = [change for change in self._changes if change.path.parent != path]

    def remove(self, path):
        self._operate()
        old = path.read_bytes()
        os.unlink(path)
        self._changes.append(Change(path, lambda now: now.parent.is_dir() and now.write_bytes(old)))

    def remove_folder(self, path):
        self._operate()
        os.rmdir(path)
        self._changes.append(Change(path, lambda now: now.parent.is_dir() and now.mkdir()))

    def lock(self, path):
        lock = super().lock(path)
        self._locks.append(lock)
        return lock

    def die(self) -> None:
        """End the writer now: its locks are released, and the power goes if it is to go."""
        self.dead = True
        lost = {change.path for change in self._changes if self._is_lost()}
        for change in reversed(self._changes):
            if change.path in lost:
                change.undo(change.path)
        for lock in self._locks:
            lock.release()

    def _operate(self, tear: Callable[[], Any] | None = None) -> None:
        if self.dead:
            raise Crash
        if self.count == self.limit:
            if tear is not None:
                tear()
            self.die()
            raise Crash
        self.count += 1

    def _is_lost(self) -> bool:
        return self.power == "cut" or (self.power == "flickers" and self._random.random() < 0.5)


def _moved(path: Path, source: Path, target: Path) -> Path:
    return target / path.relative_to(source) if path.is_relative_to(source) else path


def _undo_move(path: Path, source: Path, before: list[Change]) -> None:
    """The folder has its old name again, and its place what stood there before."""
    os.replace(path, source)
    for change in reversed(before):
        change.undo(change.path)


def _undo_replace(path: Path, old: bytes | None) -> None:
    """Back to the old bytes, the new ones under a temporary name again."""
    if path.exists():
        os.replace(path, path.with_name(f".{path.name}.again{PARTIAL}"))
    if old is not None:
        path.write_bytes(old)


def snapshot(path: Path) -> dict[str, Any]:
    """Every byte of every file below the store, but for the lock and who wrote last, with the root's digest of it."""
    found: dict[str, Any] = {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}
    found.pop(".lock")
    found["zarr.json"] = json.loads(found["zarr.json"])
    record = found["zarr.json"]["attributes"]["maxwell"]
    del record["writer"], record["digest"]
    return found
