"""Runs killed by the hundred: whole processes at random moments, and coordinators at random operations of the disk."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
import pytest

from ensemble.fleet.local import LocalFleet
from ensemble.run.coordinator import Coordinator
from ensemble.run.sitting import Sitting
from ensemble.store import opening as stores
from ensemble.store.chunking import condensing
from maxwell import open_run
from tests.support.faulty_filesystem import Crash, FaultyFilesystem
from tests.support.runs import SETTINGS, config, draws, parts, same

ROOT = Path(__file__).resolve().parents[3]
PROCESSES, DEATHS = 24, 300
pytestmark = pytest.mark.slow


class Killer:
    """The process that starts runs and kills them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.killed_runs"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, config: Path, store: Path, seconds: float) -> str:
        """How a run ended that was to be killed after so many seconds (see there)."""
        asked, told = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        asked.write(f"{config} {store} {seconds}\n")
        asked.flush()
        return told.readline().strip()

    def close(self) -> None:
        with self._process:
            cast(IO[str], self._process.stdin).close()


@pytest.fixture
def killer() -> Iterator[Killer]:
    made = Killer()
    yield made
    made.close()


def committed(store: Path) -> dict[str, np.ndarray]:
    """None where nothing was ever committed: such a store is removed when a run begins anew, and may be half gone."""
    return draws(open_run(store)) if store.exists() and stores.unbegun(store) is None else {}


def kept(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> bool:
    """Whether all draws of before are still there, bit for bit."""
    return all(same({name: values}, {name: after[name][:, : values.shape[1]]}) for name, values in before.items())


def test_processes_killed_at_random_moments(killer: Killer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`maxwell run` and `maxwell resume`, SIGKILL: as they begin, and within the rounds of a sitting."""
    settings = config(tmp_path)
    start = time.monotonic()
    assert killer.run(settings, tmp_path / "whole.zarr", 1e6) == "0"
    length = time.monotonic() - start
    expected, rng = draws(open_run(tmp_path / "whole.zarr")), random.Random(18)
    kills, whole = 0, 0
    while kills < PROCESSES:
        store, ended, seen = tmp_path / f"{whole}.zarr", "killed", {}
        while ended == "killed":
            ended = killer.run(settings, store, rng.choice([-rng.uniform(0.1, 3), *2 * [rng.uniform(0, length)]]))
            found = committed(store)
            assert kept(seen, found)
            assert kept(found, expected)
            kills, seen = kills + (ended == "killed"), found
        assert ended == "0"
        assert same(expected, seen)
        whole += 1
    with capsys.disabled():
        sys.stdout.write(f"\n{kills} processes killed in {whole} runs: 0 committed draws lost, all runs bit for bit\n")


def test_deaths_at_random_operations_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, in place of operations of the disk, with and without what a power cut takes back; each run dies
    and goes on until it ends. Draws are put into larger files on the way."""
    monkeypatch.setattr(condensing, "MOST_FILES", 30)
    monkeypatch.setattr(condensing, "LEAST_EACH", 1)
    problem, settings, spec, layout = parts({**SETTINGS, "ensemble": {"replicas": 4, "superchains": 2}})
    fleet = LocalFleet(spec, 2)

    def sit(path: Path, fs: FaultyFilesystem) -> bool:
        """Whether the run got to its end."""
        begun = path.exists() and stores.unbegun(path) is None
        try:
            with stores.reopen(path, fs) if begun else stores.create(path, layout, {}, fs, over=path.exists()) as store:
                coordinator = Coordinator(fleet, store, problem.spec, settings, Sitting())
                if begun:
                    coordinator.resume()
                else:
                    fleet.initialise()
                    coordinator.start()
                coordinator.run()
        except Crash:  # and the file system's end
            return False
        return True

    assert sit(tmp_path / "whole.zarr", FaultyFilesystem())
    expected, rng = draws(open_run(tmp_path / "whole.zarr")), random.Random(18)
    deaths, runs = 0, 0
    while deaths < DEATHS:
        path, seen = tmp_path / f"{runs}.zarr", {}
        while not sit(path, FaultyFilesystem(rng.randrange(250), rng.choice(["stays", "cut", "flickers"]), deaths)):
            deaths += 1
            found = committed(path)
            assert kept(seen, found)
            assert kept(found, expected)
            seen = found
        assert same(expected, committed(path))
        shutil.rmtree(path)
        runs += 1
    with capsys.disabled():
        sys.stdout.write(f"\n{deaths} deaths in {runs} runs: 0 committed draws lost, all runs bit for bit\n")
