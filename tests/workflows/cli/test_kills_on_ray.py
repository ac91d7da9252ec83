"""Processes of a run on Ray killed, stopped and signalled: nothing committed is lost, and the draws are the same."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import maxwell
from ensemble.store import opening as stores
from tests.support.runs import SETTINGS, config, draws, same
from workflows.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
ROUND = 14
"""After which the signal comes: in `sample`, two rounds after a commit of the twelfth."""
COMMITTED = 12

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.usefixtures("started_by_a_shell"),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    out = tmp_path_factory.mktemp("reference") / "run.zarr"
    return draws(maxwell.run(SETTINGS, out=out, local=True))


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files with a name short enough for Ray's sockets; what is killed leaves files in it."""
    with tempfile.TemporaryDirectory(prefix="mx", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


CASES: dict[str, tuple[str, set[int]]] = {
    "the driver": ("SIGKILL", {-signal.SIGKILL}),
    "driver, raylet and workers at once": ("tree:SIGKILL", {-signal.SIGKILL}),
    "driver and raylet": ("raylet:SIGKILL", {-signal.SIGKILL}),
    "the raylet": ("raylet!:SIGKILL", {0, 1, 2, 130}),
    "all workers": ("hands!:SIGKILL", {0}),
    "all workers stopped for a while": ("hands!:SIGSTOP", {0}),
    "two interrupts": ("SIGINT*2", {130}),
    "two interrupts to all": ("tree:SIGINT*2", {130}),
    "a lost terminal, told to all": ("tree:SIGHUP", {130}),
    "a second request to stop, to all": ("tree:SIGTERM*2", {130}),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_committed_is_lost(case: str, reference: dict[str, np.ndarray], tmp_path: Path, short: Path) -> None:
    asked, allowed = CASES[case]
    store = tmp_path / "run.zarr"
    python = [sys.executable, "-m", "tests.support.runs", asked, str(ROUND), "run", str(config(tmp_path))]
    done = subprocess.run(
        [*python, "--out", str(store)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(short)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode in allowed, done.stderr
    assert "Traceback" not in done.stderr
    assert not stores.verify(store).damaged
    assert stores.reader(store).attributes["maxwell"]["checkpoints"][-1]["epoch"] >= COMMITTED
    assert main(["resume", str(store), "--local"]) == 0
    assert same(reference, draws(maxwell.open_run(store)))
