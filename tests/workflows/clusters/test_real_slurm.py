"""Jobs of a real SLURM with two nodes on this machine: whatever ends them, the draws are those of a local run."""

import faulthandler
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import maxwell
from tests.support.local_slurm import absent, eventually, two_nodes
from tests.support.runs import draws, same
from workflows.cli.main import main
from workflows.clusters.schedulers import pending
from workflows.clusters.standing import LIMIT, RESTS, Standing, standing
from workflows.clusters.submit import Submission
from workflows.clusters.watching import follow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(absent() is not None, reason=f"no SLURM: {absent()}"),
]
CONTENT = {
    "model": {"name": "airway", "genes": 50, "cells": False},
    "ensemble": {"replicas": 8, "superchains": 4},
    "round": {"sweeps": 2},
    "scout": {"max_rounds": 5},
    "equilibrate": {"max_rounds": 10, "refine_rounds": 2},
    # Goals that only a limit forestalls.
    "goals": {"ess": 1e6, "draws": 5000},
    "store": {"commit_rounds": 3, "commit_seconds": 0.0},
}
MANY = 100_000


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name, as the sockets of SLURM and munge need."""
    with tempfile.TemporaryDirectory(prefix="mx", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="module", autouse=True)
def slurm(folder: Path) -> Iterator[None]:
    """SLURM, as all programs below find it."""
    with two_nodes(folder) as conf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        patch.setenv("PATH", "/usr/sbin:/sbin", prepend=":")
        (folder / "run.yaml").write_text(yaml.safe_dump(CONTENT))
        patch.chdir(folder)
        yield


@pytest.fixture(autouse=True)
def walltimes_take_longer_than_a_hang() -> None:
    """Of the two guards against a test that hangs, the one that is set for all tests is called off."""
    faulthandler.cancel_dump_traceback_later()


def submit(out: str, sweeps: int, **options: object) -> Submission:
    return maxwell.submit("run.yaml", {"limits.sweeps": sweeps}, on="slurm", out=out, **options)


def restarts(number: str) -> int:
    """How often a job was queued again."""
    told = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True, check=True).stdout
    return int(told.split("Restarts=")[1].split()[0])


def hurry(number: str) -> None:
    """SLURM lets a job that was queued again wait for two minutes."""
    eventually(
        lambda: subprocess.run(["scontrol", "update", f"jobid={number}", "starttime=now"], check=False).returncode == 0
    )


def sweeps_of(store: Path) -> int:
    """Committed sweeps; none before there is a store."""
    return standing(store).sweeps if store.exists() else 0


def further(store: Path) -> None:
    """Wait until the run has committed more."""
    before = sweeps_of(store)
    eventually(lambda: sweeps_of(store) > before)


def ended(store: Path) -> Standing:
    """Where a run stands once `maxwell watch` has nothing more to show."""
    last = [found for found in follow(store, pending) if found is not None][-1]
    return last


def local(sweeps: int, name: str, **changes: object) -> dict:
    return draws(maxwell.run("run.yaml", {"limits.sweeps": sweeps, **changes}, out=name, local=True, progress=False))


def logs(store: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(store.with_name(f"{store.name}.job").glob("*.log")))


def test_a_run_outlives_walltimes_notices_and_scancel_bit_for_bit(folder: Path) -> None:
    """Two nodes. The walltime of four minutes ends the first sitting; a notice as SLURM sends it the second; scancel
    the third; the job submitted once more goes on to the end."""
    store = folder / "long.zarr"
    (job,) = submit("long.zarr", MANY, nodes=2, cpus=1, time="0:04", notice=60).jobs
    further(store)
    eventually(lambda: restarts(job.id) == 1, tries=1000)
    assert standing(store).state == RESTS
    first = standing(store).sweeps
    hurry(job.id)
    further(store)
    subprocess.run(["scancel", "--batch", "--signal=USR1", job.id], check=True)
    eventually(lambda: restarts(job.id) == 2)
    second = standing(store).sweeps
    hurry(job.id)
    further(store)
    subprocess.run(["scancel", job.id], check=True)
    eventually(lambda: not pending(job))
    third = standing(store).sweeps
    assert first < second < third
    assert "all rounds are kept: it is queued again" in logs(store)
    assert "every finished round can be found in" in logs(store)
    submit("long.zarr", third + 20, nodes=2, cpus=1)
    assert ended(store).state == LIMIT
    eventually(lambda: not list(store.with_name("long.zarr.job").glob("sitting-*")))
    assert same(draws(maxwell.open_run(store)), local(third + 20, "local.zarr"))


def test_jobs_side_by_side_on_the_same_nodes_do_not_meet(folder: Path) -> None:
    """A job of two nodes and an array of two seeds at once; one CPU each, so that all run together."""
    submit("wide.zarr", 60, nodes=2, cpus=1)
    submit("seeds.zarr", 60, cpus=1, seeds=[1, 2])
    stores = [folder / name for name in ("wide.zarr", "seeds-seed1.zarr", "seeds-seed2.zarr")]
    assert [ended(store).state for store in stores] == [LIMIT] * 3
    for seed, store in zip((0, 1, 2), stores, strict=True):
        assert same(draws(maxwell.open_run(store)), local(60, f"local-{seed}.zarr", seed=seed))


def test_a_run_that_is_asked_to_stop_is_not_queued_again(folder: Path) -> None:
    store = folder / "stopped.zarr"
    (job,) = submit("stopped.zarr", MANY, cpus=1, time="1:00").jobs
    further(store)
    assert main(["stop", str(store)]) == 0
    eventually(lambda: not pending(job))
    found = standing(store)
    assert (found.state, found.writer) == ("stopped", None)
    done = found.sweeps
    submit("stopped.zarr", done + 20, cpus=1)
    assert ended(store).state == LIMIT
    assert same(draws(maxwell.open_run(store)), local(done + 20, "local-stopped.zarr"))


def test_a_job_that_cannot_begin_ends_with_its_error(folder: Path) -> None:
    store = folder / "refused.zarr"
    settings = {"limits.sweeps": 20, "model.genes": -1}
    (job,) = maxwell.submit("run.yaml", settings, on="slurm", out="refused.zarr", cpus=1).jobs
    eventually(lambda: not pending(job))
    assert "genes" in logs(store)
    assert not store.exists()
