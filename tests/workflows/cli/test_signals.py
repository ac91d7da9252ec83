"""What systemd, schedulers and lost terminals send: to one process or to all of a run, once or twice.

A run answers with status 130 and a sentence, keeps every finished round, and goes on later bit for bit.
"""

import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ensemble.protocol.progress import NullProgress
from maxwell import open_run
from tests.support.runs import SignalAt, command, config, draws, rounds, same
from workflows.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.usefixtures("started_by_a_shell")
READS_PROCESSES = pytest.mark.skipif(sys.platform != "linux", reason="reads the processes of a run from /proc")
ROUNDS = 14
"""The round of the signal: in stage `sample`, between two commits."""


IN_FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""A program that makes the terminal on its standard input that of its session, then runs Python."""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files with a name short enough for Ray's sockets, watched for what is left in it."""
    with tempfile.TemporaryDirectory(prefix="mx", dir="/tmp") as folder:
        yield Path(folder)


def signalled(asked: str, store: Path, temporary: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """`maxwell run` in a process of its own that gets a signal (see tests.support.runs) after a round."""
    arguments = [asked, str(ROUNDS), "run", str(config(store.parent)), "--out", str(store), *more]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    python = [sys.executable, "-m", "tests.support.runs", *arguments]
    return subprocess.run(python, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


LIKE_THESE = [pytest.param(name, marks=pytest.mark.slow) for name in ("SIGUSR1", "SIGUSR2", "SIGXCPU")]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", *LIKE_THESE])
def test_what_schedulers_and_lost_terminals_send_is_a_polite_question(
    name: str,
    reference: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "run.zarr"
    arguments = ["run", str(config(tmp_path)), "--local", "--out", str(store)]
    assert command(monkeypatch, SignalAt(signal.Signals[name], ROUNDS), arguments) == 130
    assert f"maxwell: interrupted; every finished round can be found in {store}" in capsys.readouterr().err
    assert rounds(store, burnt=1) == ROUNDS
    assert command(monkeypatch, NullProgress(), ["resume", str(store), "--local"]) == 0
    assert same(reference, draws(open_run(store)))
    assert signal.getsignal(signal.Signals[name]) == signal.SIG_DFL


def test_a_second_term_says_what_is_kept(tmp_path: Path) -> None:
    store = tmp_path / "run.zarr"
    done = signalled("SIGTERM*2", store, tmp_path, "--local")
    assert done.returncode == 130, done.stderr
    assert f"maxwell: interrupted; the last commit can be found in {store}. Go on with:" in done.stderr
    assert "Traceback" not in done.stderr
    assert rounds(store, burnt=1) == 12


def test_a_signal_before_there_is_a_store_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "users_module_of_signals.py"
    module.write_text("import os, signal\n\n\ndef build():\n    os.kill(os.getpid(), signal.SIGHUP)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = config(tmp_path, model={"name": f"{module.stem}:build"})
    assert main(["run", str(settings), "--local", "--out", str(tmp_path / "run.zarr")]) == 130
    assert capsys.readouterr().err == "maxwell: interrupted; there was nothing to keep yet\n"


def test_nohup_is_respected(reference: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    store = tmp_path / "run.zarr"
    arguments = ["run", str(config(tmp_path)), "--local", "--out", str(store)]
    assert command(monkeypatch, SignalAt(signal.SIGHUP, ROUNDS), arguments) == 0
    assert same(reference, draws(open_run(store)))


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal's end is noticed differently elsewhere")
def test_a_lost_terminal_stops_a_run_after_its_round(tmp_path: Path) -> None:
    """A run in the foreground of a terminal that goes away: it is hung up, and nothing can be written any more."""
    settings = config(tmp_path, limits={"sweeps": 1_000_000}, sample={"burn_rounds": 0})
    store = tmp_path / "run.zarr"
    arguments = ["-m", "workflows.cli", "run", str(settings), "--local", "--out", str(store)]
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", IN_FOREGROUND, *arguments],
        cwd=ROOT,
        env={**os.environ, "TERM": "dumb"},
        start_new_session=True,
        stdin=end,
        stdout=end,
        stderr=end,
    ) as process:
        os.close(end)
        said = ""
        while "sample: " not in said:
            assert select.select([terminal], [], [], 120.0)[0], said
            said += os.read(terminal, 4096).decode()
        os.close(terminal)
    assert process.returncode == 130
    run = open_run(store)
    assert run.attributes["maxwell"]["checkpoints"][-1]["epoch"] == rounds(store)
    assert run.summary()["sweeps"] < 1_000_000


@pytest.mark.ray
@READS_PROCESSES
def test_term_to_all_processes_of_a_run_at_once_loses_no_round(
    reference: dict[str, np.ndarray], tmp_path: Path, short: Path
) -> None:
    store = tmp_path / "run.zarr"
    done = signalled("tree:SIGTERM", store, short)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines() == [
        f"maxwell: interrupted; every finished round can be found in {store}. Go on with:",
        f"  maxwell resume {store}",
    ]
    assert rounds(store, burnt=1) == ROUNDS
    assert list(short.iterdir()) == []
    assert main(["resume", str(store), "--local"]) == 0
    assert same(reference, draws(open_run(store)))


@pytest.mark.slow
@pytest.mark.ray
@READS_PROCESSES
def test_term_to_a_run_and_to_the_workers_of_its_cluster_ends_at_the_last_commit(
    reference: dict[str, np.ndarray], tmp_path: Path, short: Path
) -> None:
    """As of a job of several machines: the workers, which are not the run's own, are gone, and none is replaced."""
    store = tmp_path / "run.zarr"
    done = signalled("workers:SIGTERM", store, short)
    assert done.returncode == 130, done.stderr
    assert f"maxwell: interrupted; the last commit can be found in {store}. Go on with:" in done.stderr
    assert "died" not in done.stderr  # as is said of a worker that is replaced
    assert rounds(store, burnt=1) == 12
    assert main(["resume", str(store), "--local"]) == 0
    assert same(reference, draws(open_run(store)))
