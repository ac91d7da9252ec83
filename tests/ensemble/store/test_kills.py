"""Writers killed by the hundred, disks that fail at every operation, and five hundred readers of a store that grows."""

import errno
import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import StoreError
from ensemble.store import opening as stores
from ensemble.store.chunking import condensing
from ensemble.store.disk.filesystem import Filesystem
from tests.support.faulty_filesystem import snapshot
from tests.support.killed_writer import DRAWS, LAYOUT, add, write

ROOT = Path(__file__).resolve().parents[3]
KILLS, ROUNDS = 700, 40
FAULTS = [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT]


@pytest.fixture
def soon_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws are put into larger files soon, as in the processes that are killed."""
    monkeypatch.setattr(condensing, "MOST_FILES", 6)
    monkeypatch.setattr(condensing, "LEAST_EACH", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("soon_crowded")
def test_hundreds_of_killed_writers_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL at random moments to real processes that write draws; each store ends as that of a writer left alone."""
    store = tmp_path / "killed.zarr"
    arguments = [str(store), str(KILLS), str(ROUNDS)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_writer", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = re.fullmatch(r"(\d+) killed, (\d+) in a commit, 0 rounds lost, (\d+) stores", done.stdout)
    assert counts is not None, done.stdout
    assert int(counts[1]) >= KILLS
    assert int(counts[2]) > KILLS // 10
    write(tmp_path / "whole.zarr", ROUNDS)
    killed, whole = content(store), content(tmp_path / "whole.zarr")
    assert killed == whole
    assert len(whole) > 10
    with capsys.disabled():
        sys.stdout.write(f"\n{done.stdout}; the last is that of a writer left alone\n")


def content(path: Path) -> dict[str, bytes]:
    """Draws and checkpoints to the last byte; metadata say when a store was made."""
    return {name: data for name, data in snapshot(path).items() if "zarr.json" not in name and "manifest" not in name}


class FailingFilesystem(Filesystem):
    """A disk that fails with an error from operation `limit` on."""

    def __init__(self, limit: int, number: int) -> None:
        self.left, self.number, self.failed = limit, number, False

    def _operate(self, path: Path) -> None:
        self.left -= 1
        if self.left < 0:
            self.failed = True
            raise OSError(self.number, os.strerror(self.number), str(path))

    def write_new(self, path, data):
        self._operate(path)
        super().write_new(path, data)

    def replace(self, source, target):
        self._operate(target)
        super().replace(source, target)

    def make_folder(self, path):
        self._operate(path)
        super().make_folder(path)

    def sync_folder(self, path):
        self._operate(path)
        super().sync_folder(path)

    def remove(self, path):
        self._operate(path)
        super().remove(path)

    def remove_folder(self, path):
        self._operate(path)
        super().remove_folder(path)


@pytest.mark.slow
@pytest.mark.usefixtures("soon_crowded")
@pytest.mark.parametrize("number", FAULTS)
def test_a_disk_that_fails_at_any_operation_is_said_and_loses_nothing(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Full, read-only, broken or over its quota, at every operation of a resumed round that condenses."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr("ensemble.store.opening.now", lambda: "2024-02-29T12:00:00+00:00")
    base, whole = tmp_path / "base.zarr", tmp_path / "whole.zarr"
    begun = first_round_that_condenses(tmp_path / "seek.zarr")
    write(base, begun)
    write(whole, begun + 1)
    for limit in range(10_000):
        path, fs = tmp_path / f"{limit}.zarr", FailingFilesystem(limit, number)
        shutil.copytree(base, path)
        if (told := fails(path, fs, begun)) is None:
            break
        assert os.strerror(number) in told
        assert "is intact: make room or mend access, then resume" in told
        assert not stores.verify(path).damaged
        assert stores.reader(path).attributes["maxwell"]["draws"]["posterior"] >= DRAWS * begun
        write(path, begun + 1)
        assert snapshot(path) == snapshot(whole)
        shutil.rmtree(path)
    assert limit > 40
    with capsys.disabled():
        sys.stdout.write(f"\n{limit} operations failed ({os.strerror(number)}): 0 draws lost\n")


def fails(path: Path, fs: Filesystem, number: int) -> str | None:
    """What is said where a round cannot be added."""
    try:
        with stores.reopen(path, fs) as store:
            add(store, number)
    except StoreError as error:
        return str(error)
    return None


def first_round_that_condenses(path: Path) -> int:
    """The number of the first round whose commit is followed by that of larger files."""
    with stores.create(path, LAYOUT, {}) as store:
        for number in range(100):
            add(store, number)
            if not (path / "posterior" / "a" / "c.0.0.0").exists():
                return number
    raise AssertionError("nothing was condensed")


def mounted(folder: Path) -> Iterator[Path]:
    """A file system of 4 MB in memory at `folder`, where that is permitted."""
    folder.mkdir()
    arguments = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(arguments, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: the failures above are injected")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "small")


@pytest.mark.slow
def test_a_real_disk_runs_full_and_has_room_again(small_disk: Path, tmp_path: Path) -> None:
    path, rounds = small_disk / "run.zarr", 60
    with pytest.raises(StoreError, match="No space left on device"):
        write(path, rounds)
    committed = stores.reader(path).attributes["maxwell"]["draws"]["posterior"]
    assert 0 < committed < DRAWS * rounds
    assert not stores.verify(path).damaged
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert not stores.verify(path).damaged
    with pytest.raises(StoreError, match=r"write access|Read-only file system"):
        stores.reopen(path)
    subprocess.run(["mount", "-o", "remount,rw,size=64m", str(small_disk)], check=True)
    write(path, rounds)
    write(tmp_path / "whole.zarr", rounds)
    assert content(path) == content(tmp_path / "whole.zarr")


@pytest.mark.slow
@pytest.mark.usefixtures("soon_crowded")
def test_five_hundred_readers_of_a_store_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every one sees one commit, whole: each draw of every chain is that of its place, however many there are."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    path, reads, done, lengths = tmp_path / "run.zarr", 500, threading.Event(), set()
    write(path, 1)
    failures: list[BaseException] = []
    turn = threading.Semaphore(0)  # a commit for every read, at about its time

    def grow() -> None:
        try:
            with stores.reopen(path) as store:
                number = 1
                while not done.is_set():
                    if turn.acquire(timeout=1):
                        add(store, number)
                        number += 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(reads):
            turn.release()
            values = stores.reader(path).groups()["posterior"]["mu"].values
            lengths.add(values.shape[1])
            rounds = range(values.shape[1] // DRAWS)
            assert values.tobytes() == np.concatenate([expected(number) for number in rounds], 1).tobytes()
    finally:
        done.set()
        writer.join()
    assert not failures
    assert len(lengths) > 50
    with capsys.disabled():
        sys.stdout.write(f"\n{reads} reads of {len(lengths)} commits: 0 torn\n")


@functools.cache
def expected(number: int) -> np.ndarray:
    """`mu` of round `number` [chains, DRAWS], as `add` makes it."""
    parts = []
    for shard in range(LAYOUT.shards):
        rng = np.random.default_rng([number, shard])
        parts.append(rng.normal(size=(DRAWS, LAYOUT.shard_chains)).T)
    return np.concatenate(parts)
