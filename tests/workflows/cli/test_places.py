"""A place where no store can be made is refused before the model is built, from the command line and from Python."""

from pathlib import Path

import numpy as np
import pytest

import maxwell
from tests.support import containers
from tests.support.containers import ROOTS_ONLY, shared_folder
from tests.support.models import user_model
from tests.support.runs import config
from workflows.cli.main import main
from workflows.modelling import given, registry
from workflows.sampling import sample


def dangling(folder: Path) -> tuple[Path, str]:
    (folder / "run.zarr").symlink_to(folder / "gone" / "deep")
    return folder / "run.zarr", f"run.zarr is a link to {folder / 'gone' / 'deep'}, and nothing is there"


def below_a_dangling_link(folder: Path) -> tuple[Path, str]:
    (folder / "runs").symlink_to(folder / "gone")
    return folder / "runs" / "run.zarr", f"{folder / 'runs'} cannot be written (No such file or directory)"


def below_a_file(folder: Path) -> tuple[Path, str]:
    (folder / "file").touch()
    return folder / "file" / "more" / "run.zarr", f"{folder / 'file'} cannot be written (Not a directory)"


def too_long_a_name(folder: Path) -> tuple[Path, str]:
    # Of 250 letters: the name itself is allowed, that under which a store is built is not.
    return folder / "missing" / ("n" * 250), f"{folder} cannot be written (File name too long)"


def taken(folder: Path) -> tuple[Path, str]:
    (folder / "run.zarr").mkdir()
    return folder / "run.zarr", "run.zarr exists already. Go on with it by `maxwell resume"


PLACES = [dangling, below_a_dangling_link, below_a_file, too_long_a_name, taken]


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model may be built."""

    def unreached(*_: object, **__: object) -> None:
        raise AssertionError("the model is built")

    for module in (registry, sample):
        monkeypatch.setattr(module, "build", unreached)
    monkeypatch.setattr(given, "as_model", unreached)


@pytest.mark.parametrize("make", PLACES)
@pytest.mark.usefixtures("unbuilt")
def test_what_is_no_place_is_refused(make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, folder = config(tmp_path), tmp_path / "place"
    folder.mkdir()
    out, told = make(folder)
    before = sorted(folder.rglob("*"))
    assert main(["run", str(settings), "--local", "--out", str(out)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert told in line
    assert "name another place (--out, in Python out=...)" in line
    assert "committed" not in line
    with pytest.raises(maxwell.MaxwellError) as caught:
        maxwell.sample(user_model.normal_groups, {"y": np.zeros((4, user_model.GROUPS))}, out=out, progress=False)
    assert told in str(caught.value)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("unbuilt")
def test_nothing_is_left_of_the_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folders above a store are made with it, not for a run that is refused."""
    assert main(["run", str(config(tmp_path)), "--local", "--out", str(tmp_path / "new" / "run.zarr")]) == 2
    assert "its code raised AssertionError: the model is built" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["small.yaml"]


@ROOTS_ONLY
def test_a_folder_of_somebody_else_is_refused() -> None:
    with shared_folder() as folder:
        theirs = folder / "theirs"
        theirs.mkdir(0o755)
        # The model would fail with another error: it is not reached.
        done = containers.maxwell(
            "run", "schools", "model.name=nobody:built", "--local", "--out", str(theirs / "new" / "run.zarr")
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines() == [
            f"maxwell: no store can be made at {theirs / 'new' / 'run.zarr'}: {theirs} cannot be written (Permission "
            "denied). Make room there or mend access, or name another place (--out, in Python out=...)."
        ]
        assert list(theirs.iterdir()) == []
