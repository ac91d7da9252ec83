"""The command line with real runs: interrupted and gone on with, and what it says of models and stores it refuses."""

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ensemble.protocol.progress import NullProgress
from ensemble.store import opening as stores
from maxwell import numpyro_model, open_run
from tests.support.models import user_model
from tests.support.runs import SignalAt, command, config, contents, draws, rounds, same, stopped_run
from tests.support.store_roots import edit_root
from workflows.cli.main import main
from workflows.modelling import datasets

ROOT = Path(__file__).resolve().parents[3]


def printed_command(err: str) -> list[str]:
    """The arguments of the resume command at the end of what was printed."""
    name, *arguments = shlex.split(err.splitlines()[-1])
    assert name == "maxwell"
    return arguments


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed of an error: one line for people, nothing else."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("maxwell: ")
    return line


def test_an_interrupted_run_ends_after_its_round_and_is_gone_on_with_bit_for_bit(
    reference: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """SIGINT in round 14 of 20, in stage `sample` and between two commits: nothing of that round is lost."""
    store = tmp_path / "a run.zarr"
    arguments = ["SIGINT", "14", "run", str(config(tmp_path)), "--local", "--out", str(store)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.runs", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert f"maxwell: interrupted; every finished round can be found in {store}" in done.stderr
    assert rounds(store, burnt=1) == 14
    assert main(printed_command(done.stderr)) == 0
    assert same(reference, draws(open_run(store)))


@pytest.mark.usefixtures("started_by_a_shell")
def test_a_second_interrupt_ends_the_run_at_once_and_keeps_the_last_commit(
    reference: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "run.zarr"
    arguments = ["run", str(config(tmp_path)), "--local", "--out", str(store)]
    assert command(monkeypatch, SignalAt(signal.SIGINT, 5, times=2), arguments) == 130
    err = capsys.readouterr().err
    assert f"maxwell: interrupted; the last commit can be found in {store}" in err
    assert draws(open_run(store))["warmup_sample_stats/lp"].shape[1] == 3
    assert command(monkeypatch, NullProgress(), printed_command(err)) == 0
    assert same(reference, draws(open_run(store)))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has just begun to sample."""
    return stopped_run(tmp_path_factory.mktemp("short"), sweeps=19)


@pytest.fixture
def store(short: Path, tmp_path: Path) -> Path:
    """A copy of that store, to be spoilt."""
    return Path(shutil.copytree(short, tmp_path / "run.zarr"))


def refused_resume(store: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a store that is not gone on with; not a byte of it changes."""
    before = contents(store)
    assert main(["resume", str(store), "--local"]) == 2
    assert contents(store) == before
    return refusal(capsys)


def test_the_model_of_a_store_must_be_the_one_that_was_recorded(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    y = np.zeros((4, user_model.GROUPS))
    monkeypatch.setattr(user_model, "groups", lambda: numpyro_model(user_model.normal_groups, {"y": y}))
    line = refused_resume(store, capsys)
    assert "model 'tests.support.models.user_model:groups' is not the one that was recorded: data.['y'].sha256" in line
    assert "start a new run" in line


def test_a_store_that_another_process_writes_is_left_to_it(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stores.reopen(store):
        line = refused_resume(store, capsys)
    assert "is being written by process" in line
    assert "wait for it to end or stop it" in line


def test_a_store_of_a_newer_program_is_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_root(store, lambda root: root["attributes"]["maxwell"].update(format_version=99))
    assert "has store format 99; this program reads formats up to 4: update maxwell" in refused_resume(store, capsys)


def test_a_damaged_checkpoint_is_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = max((store / "checkpoint").iterdir(), key=lambda folder: int(folder.name))
    file = last / "coordinator.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert f"checkpoint/{last.name}" in refused_resume(store, capsys)


def test_a_torn_root_is_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = store / "zarr.json"
    root.write_bytes(root.read_bytes()[:1000])
    line = refused_resume(store, capsys)
    assert "are damaged: it is no JSON" in line
    assert "Restore that one file" in line


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        (
            "never_finite",
            ["NaN or infinite at 32 draws of the prior and as", "in these terms: broken"],
        ),
        ("without_elements", ["has a plate of no elements: check the sizes of its plates"]),
        ("coupled", ["level 'item'", "term 'pair' touches", "declare it in the sites' plates"]),
    ],
)
def test_models_that_cannot_be_sampled_are_bad_input(
    function: str, parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(
        tmp_path, model={"name": f"tests.support.models.user_model:{function}"}, structure={"couplings": "refuse"}
    )
    assert main(["run", str(settings), "--local", "--out", str(tmp_path / "run.zarr")]) == 2
    line = refusal(capsys)
    assert line.startswith("maxwell: model '")
    assert all(part in line for part in parts), line
    assert not (tmp_path / "run.zarr").exists()


def test_changed_data_are_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = datasets.checksums
    monkeypatch.setattr(datasets, "checksums", lambda dataset: dict.fromkeys(real(dataset), "0" * 64))
    assert main(["run", "airway_small", "--local", "--out", str(tmp_path / "run.zarr")]) == 2
    assert "data file airway/counts.tsv.gz has SHA-256" in refusal(capsys)
