"""Models by name: the shipped ones, a folder each, and users' module:function."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import workflows.models
from maxwell import run
from tests.support.models import toy_model, users_models
from tests.support.runs import SETTINGS
from workflows.cli.main import main
from workflows.modelling.errors import ModelError
from workflows.modelling.registry import HOME, available, build, entries, entry, part
from workflows.results.report.facts import Facts
from workflows.results.report.page import page

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users_models.write(tmp_path, monkeypatch)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A shipped model more, in a folder that is searched for them too."""
    toy_model.write(tmp_path / "shipped" / "toy")
    monkeypatch.setattr(workflows.models, "__path__", [*workflows.models.__path__, str(tmp_path / "shipped")])
    entries.cache_clear()
    yield
    entries.cache_clear()
    for name in [name for name in sys.modules if name.startswith(f"{HOME}.toy")]:
        del sys.modules[name]


def test_every_folder_is_a_model_and_every_part_of_it_is_there() -> None:
    folders = {path.parent.name for path in Path(workflows.models.__path__[0]).glob("*/__init__.py")}
    assert set(entries()) == folders
    for name, shipped in entries().items():
        for spec in filter(
            None, [shipped.build, shipped.table, shipped.frame, shipped.pictures, *shipped.stock.values()]
        ):
            assert spec.startswith(f"{HOME}.{name}."), spec
            assert callable(part(spec)), spec


def test_the_listing_loads_no_jax() -> None:
    code = (
        "import sys; from workflows.modelling.registry import available; print(len(available()), 'jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [str(len(entries())), "False"]


@pytest.mark.usefixtures("toy")
def test_a_new_model_is_a_new_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed, runs, and has its table and its picture in the report; nothing else has heard of it."""
    assert main(["models"]) == 0
    assert "a toy" in capsys.readouterr().out
    settings = {**SETTINGS, "model": {"name": "toy", "scale": 2.0}, "scout": {"kernel": "none"}, "tempering": {}}
    found = run(settings, out=tmp_path / "toy.zarr", local=True)
    assert found.report_lines() == ["The toy has 3 numbers."]
    html = page(Facts(found.path))
    assert "The toy has 3 numbers." in html
    assert "The toy drawn." in html
    with pytest.raises(ModelError, match=r"its settings are: scale = 1\.0"):
        build("toy", {"size": 3})


def test_other_names_have_no_entry() -> None:
    assert entry("users_models:plain") is None
    assert entry("toy") is None


def test_the_listing_names_the_shipped_models() -> None:
    assert {"airway", "scorpio"} <= set(available())
    assert all(line and "\n" not in line for line in available().values())


@pytest.mark.parametrize("function", ["builder", "builder_that_simulates", "bare", "plain"])
def test_users_functions_are_found_and_built(function: str) -> None:
    model = build(f"users_models:{function}", {})
    assert model.name == f"users_models:{function}"
    start = model.target.initial(jax.random.key(0), model.data)
    assert all(jnp.isfinite(term).all() for term in model.target.log_terms(start, model.data).values())
    assert set(model.target.sites) == ({"x"} if function == "plain" else {"mu"})


def test_settings_reach_users_functions() -> None:
    np.testing.assert_array_equal(build("users_models:builder", {"shift": 2.0}).data["y"], np.arange(4.0) + 2.0)
    model = build("users_models:coin", {"y": [1.0, 2.0, 3.0, 4.0], "scale": 3.0})
    np.testing.assert_array_equal(model.data["y"], [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(model.observed["obs"], [1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("airways", {}, r"no model is called 'airways': choose one of airway, .*scorpio, or .* module:function"),
        ("airway", {"gene": 3}, r"does not take gene; its settings are: genes = 'all', cells = False"),
        ("airway", {"genes": 0}, r"genes = 0: choose between 1 and 22369"),
        ("airway", {"genes": "some"}, r'genes = \'some\'; allowed are "all"'),
        ("airway", {"genes": 5, "cells": 1}, r"cells = 1; allowed are true and false"),
        ("scorpio", {"copies": 0}, r"copies = 0; allowed"),
        ("no_such_module:f", {}, r"no module 'no_such_module' in .* PYTHONPATH"),
        ("users_models:nobody", {}, r"users_models has no function 'nobody'; it has bare, builder"),
        ("users_models:nothing", {}, r"returned int: return a Model"),
        ("users_models:coin", {}, r"needs y; its settings are: y, scale = 1.0"),
    ],
)
def test_wrong_names_and_settings_are_refused(name: str, keys: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, keys)
