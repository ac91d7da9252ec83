"""The command line on damaged stores, and on runs that were killed before their first checkpoint."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import maxwell
from ensemble.errors import StoreError
from ensemble.protocol.progress import NullProgress
from tests.support.runs import command, config, contents, draws, same
from workflows.cli.main import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a finished small run."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["run", str(config(folder)), "--local", "--out", str(folder / "run.zarr")]
        assert command(patch, NullProgress(), arguments) == 0
    return folder / "run.zarr"


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "run.zarr")
    return tmp_path / "run.zarr"


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def last_chunk(store: Path) -> Path:
    return max((store / "posterior").glob("*/c.*.*"), key=lambda file: int(file.name.split(".")[2]))


DAMAGES = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "emptied": lambda file: file.write_bytes(b""),
    "deleted": Path.unlink,
    "flipped": flip,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_names_every_file_and_inspect_tells_nothing_else(
    damage: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(store), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    for file in sorted(f for f in store.rglob("*") if f.is_file() and f.name != ".lock"):
        kept, name = file.read_bytes(), str(file.relative_to(store))
        DAMAGES[damage](file)
        assert main(["verify", str(store)]) == 2, name
        printed = capsys.readouterr()
        assert f"  {name}: " in printed.out
        assert "1 damaged:" in printed.out
        assert "--repair" in printed.out
        status = main(["inspect", str(store), "--json"])
        printed = capsys.readouterr()
        # Draws and checkpoints are none of what it tells.
        told = {**json.loads(printed.out), "bytes": None} == {**before, "bytes": None} if status == 0 else False
        assert told or (status == 2 and file.name in printed.err and file.name == "zarr.json"), name
        file.write_bytes(kept)
    assert main(["verify", str(store)]) == 0
    assert "All are as they were written." in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["report"], ["export", "--out", "out.nc"], ["check"], ["resume"]])
def test_no_command_takes_damaged_draws(
    arguments: list[str],
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = last_chunk(store)
    flip(file)
    name, *others = arguments
    assert main([name, str(store), *others]) == 2
    err = capsys.readouterr().err
    assert f"the file {file} is damaged: it cannot be decoded" in err
    assert f"`maxwell verify {store} --repair`" in err
    with pytest.raises(StoreError, match=r"is damaged"):
        draws(maxwell.open_run(store))


def test_what_a_repair_loses_is_made_anew_by_resuming(
    reference: dict[str, np.ndarray], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last commit is given up, and the run goes on from the one before as if it had never been."""
    flip(max((store / "checkpoint").iterdir(), key=lambda folder: int(folder.name)) / "shard-0.npz")
    assert main(["verify", str(store), "--repair"]) == 0
    printed = capsys.readouterr().out
    assert "Repaired: the store stands at its last sound commit. Lost:" in printed
    assert "of each chain of posterior" in printed
    assert maxwell.verify(store).sound
    assert main(["resume", str(store), "--local"]) == 0
    assert same(reference, draws(maxwell.open_run(store)))


def test_a_run_goes_on_after_draws_that_only_the_damaged_file_had(
    reference: dict[str, np.ndarray], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(last_chunk(store))
    assert main(["verify", str(store), "--repair"]) == 0
    kept = draws(maxwell.open_run(store))["posterior/mu"].shape[1]
    assert f"draws {kept} to 11 of each chain of posterior" in capsys.readouterr().out
    assert main(["inspect", str(store)]) == 0
    assert main(["resume", str(store), "--local", "limits.sweeps=43"]) == 0
    captured = capsys.readouterr()
    assert f"{12 - kept} draws of each chain were lost in a repair" in " ".join((captured.out + captured.err).split())
    found = draws(maxwell.open_run(store))
    assert found["posterior/mu"].shape[1] == kept + 3
    assert found["posterior/mu"][:, :kept].tobytes() == reference["posterior/mu"][:, :kept].tobytes()
    assert np.isfinite(found["posterior/mu"]).all()
    assert maxwell.open_run(store).summary()["draws"] == kept + 3


def test_verify_from_python(store: Path) -> None:
    found = maxwell.verify(store)
    assert found.sound
    assert found.files == sum(f.is_file() for f in store.rglob("*")) - 1
    flip(store / "zarr.json")
    found = maxwell.verify(store)
    assert [damage.file for damage in found.damaged] == ["zarr.json"]
    assert not found.sound
    assert maxwell.verify(store, repair=True).lost == ("what was committed last, with zarr.json",)
    with pytest.raises(StoreError, match="no store at"):
        maxwell.verify(store / "gone")


KILLED = """
import os, signal, sys
from ensemble.run.coordinator import Coordinator
from workflows.cli.main import main
Coordinator.start = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that was killed when it had one and no checkpoint in it, and its config beside it."""
    folder = tmp_path_factory.mktemp("killed")
    arguments = ["run", str(config(folder)), "--local", "--out", str(folder / "run.zarr")]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -9
    assert (folder / "run.zarr" / "zarr.json").exists()
    return folder


BEGUN_ANEW = "had ended before its first checkpoint: it begins anew"


def taken_over(killed: Path, tmp_path: Path) -> tuple[str, str]:
    """A copy of the store and of its config."""
    shutil.copytree(killed, tmp_path / "copy")
    return str(tmp_path / "copy" / "run.zarr"), str(tmp_path / "copy" / "small.yaml")


@pytest.mark.parametrize("name", ["run", "resume"])
def test_a_run_killed_before_its_first_checkpoint_begins_anew(
    name: str, killed: Path, tmp_path: Path, reference: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    store, settings = taken_over(killed, tmp_path)
    arguments = ["run", settings, "--out", store] if name == "run" else ["resume", store]
    assert main([*arguments, "--local"]) == 0
    printed = capsys.readouterr()
    assert BEGUN_ANEW in " ".join((printed.out + printed.err).split())
    assert same(reference, draws(maxwell.open_run(store)))


def test_it_may_have_other_goals_then(killed: Path, tmp_path: Path) -> None:
    store, _ = taken_over(killed, tmp_path)
    assert main(["resume", store, "limits.sweeps=3", "--local"]) == 0
    assert maxwell.open_run(store).attributes["settings"]["limits"]["sweeps"] == 3


@pytest.mark.parametrize("change", ["seed=5", "goals.ess=7"])
def test_the_store_of_another_run_is_not_written_over(
    change: str, killed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, settings = taken_over(killed, tmp_path)
    before = contents(Path(store))
    assert main(["run", settings, change, "--local", "--out", store]) == 2
    assert "exists already. Go on with it by `maxwell resume" in capsys.readouterr().err
    assert contents(Path(store)) == before


def test_nor_is_one_with_draws(killed: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, settings = taken_over(killed, tmp_path)
    before = contents(whole)
    assert main(["run", settings, "--local", "--out", str(whole)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert contents(whole) == before
