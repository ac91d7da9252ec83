"""What containers are like: nobody's home, folders that cannot be written, temporary folders of long names."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from maxwell import open_run
from tests.support.containers import ROOTS_ONLY, in_container, maxwell, shared_folder

SMALL = """
model: {name: schools}
ensemble: {replicas: 8, superchains: 4}
scout: {max_rounds: 2}
equilibrate: {max_rounds: 4, refine_rounds: 2}
limits: {sweeps: 60}
goals: {draws: 4}
"""
pytestmark = ROOTS_ONLY


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with settings that everybody may read."""
    with shared_folder() as folder:
        (folder / "small.yaml").write_text(SMALL)
        (folder / "small.yaml").chmod(0o644)
        yield folder


@pytest.fixture(scope="module")
def ran(place: Path) -> "subprocess.CompletedProcess[str]":
    """A run of a shipped model with a table of its own by a user without a home."""
    return maxwell("run", str(place / "small.yaml"), "--local", "--out", str(place / "run.zarr"))


def test_a_user_without_a_home_has_a_run_and_the_models_table(
    ran: "subprocess.CompletedProcess[str]", place: Path
) -> None:
    assert ran.returncode == 0, ran.stderr
    assert "could not be made" not in ran.stdout
    assert "Traceback" not in ran.stderr
    # As nothing is silent, so is this: where the time goes.
    assert "compiled programs are not kept, because this user has no home folder" in ran.stderr
    assert open_run(place / "run.zarr").summary()["draws"] > 0


HOMES = {"none": {}, "missing": {"HOME": "/nobody/is/here"}}
READ = """
import sys, maxwell
data = maxwell.open_run(sys.argv[1]).data
print(data["posterior"]["mu"].sizes["draw"] > 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("home", HOMES)
@pytest.mark.usefixtures("ran")
def test_results_need_no_home(home: str, place: Path) -> None:
    variables, store = HOMES[home], str(place / "run.zarr")
    draws = in_container("-c", READ, store, **variables)
    assert (draws.returncode, draws.stdout) == (0, "True\n"), draws.stderr
    report = maxwell("report", store, "--out", str(place / f"{home}.html"), **variables)
    assert report.returncode == 0, report.stderr
    assert (place / f"{home}.html").stat().st_size > 100_000
    assert "maxwell: " not in report.stderr  # as errors begin


@pytest.mark.slow
@pytest.mark.usefixtures("ran")
def test_export_needs_no_home(place: Path) -> None:
    done = maxwell("export", str(place / "run.zarr"), "--out", str(place / "run.nc"), "--draws", "2")
    assert done.returncode == 0, done.stderr
    assert (place / "run.nc").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ran")
def test_an_export_into_a_folder_of_somebody_else_is_refused_before_the_work(place: Path) -> None:
    theirs = place / "theirs"
    theirs.mkdir(0o755)
    done = maxwell("export", str(place / "run.zarr"), "--out", str(theirs / "run.nc"), HOME=str(place))
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"maxwell: {theirs / 'run.nc'} cannot be written: Permission denied. Name a file in a folder you may write to"
    )
    assert list(theirs.iterdir()) == []


READ_ONLY = (
    "mount -o remount,ro,bind /tmp",
    "mount --bind /var/tmp /var/tmp",
    "mount -o remount,ro,bind /var/tmp",
    "mount -t tmpfs -o ro none /dev/shm",
)
"""In a mount namespace: every usual place for temporary files cannot be written."""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="makes a mount namespace")
def test_ray_without_a_short_folder_is_refused_before_the_model_is_built(place: Path) -> None:
    probe = ["unshare", "--mount", "--propagation=private", "mount", "--bind", "/tmp", "/tmp"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this root may not mount")
    long = place / "a_name_that_is_far_too_long_for_the_sockets_of_ray"
    long.mkdir()
    # What stays writable is a folder of its own, as a volume of a container.
    before = ("mount --bind /tmp /tmp", f"mount -t tmpfs -o mode=777 none {long}", *READ_ONLY)
    # The model would fail with another error: it is not reached.
    refused = maxwell(
        "run", "schools", "model.name=nobody:built", "--out", f"{long}/run.zarr", before=before, TMPDIR=str(long)
    )
    assert refused.returncode == 2, refused.stderr
    told = refused.stderr.splitlines()[-1]
    assert told.startswith("maxwell: there is no folder for temporary files whose name has at most 24 characters")
    assert f"{long} has {len(str(long))}, /tmp cannot be written (Read-only file system)" in told
    assert told.endswith("Set TMPDIR to one that can be written, or run without Ray by --local (in Python local=True)")
    assert "Traceback" not in refused.stderr
