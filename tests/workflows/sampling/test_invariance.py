"""The invariance law: the same settings and seed give the same bits, wherever they run and however often they die."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from ensemble.fleet.local import LocalFleet
from ensemble.fleet.ray_fleet import RayFleet
from ensemble.protocol.progress import NullProgress, Status
from ensemble.run.coordinator import Coordinator
from ensemble.run.sitting import Sitting
from ensemble.store import opening as stores
from ensemble.store.protocol import RunStore
from maxwell import open_run, resume, run
from tests.support.faulty_filesystem import Crash, FaultyFilesystem, snapshot
from tests.support.runs import SETTINGS, config, draws, parts, same

ROOT = Path(__file__).resolve().parents[3]
ROUNDS = 20


def test_the_runs_compared_have_draws_of_every_kind(reference: dict[str, np.ndarray]) -> None:
    assert reference["posterior/x"].shape == (8, 12, 6)
    assert reference["warmup_posterior/mu"].shape[1] > 3
    assert all(np.isfinite(values).all() for values in reference.values())
    assert len(np.unique(reference["posterior/x"])) > 100


def test_another_seed_compares_unequal(reference: dict[str, np.ndarray], tmp_path: Path) -> None:
    other = draws(run({**SETTINGS, "seed": 1}, out=tmp_path / "other.zarr", local=True))
    assert {name: values.shape for name, values in other.items()} == {n: v.shape for n, v in reference.items()}
    assert not same(reference, other)
    for name in ("posterior/x", "posterior/mu", "sample_stats/lp", "warmup_posterior/mu"):
        assert not np.array_equal(reference[name], other[name])


def test_one_bit_compares_unequal(reference: dict[str, np.ndarray]) -> None:
    changed = {name: values.copy() for name, values in reference.items()}
    changed["posterior/x"][3, 2, 1] = np.nextafter(changed["posterior/x"][3, 2, 1], np.float32(9))
    assert not same(reference, changed)


@pytest.mark.ray
@pytest.mark.usefixtures("connected_ray")
@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers(reference: dict[str, np.ndarray], tmp_path: Path, workers: int) -> None:
    settings = {**SETTINGS, "ensemble": {**SETTINGS["ensemble"], "workers": workers}}
    assert same(reference, draws(run(settings, out=tmp_path / "ray.zarr")))


LADDER = {
    **SETTINGS,
    "round": {"sweeps": 3},
    "tempering": {
        "swaps": "whole",
        "tempers": "likelihood",
        "temperatures": [1.0, 2.0, float("inf")],
        "stages": ["equilibrate", "sample"],
    },
}
"""Three temperatures along which whole replicas travel; an odd number of sweeps, so that even and odd rounds differ."""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("connected_ray")
def test_a_ladder_on_two_workers_and_stopped_on_the_way(tmp_path: Path) -> None:
    """Walkers, round trips, adapted temperatures and the evidence's sums go on bit for bit as well."""
    whole = run(LADDER, out=tmp_path / "whole.zarr", local=True)
    assert same(draws(whole), draws(run(LADDER, out=tmp_path / "ray.zarr")))
    store = tmp_path / "short.zarr"
    assert not same(draws(whole), draws(run(LADDER, ["limits.sweeps=25"], out=store, local=True)))
    resumed = resume(store, settings=["limits.sweeps=37"], local=True)
    assert same(draws(whole), draws(resumed))
    assert resumed.summary()["ladder"] == whole.summary()["ladder"]
    assert whole.summary()["ladder"]["log_evidence_error"] > 0
    assert len(np.unique(draws(whole)["sample_stats/replica"])) > 8


class KillWorker(NullProgress):
    """Kills a worker of the fleet after the rounds named."""

    def __init__(self, epochs: set[int]) -> None:
        self.epochs, self.fleet, self.killed = epochs, None, 0

    def update(self, status: Status) -> None:
        if status.epoch in self.epochs:
            os.kill(self.fleet.pids()[self.killed % 2], signal.SIGKILL)
            self.killed += 1


@pytest.mark.slow  # of a fleet alone: tests/ensemble/fleet/test_ray_fleet.py
@pytest.mark.ray
@pytest.mark.usefixtures("connected_ray")
def test_workers_killed_on_the_way(reference: dict[str, np.ndarray], tmp_path: Path) -> None:
    problem, settings, spec, layout = parts(SETTINGS)
    progress = KillWorker({2, 8, 17})
    with RayFleet(spec, 4, 2) as fleet:
        progress.fleet = fleet
        fleet.initialise()
        with stores.create(tmp_path / "killed.zarr", layout, {}) as store:
            coordinator = Coordinator(fleet, store, problem.spec, settings, Sitting(progress))
            coordinator.start()
            coordinator.run()
    assert progress.killed == 3
    assert same(reference, draws(open_run(tmp_path / "killed.zarr")))


def killed(folder: Path, epoch: int, *options: str) -> Path:
    """The store that a command line leaves which is killed after a round."""
    store = folder / "killed.zarr"
    arguments = ["SIGKILL", str(epoch), "run", str(config(folder)), "--out", str(store), *options]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.runs", *arguments], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return store


@pytest.mark.ray
@pytest.mark.usefixtures("connected_ray")
def test_the_driver_killed_then_resumed_on_another_number_of_workers(
    reference: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """In stage `sample`, two rounds after a commit; its Ray was its own and dies with it."""
    store = killed(tmp_path, 14)
    assert not same(reference, draws(open_run(store)))
    assert same(reference, draws(resume(store, settings=["ensemble.workers=1"])))


def test_the_process_killed_then_resumed(reference: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Before the first commit after the start."""
    store = killed(tmp_path, 2, "--local")
    assert open_run(store).data["warmup_sample_stats"]["lp"].shape[1] == 0
    assert same(reference, draws(resume(store, local=True)))


def test_a_limit_then_a_resume_is_one_run(reference: dict[str, np.ndarray], tmp_path: Path) -> None:
    store = tmp_path / "short.zarr"
    short = draws(run(SETTINGS, ["limits.sweeps=22"], out=store, local=True))
    stored = short["posterior/x"].shape[1]
    assert 0 < stored < 12
    assert np.array_equal(short["posterior/x"], reference["posterior/x"][:, :stored])
    assert same(reference, draws(resume(store, settings=["limits.sweeps=37"], local=True)))


def test_a_crash_after_every_operation_of_a_run_then_a_resume(tmp_path: Path) -> None:
    """The writer dies in place of its k-th file operation, for every k from its opening to its last commit.

    Either nothing of the last round is left, and the store is byte for byte the one that was opened, or all is. A
    resume is a function of the store: from equal bytes it is made once.
    """
    problem, settings, spec, layout = parts({**SETTINGS, "ensemble": {"replicas": 4, "superchains": 2}})
    fleet = LocalFleet(spec, 2)

    def coordinator(store: RunStore, limit: int = 37) -> Coordinator:
        chosen = settings._replace(limits=settings.limits._replace(sweeps=limit))
        return Coordinator(fleet, store, problem.spec, chosen, Sitting())

    def begin(path: Path, limit: int) -> None:
        with stores.create(path, layout, {}) as store:
            fleet.initialise()
            steering = coordinator(store, limit)
            steering.start()
            steering.run()

    def go_on(store: RunStore) -> None:
        steering = coordinator(store)
        steering.resume()
        steering.run()

    begin(tmp_path / "whole.zarr", 37)
    begin(tmp_path / "base.zarr", 35)
    expected, before = draws(open_run(tmp_path / "whole.zarr")), snapshot(tmp_path / "base.zarr")
    outcomes: list[str] = []
    while True:
        path = Path(shutil.copytree(tmp_path / "base.zarr", tmp_path / f"crash-{len(outcomes)}.zarr"))
        filesystem = FaultyFilesystem(len(outcomes))
        try:
            with stores.reopen(path, filesystem) as store:
                go_on(store)
            break
        except Crash:
            filesystem.die()
        with stores.reopen(path) as store:
            outcomes.append("nothing" if snapshot(path) == before else "everything")
            if outcomes.count("nothing") == 1 or outcomes[-1] == "everything":
                go_on(store)
                assert same(expected, draws(open_run(path))), f"after a crash in place of operation {len(outcomes)}"
    assert same(expected, draws(open_run(path)))
    assert len(outcomes) > 20
    assert set(outcomes) == {"nothing", "everything"}


def test_adaptation_never_recompiles(tmp_path: Path) -> None:
    """Every stage compiles its programs once, whatever its tuning becomes."""
    problem, settings, spec, layout = parts(SETTINGS)
    fleet = LocalFleet(spec, 4)
    compiled: list[float] = []

    class Count(NullProgress):
        def update(self, status: Status) -> None:
            compiled.append(coordinator.state.ledger.seconds["compile"])

    fleet.initialise()
    with stores.create(tmp_path / "run.zarr", layout, {}) as store:
        coordinator = Coordinator(fleet, store, problem.spec, settings, Sitting(Count()))
        coordinator.start()
        coordinator.run()
    growth = np.flatnonzero(np.diff(compiled) > 0) + 1
    assert jax.config.jax_enable_x64
    assert len(compiled) == ROUNDS
    assert len(growth) <= 3, f"compiled in rounds {growth}"
