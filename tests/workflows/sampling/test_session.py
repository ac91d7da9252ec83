"""Runs from Python: models as objects, stores that live as long as a run, interrupts that leave the run in hand."""

import gc
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import maxwell
from ensemble.errors import StoreError
from ensemble.protocol.progress import NullProgress
from tests.support.models import user_model
from tests.support.runs import SETTINGS, SignalAt, draws, same
from workflows.cli.main import main
from workflows.modelling.errors import ModelError
from workflows.settings.loading import SettingsError

SECTIONS: dict[str, Any] = {name: section for name, section in SETTINGS.items() if name != "model"}
HERE: dict[str, Any] = {"local": True, "progress": False}
SHORT: dict[str, Any] = {**SECTIONS, "limits": {"sweeps": 19}, **HERE}
Y = {"y": np.array([[0.5], [1.5], [1.0], [2.0]]) + np.arange(user_model.GROUPS) / 3}


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run of a NumPyro function."""
    out = tmp_path_factory.mktemp("session") / "run.zarr"
    maxwell.sample(user_model.normal_groups, Y, out=out, **SHORT)
    return out


def test_a_model_given_as_an_object_has_the_draws_of_the_named_one(reference: dict[str, np.ndarray]) -> None:
    run = maxwell.sample(user_model.groups(), **SECTIONS, **HERE)
    assert same(reference, draws(run))


def test_without_a_place_the_store_lives_as_long_as_the_run_and_the_draws_longer() -> None:
    run = maxwell.sample(user_model.normal_groups, Y, **SHORT)
    folder, data = run.path.parent, run.data
    assert run.is_temporary
    assert "temporary, removed with this object" in repr(run)
    again = run.resume(limits={"sweeps": 21}, **HERE)
    del run
    gc.collect()
    assert folder.exists()
    del again
    gc.collect()
    assert not folder.exists()
    assert np.isfinite(data["warmup_posterior"]["mu"].values).all()


def test_settings_by_section_dotted_and_as_text_are_one() -> None:
    """A run of no sweeps is enough to see what was set."""
    nothing = {**SHORT, "limits": {"sweeps": 1}}
    del nothing["ensemble"]
    run = maxwell.sample(
        user_model.normal_groups,
        Y,
        settings={"ensemble.replicas": 8, "ensemble": {"superchains": 2}},
        seed=5,
        **nothing,
    )
    found = run.attributes["settings"]
    assert (found["ensemble"]["replicas"], found["ensemble"]["superchains"], found["seed"]) == (8, 2, 5)
    resumed = run.resume(settings=["limits.sweeps=2", "goals.ess=7"], goals={"draws": 4}, **HERE)
    goals = resumed.attributes["settings"]["goals"]
    assert (goals["ess"], goals["draws"], resumed.attributes["settings"]["limits"]["sweeps"]) == (7, 4, 2)


def test_wrong_settings_are_all_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="2 problems") as caught:
        maxwell.sample(user_model.groups(), out=tmp_path / "run.zarr", goal={"ess": 3}, goals={"ess": -1})
    assert "goals" in str(caught.value)
    assert not (tmp_path / "run.zarr").exists()


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (3, None, "int was given as the model: give a NumPyro model function"),
        (user_model.normal_groups, {"z": 1}, r"'normal_groups' cannot be called with the data given \(z\)"),
        (lambda: 3, None, "returned int"),
        ("nobody", None, "no model is called 'nobody'"),
        ("scorpio", {"copies": np.ones(3)}, r"'scorpio' was given arrays \(copies\)"),
    ],
)
def test_what_is_no_model_is_refused(model: Any, data: Mapping[str, Any] | None, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        maxwell.sample(model, data, **HERE)


def test_data_beside_a_model_that_has_its_own_are_refused() -> None:
    with pytest.raises(ModelError, match="data were given beside the Model"):
        maxwell.sample(user_model.groups(), Y)


def test_a_named_model_takes_its_settings_as_data() -> None:
    run = maxwell.sample("scorpio", {"copies": 2}, **{**SHORT, "limits": {"sweeps": 1}})
    assert run.attributes["settings"]["model"] == {"name": "scorpio", "copies": 2}
    assert not run.attributes["model_is_object"]
    assert run.model().name == "scorpio"


def test_a_store_that_is_there_is_not_written_over(short: Path) -> None:
    with pytest.raises(StoreError, match=r"exists already. Go on with it by .* in Python maxwell.resume"):
        maxwell.sample(user_model.normal_groups, Y, out=short, **SHORT)


def test_resuming_asks_for_the_model_again_and_checks_it(short: Path) -> None:
    more = {**HERE, "limits": {"sweeps": 21}}
    with pytest.raises(ModelError, match="was given as an object in Python"):
        maxwell.resume(short, **more)
    with pytest.raises(ModelError, match=r"is not the one that was recorded: data.\['y'\].sha256"):
        maxwell.resume(short, user_model.normal_groups, {"y": Y["y"] + 1}, **more)

    def another_name(y: Any) -> None:
        user_model.normal_groups(y)

    resumed = maxwell.resume(short, another_name, Y, **more)
    assert resumed.summary()["sweeps"] == 21
    at_once = maxwell.sample(user_model.normal_groups, Y, **{**SHORT, **more})
    assert same(draws(at_once), draws(resumed))


def test_the_command_line_says_in_one_sentence_where_to_go_on(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", str(short), "--local"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"go on from Python, with maxwell.resume('{short}', model, data)" in line
    assert main(["export", str(short), "--out", str(tmp_path / "x.nc")]) == 2
    assert "was given as an object in Python" in capsys.readouterr().err
    assert main(["inspect", str(short)]) == 0
    assert f"maxwell.resume('{short}', model, data" in capsys.readouterr().out


def test_an_opened_run_predicts_with_the_model_given_again(short: Path) -> None:
    run = maxwell.open_run(short, user_model.normal_groups, Y)
    assert run.model().name == "normal_groups"
    with pytest.raises(ModelError, match="was given as an object"):
        maxwell.open_run(short).model()


@pytest.fixture
def in_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the running script."""
    monkeypatch.setattr(sys.modules["__main__"], "groups_of_main", user_model.groups, raising=False)


@pytest.mark.usefixtures("in_main")
def test_a_function_of_the_running_script_has_a_name_in_python_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, name = tmp_path / "run.zarr", "__main__:groups_of_main"
    maxwell.run({**SETTINGS, "limits": {"sweeps": 3}, "model": {"name": name}}, out=out, **HERE)
    assert maxwell.resume(out, limits={"sweeps": 5}, **HERE).summary()["sweeps"] == 5
    assert main(["resume", str(out), "--local"]) == 2
    assert "was given as an object in Python" in capsys.readouterr().err
    assert main(["run", "scorpio", f"model.name={name}", "--out", str(tmp_path / "other.zarr")]) == 2
    assert "name mine:groups_of_main; or call maxwell.sample in the script" in capsys.readouterr().err
    monkeypatch.delattr(sys.modules["__main__"], "groups_of_main")
    assert maxwell.open_run(out).summary()["sweeps"] == 5


@pytest.mark.usefixtures("started_by_a_shell")
def test_interrupting_a_session_leaves_the_run_in_hand(
    reference: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    run = maxwell.sample(user_model.groups(), progress=SignalAt(signal.SIGINT, 14), local=True, **SECTIONS)
    assert not same(reference, draws(run))
    assert same(reference, draws(run.resume(**HERE)))


@pytest.mark.usefixtures("started_by_a_shell")
def test_a_second_interrupt_of_a_session_leaves_the_last_commit_in_hand(
    reference: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    run = maxwell.sample(user_model.groups(), progress=SignalAt(signal.SIGINT, 5, times=2), local=True, **SECTIONS)
    assert draws(run)["warmup_sample_stats/lp"].shape[1] == 3
    assert same(reference, draws(run.resume(**HERE)))


@pytest.mark.usefixtures("started_by_a_shell")
def test_a_script_stops_with_the_run_in_the_exception(
    reference: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sys, "ps1", raising=False)
    out = tmp_path / "run.zarr"
    with pytest.raises(maxwell.Interrupted, match=r"kept in .*run.zarr: go on with the method resume\(\)") as caught:
        maxwell.sample(user_model.groups(), out=out, progress=SignalAt(signal.SIGTERM, 14), local=True, **SECTIONS)
    assert same(reference, draws(caught.value.run.resume(**HERE)))


@pytest.mark.usefixtures("started_by_a_shell")
def test_an_interrupt_before_there_is_a_store_is_pythons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        maxwell.sample(interrupted, **HERE)


class Closing(NullProgress):
    """Notes that it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_display_is_closed_whatever_happens() -> None:
    shown = Closing()
    with pytest.raises(StoreError):
        maxwell.sample(user_model.groups(), start={"store": "nowhere.zarr"}, local=True, progress=shown)
    assert shown.closed == 1


def test_a_run_shows_itself_in_a_notebook(short: Path) -> None:
    page = maxwell.open_run(short)._repr_html_()
    assert "<caption>maxwell.Run</caption>" in page
    assert "normal_groups, 8 parameters" in page
    assert str(short) in page


def test_small_runs_stay_here_and_others_go_to_workers() -> None:
    from workflows.sampling.fleets import SMALL, runs_here
    from workflows.sampling.problem import find_problem
    from workflows.settings.loading import make_settings

    def chosen(model: Any, **ensemble: Any) -> bool:
        settings = make_settings({"model": {"name": "x"}, "ensemble": ensemble})
        return runs_here(None, settings, find_problem(model, settings))

    def wide(y: Any) -> None:
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    large = maxwell.numpyro_model(wide, {"y": np.zeros(SMALL // 32)})
    several = len(__import__("os").sched_getaffinity(0)) > 1
    assert chosen(user_model.groups())
    assert not chosen(user_model.groups(), workers=2)
    assert not chosen(user_model.groups(), address="127.0.0.1:6379")
    assert chosen(large) == (not several)
