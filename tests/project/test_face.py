"""`import maxwell`: quick, and every name that it offers is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import maxwell

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"jax", "ray", "xarray", "zarr", "arviz", "numpyro", "numpy", "pydantic", "rich"}


def test_importing_it_imports_nothing_heavy_and_asks_jax_for_one_thread() -> None:
    code = f"import maxwell, os, sys; print(sorted({HEAVY} & set(sys.modules)), os.environ['PJRT_NPROC'])"
    environment = {name: value for name, value in os.environ.items() if name != "PJRT_NPROC"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[] 1\n"


def test_a_choice_of_threads_is_kept() -> None:
    code = "import maxwell, os; print(os.environ['PJRT_NPROC'])"
    environment = {**os.environ, "PJRT_NPROC": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"


def test_every_name_is_there_and_says_what_it_does() -> None:
    assert set(dir(maxwell)) == set(maxwell.__all__) == set(maxwell._HOMES)
    for name in maxwell.__all__:
        found = getattr(maxwell, name)
        assert found.__doc__, name
        # `models` is an object that lists and builds; all others are called what they are here.
        assert name == "models" or found.__name__ == name


def test_a_wrong_name_is_told_the_right_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'smaple'; it offers .*sample"):
        _ = maxwell.smaple  # type: ignore[attr-defined]


def test_models_are_listed() -> None:
    assert "gene expression" in maxwell.models()["airway"]
