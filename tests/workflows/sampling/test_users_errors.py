"""Code of a model that goes wrong in the middle of a run: told by its own lines, the store as it was committed."""

from pathlib import Path
from typing import Any

import pytest

import maxwell
from ensemble.errors import ModelFailed
from ensemble.protocol.progress import NullProgress, Status
from tests.support.models import failing_models
from tests.support.models.failing_models import NoSolution
from tests.support.runs import SETTINGS, command, config, draws, same
from workflows.modelling.errors import ModelError

FAILS_AFTER = 8
"""Rounds, of which a commit has 3."""
LINES = ["failing_models.py, line ", "    return FAILURES[kind](found)", "    raise NoSolution(len(density))"]


class GoesWrong(NullProgress):
    """Puts the file there after some rounds."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def update(self, status: Status) -> None:
        if status.epoch == FAILS_AFTER:
            self.marker.touch()


def changes(kind: str, marker: Path) -> dict[str, Any]:
    model = {"name": "tests.support.models.failing_models:build", "kind": kind, "marker": str(marker)}
    return {"model": model, "tempering": {}}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "now"


def ended(kind: str, marker: Path, patch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, Path]:
    """The exit status and the store of a run on the command line that goes wrong."""
    store = marker.parent / "run.zarr"
    settings = config(marker.parent, **changes(kind, marker))
    return command(patch, GoesWrong(marker), ["run", str(settings), "--out", str(store), *arguments]), store


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("raises", ["its code raised NoSolution: no solution at 2 points", *LINES]),
        ("exits", ["its code called sys.exit('the licence is gone')", 'sys.exit("the licence is gone")']),
        ("shape", ["for 2 positions the function gave arrays of shapes {'log_density': (1,)}"]),
        ("complex", ["gave values of type complex128 of term 'log_density'"]),
        ("text", ["gave values of type text of term 'log_density'"]),
    ],
)
def test_it_is_bad_input_told_in_the_users_lines(
    kind: str, said: list[str], marker: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    status, store = ended(kind, marker, monkeypatch, "--local")
    error = capfd.readouterr().err
    assert status == 2
    assert error.startswith("maxwell: model 'tests.support.models.failing_models:build'" if "its" in said[0] else "max")
    for part in [*said, f"is kept in {store}", f"maxwell resume {store} --local"]:
        assert part in error
    assert not [
        word for word in ("Traceback", "jax", "callback", "_evaluated") if word in error.replace(str(store), "")
    ]


def test_once_it_is_mended_the_run_goes_on_as_if_nothing_had_been(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = ended("raises", marker, monkeypatch, "--local")
    marker.unlink()
    assert command(monkeypatch, NullProgress(), ["resume", str(store), "--local"]) == 0
    whole = maxwell.run(SETTINGS, changes("raises", marker), local=True, progress=False, out=marker.parent / "whole")
    assert same(draws(maxwell.open_run(store)), draws(whole))


def test_an_interrupt_in_a_callback_is_an_interrupt(
    marker: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    status, store = ended("interrupts", marker, monkeypatch, "--local")
    assert status == 130
    error = capfd.readouterr().err
    assert error.startswith(f"maxwell: interrupted; the last commit can be found in {store}. Go on with:")


def test_python_gets_the_users_exception_and_the_run(marker: Path) -> None:
    settings = {name: section for name, section in SETTINGS.items() if name not in ("model", "tempering")}
    model = failing_models.build("raises", str(marker))
    with pytest.raises(ModelFailed, match="raised NoSolution") as caught:
        maxwell.sample(model, local=True, progress=GoesWrong(marker), **settings)
    assert isinstance(caught.value.__cause__, NoSolution)
    assert caught.value.__cause__.at == 2
    assert caught.value.run.attributes["maxwell"]["checkpoints"][-1]["epoch"] == 6
    assert "the attribute `run` of this exception" in caught.value.__notes__[0]
    marker.unlink()
    assert caught.value.run.resume(local=True, progress=False).summary()["sweeps"] == 37


def test_a_change_of_shape_is_a_model_error_in_python_too(marker: Path) -> None:
    with pytest.raises(ModelError, match="arrays of shapes") as caught:
        maxwell.run(SETTINGS, changes("shape", marker), local=True, progress=GoesWrong(marker), out=marker.parent / "r")
    assert caught.value.run.path == marker.parent / "r"


@pytest.mark.ray
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("raises", 2),
        pytest.param("exits", 2, marks=pytest.mark.slow),
        pytest.param("interrupts", 130, marks=pytest.mark.slow),
    ],
)
def test_on_workers_it_ends_in_the_same_way(
    kind: str,
    expected: int,
    marker: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    connected_ray: None,
) -> None:
    status, store = ended(kind, marker, monkeypatch)
    error = capfd.readouterr().err
    assert (status, "Traceback" in error) == (expected, False)
    assert f"maxwell resume {store}" in error
    if kind == "raises":
        assert all(part in error for part in LINES)
