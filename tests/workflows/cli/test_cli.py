"""The command line: exit status, what goes to which stream, no traceback on bad input, nothing heavy too early."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

from ensemble import users_code
from ensemble.errors import MaxwellError
from workflows.cli.main import main
from workflows.modelling import registry as models
from workflows.results.fit.check import FitError
from workflows.results.inspect import SUMMARY_KEYS, summarise
from workflows.sampling.interrupt import Stop
from workflows.settings.loading import make_settings, resume_settings

STORED = make_settings({"model": {"name": "airway"}}).model_dump(mode="json")


@pytest.fixture(autouse=True)
def fakes_are_of_the_program(monkeypatch):
    """What the functions of this file raise in the place of the program's is no error of a model's code."""
    monkeypatch.setattr(users_code, "_OURS", (*users_code._OURS, __file__))


class Interrupted(MaxwellError):
    stop = Stop()


class StoreDamaged(MaxwellError):
    pass


class FakeRun:
    def __init__(self, path: Path, met: bool = True) -> None:
        self.path = path
        self.met = met

    def summary(self) -> dict:
        found = {"goals_met": {"ess": self.met}, "ess_stored_min": 312.0, "sweeps": 160, "wall_seconds": 65.0}
        return summarise({"summary": found, "settings": STORED}, self.path, 1000)

    def report_lines(self) -> list[str]:
        return ["strongest effects: none"]

    def fit_lines(self) -> list[str]:
        return ["Does the model fit?"]


class FakeSampling:
    """Stands in for sample and resume: notes its calls, raises `failure` if there is one."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.failure: BaseException | None = None
        self.met = True

    def sample(self, settings, path, *, local=None, progress=None):
        progress.stage("scout", "finding the typical set")
        self.calls.append(("sample", settings, path, local))
        return self._end(path)

    def resume(self, path, changes=(), *, previous_checkpoint=False, local=None, progress=None):
        self.calls.append(("resume", path, list(changes), local))
        resume_settings(STORED, changes)
        return self._end(path)

    def _end(self, path):
        if self.failure is not None:
            raise self.failure
        return FakeRun(path, self.met)


@pytest.fixture
def sampling(monkeypatch):
    stand_in = FakeSampling()
    package = "workflows.sampling"
    stand_in_module(monkeypatch, package, "sample", sample=stand_in.sample)
    stand_in_module(monkeypatch, package, "resume", resume=stand_in.resume)
    stand_in_module(
        monkeypatch, package, "interrupt", Interrupted=Interrupted, LAST_COMMIT="the last commit", Stop=Stop
    )
    return stand_in


def stand_in_module(monkeypatch, package: str, name: str, **members) -> None:
    module = ModuleType(f"{package}.{name}")
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, f"{package}.{name}", module)
    monkeypatch.setattr(importlib.import_module(package), name, module, raising=False)


def test_a_run_ends_with_what_was_reached_and_where_to_go_on(sampling, capsys):
    assert main(["run", "airway_small", "goals.ess=100", "--local", "seed=3", "--out", "x.zarr"]) == 0
    ((_, settings, out, local),) = sampling.calls
    assert (settings.goals.ess, settings.seed, out, local) == (100, 3, Path("x.zarr"), True)
    captured = capsys.readouterr()
    for part in ("1:05", "ESS", "strongest effects: none", "maxwell inspect x.zarr", "maxwell.open_run('x.zarr').data"):
        assert part in captured.out
    assert captured.err == "scout: finding the typical set\n"


def test_the_store_is_named_after_the_config(sampling, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("model: {name: scorpio}\n")
    assert main(["run", str(config)]) == 0
    assert sampling.calls[0][2:] == (Path("runs/mine.zarr"), False)


def test_a_limit_is_no_failure_but_says_what_is_missing(sampling, capsys):
    sampling.met = False
    assert main(["run", "scorpio"]) == 0
    out = capsys.readouterr().out
    assert "goals.ess: 312, wanted 400" in out
    assert "  maxwell resume runs/scorpio.zarr\n" in out


def test_bad_settings_are_all_told_without_a_traceback(sampling, capsys):
    assert main(["run", "airway", "goals.ess=-1", "roundd.sweeps=3", "seed"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("maxwell: 3 problems in airway:")
    assert "Traceback" not in captured.err
    assert sampling.calls == []


def test_errors_meant_for_people_have_status_two(sampling, capsys):
    sampling.failure = StoreDamaged("x.zarr is damaged: restore it from a copy")
    assert main(["resume", "x.zarr"]) == 2
    assert capsys.readouterr().err == "maxwell: x.zarr is damaged: restore it from a copy\n"


def test_resume_passes_its_changes_on_and_refuses_others(sampling, capsys):
    assert main(["resume", "x.zarr", "--local", "goals.ess=50"]) == 0
    assert sampling.calls == [("resume", Path("x.zarr"), ["goals.ess=50"], True)]
    assert main(["resume", "x.zarr", "seed=5"]) == 2
    assert "seed: asked for 5, the stored value is 0" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "end"), [([], ""), (["--local"], " --local")])
@pytest.mark.parametrize(
    ("failure", "kept"), [(Interrupted("stopped"), "every finished round"), (KeyboardInterrupt(), "the last commit")]
)
def test_an_interrupted_run_prints_the_resume_command(sampling, capsys, tmp_path, failure, kept, options, end):
    store = tmp_path / "a b.zarr"
    store.mkdir()
    sampling.failure = failure
    assert main(["resume", str(store), *options]) == 130
    err = capsys.readouterr().err
    assert (
        err == f"maxwell: interrupted; {kept} can be found in {store}. Go on with:\n  maxwell resume '{store}'{end}\n"
    )


def test_an_interrupt_before_there_is_a_store_is_quiet(sampling, capsys, tmp_path):
    sampling.failure = KeyboardInterrupt()
    assert main(["run", "scorpio", "--out", str(tmp_path / "x.zarr")]) == 130
    assert capsys.readouterr().err.endswith("maxwell: interrupted; there was nothing to keep yet\n")


def test_unexpected_errors_keep_their_traceback(sampling):
    sampling.failure = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        main(["run", "scorpio"])


def test_an_error_in_the_models_own_lines_does_not_fail_a_finished_run(sampling, capsys, monkeypatch):
    def broken(_: FakeRun) -> list[str]:
        raise TypeError("no such column")

    monkeypatch.setattr(FakeRun, "report_lines", broken)
    assert main(["run", "scorpio"]) == 0
    out = capsys.readouterr().out
    assert "the model's own table could not be made (TypeError: no such column). `maxwell table` tries it again" in out
    assert "maxwell inspect runs/scorpio.zarr" in out


def test_what_is_wrong_with_the_fit_does_not_fail_a_finished_run(sampling, capsys, monkeypatch):
    assert main(["run", "scorpio"]) == 0
    assert "Does the model fit?" in capsys.readouterr().out

    def broken(_: FakeRun) -> list[str]:
        raise TypeError("no such class")

    def density(_: FakeRun) -> list[str]:
        raise FitError("it draws nothing")

    monkeypatch.setattr(FakeRun, "fit_lines", broken)
    assert main(["run", "scorpio"]) == 0
    assert (
        "its fit could not be checked (TypeError: no such class). `maxwell check` tries it again"
        in capsys.readouterr().out
    )
    monkeypatch.setattr(FakeRun, "fit_lines", density)
    assert main(["run", "scorpio"]) == 0
    assert "fit" not in capsys.readouterr().out


def test_inspect_prints_text_or_exactly_the_summary(monkeypatch, capsys):
    attributes = {"summary": {"model": "airway", "ess_online_min": float("nan"), "more": 3}, "settings": STORED}
    reader = SimpleNamespace(attributes=attributes, locator="x.zarr", size=lambda: 1000)
    monkeypatch.setattr("ensemble.store.opening.reader", lambda path: reader)
    assert main(["inspect", "x.zarr", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary) == {*SUMMARY_KEYS, "path", "settings", "bytes", "resume_command", "more"}
    assert summary["ess_online_min"] is None
    assert main(["inspect", "x.zarr"]) == 0
    assert "maxwell resume x.zarr" in capsys.readouterr().out


def test_inspect_of_a_damaged_store_is_bad_input(monkeypatch, capsys):
    def reader(_):
        raise StoreDamaged("x.zarr/zarr.json cannot be read")

    monkeypatch.setattr("ensemble.store.opening.reader", reader)
    assert main(["inspect", "x.zarr"]) == 2
    assert capsys.readouterr().err == "maxwell: x.zarr/zarr.json cannot be read\n"


def test_models_are_listed_with_a_line_each(monkeypatch, capsys):
    available = {"airway": "genes that answer to a drug", "scorpio": "a density with four modes"}
    monkeypatch.setattr(models, "available", lambda: available)
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "airway   genes that answer to a drug\nscorpio  a density" in out
    assert "module:function" in out


def test_the_models_table_is_printed_again_and_its_errors_keep_their_traceback(monkeypatch, capsys):
    found: list[str] | Exception = ["strongest effects: none"]

    class Stored(FakeRun):
        attributes: ClassVar = {"model": "mine"}

        def report_lines(self):
            if isinstance(found, Exception):
                raise found
            return found

    stand_in_module(monkeypatch, "workflows.results", "run", Run=Stored)
    assert main(["table", "x.zarr"]) == 0
    assert capsys.readouterr().out == "strongest effects: none\n"
    found = []
    assert main(["table", "x.zarr"]) == 0
    assert capsys.readouterr().out.startswith("Model 'mine' has no table of its own")
    found = TypeError("no such column")
    with pytest.raises(TypeError):
        main(["table", "x.zarr"])


def test_it_runs_as_a_module():
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-m", "workflows.cli", "--version"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("maxwell")


@pytest.mark.parametrize(
    "arguments", [[], ["run"], ["walk"], ["inspect", "a", "b"], ["run", "airway", "--bad"], ["models", "a.b=c"]]
)
def test_usage_errors_have_status_two(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: maxwell")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--version"], "maxwell"), (["--help"], "resume"), (["run", "--help-settings"], "auto or a number above 1")],
)
def test_questions_are_answered_on_standard_output(arguments, part, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert part in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["run", "nowhere.yaml"], ["run", "airway", "seed=-1"]])
def test_nothing_heavy_is_imported_before_the_settings_are_checked(arguments):
    code = (
        "import sys\nfrom workflows.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "print(sorted({'jax', 'ray', 'xarray', 'zarr', 'arviz', 'numpyro', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
