"""What srun starts on every node, started here without SLURM: how nodes meet, and when a job is queued again."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from maxwell import open_run
from tests.support.local_slurm import eventually
from tests.support.runs import config, draws, same
from workflows.clusters.slurm import node
from workflows.clusters.slurm.sitting import AGAIN, DONE, HEAD, TOKEN, Sitting
from workflows.clusters.standing import standing

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Signals and environment as they were."""
    before = {number: signal.getsignal(number) for number in node.STOP_SIGNALS}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLURM_PROCID", "SLURM_NTASKS", node.SHARED, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
            patch.setenv(name, "")
            patch.delenv(name)
        yield
    for number, handler in before.items():
        signal.signal(number, handler)


def command(folder: Path, *more: str) -> list[str]:
    """A node's program, for the run of tests.support.runs."""
    store = folder / "run.zarr"
    own = ["--sitting", str(folder / "sitting"), "--store", str(store), "--cpus", "1", "--"]
    return [*own, "run", str(config(folder)), "--go-on", *more, "--out", str(store)]


def started(rank: int, nodes: int, arguments: list[str]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SLURM_PROCID": str(rank), "SLURM_NTASKS": str(nodes)}
    python = [sys.executable, "-m", node.__name__, *arguments]
    return subprocess.Popen(python, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.ray
def test_two_nodes_carry_one_run_bit_for_bit(reference: dict[str, np.ndarray], tmp_path: Path) -> None:
    """The second comes first, and waits for a head; one worker each."""
    arguments = command(tmp_path)
    nodes = [started(rank, 2, arguments) for rank in (1, 0)]
    said = [one.communicate(timeout=240)[1] for one in nodes]
    assert [one.returncode for one in nodes] == [0, 0], said
    assert same(reference, draws(open_run(tmp_path / "run.zarr")))
    sitting = Sitting(tmp_path / "sitting")
    assert sitting.read(DONE) is not None
    assert sitting.read(AGAIN) is None
    assert sitting.joined() == 1
    assert ":" in (sitting.read(HEAD) or "")
    assert stat.S_IMODE((sitting.path / TOKEN).stat().st_mode) == 0o600
    assert stat.S_IMODE(sitting.path.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("number", "again"),
    [
        (signal.SIGUSR1, True),
        pytest.param(signal.SIGUSR2, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
    ],
)
def test_a_notice_asks_for_another_sitting_and_an_end_does_not(
    number: signal.Signals, again: bool, tmp_path: Path
) -> None:
    """The signal comes to the program, and at once to all that it started, as schedulers send it."""
    store = tmp_path / "run.zarr"
    one = started(0, 1, command(tmp_path, "--local", "limits.sweeps=1000000"))
    eventually(lambda: store.exists() and standing(store).sweeps > 0)
    (driver,) = children(one.pid)
    for pid in (one.pid, driver, driver):
        os.kill(pid, number)
    said = one.communicate(timeout=120)[1]
    assert one.returncode == 130, said
    assert "every finished round can be found in" in said
    assert ((tmp_path / "sitting" / AGAIN).exists()) is again


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(patch: pytest.MonkeyPatch, folder: Path, status: int, signals: list[int], committed: list[int]) -> Path:
    """The sitting of a node whose command ended so; committed: sweeps before it, and after."""

    def drive(task: node.Task, more: list[str], messenger: node.Messenger) -> int:
        messenger.received.extend(signals)
        return status

    patch.setattr(node, "_drive", drive)
    patch.setattr(node, "_committed", lambda _: committed.pop(0))
    assert node.main(command(folder)) == status
    return folder / "sitting"


def test_a_sitting_without_a_commit_asks_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sitting = ended(monkeypatch, tmp_path, 130, [signal.SIGUSR1], [40, 40])
    assert not (sitting / AGAIN).exists()
    assert "nothing was committed in all of this time" in capsys.readouterr().err
    assert (sitting / DONE).exists()


@pytest.mark.parametrize(
    ("status", "signals", "again"),
    [
        (130, [signal.SIGUSR1], True),
        (130, [signal.SIGUSR1, signal.SIGUSR1], True),
        # A job that is ended after its notice is not wanted any more.
        (130, [signal.SIGUSR1, signal.SIGTERM], False),
        (130, [signal.SIGINT], False),
        (0, [signal.SIGUSR1], False),
        (2, [signal.SIGUSR1], False),
        (130, [], False),
    ],
)
def test_when_a_job_is_queued_again(
    status: int, signals: list[int], again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sitting = ended(monkeypatch, tmp_path, status, signals, [0, 40])
    assert (sitting / AGAIN).exists() is again


def test_a_node_that_does_not_see_the_folder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path)
    arguments[1] = str(tmp_path / "elsewhere" / "sitting")
    with pytest.raises(SystemExit) as left:
        node.main(arguments)
    assert left.value.code == 2
    assert "elsewhere is not seen from here: put the store on a disk that all nodes share" in capsys.readouterr().err


def test_a_node_without_a_head_gives_up_and_one_that_comes_too_late_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setattr(node, "JOIN_SECONDS", 0.0)
    assert node.main(command(tmp_path)) == 1
    assert "there was no head to join" in capsys.readouterr().err
    Sitting(tmp_path / "sitting").write(DONE)
    assert node.main(command(tmp_path)) == 0
