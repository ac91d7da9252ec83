"""Code of a user that turns JAX's 64-bit numbers off is told so by name, wherever it does, and nothing is sampled."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import numpyro
import pytest

import maxwell
from ensemble.protocol.progress import NullProgress, Status
from ensemble.shard.calling_model import PrecisionError
from tests.support.models import user_model
from tests.support.runs import SETTINGS, config
from workflows.cli.main import main

ROOT = Path(__file__).resolve().parents[3]

MODULE = """
import numpy as np, numpyro, numpyro.distributions as dist, os
from maxwell import numpyro_model

{at_import}

def model(y):
    {in_model}
    mean = numpyro.sample("mean", dist.Normal(2457003.0, 10.0))
    numpyro.sample("y", dist.Normal(mean, 0.002), obs=y)


def build():
    built = numpyro_model(model, {{"y": np.array(2457003.12)}})
    {in_builder}
    return built
"""
OFF = "numpyro.enable_x64(False)"
IN_WORKERS = f'if os.environ["DRIVER"] != str(os.getpid()): {OFF}'


@pytest.fixture(autouse=True)
def on_again() -> Iterator[None]:
    yield
    jax.config.update("jax_enable_x64", True)


def written(folder: Path, **lines: str) -> str:
    """A module of a user with lines in some of its places; its name."""
    places = {"at_import": "", "in_model": "", "in_builder": ""}
    name = f"module_{'_'.join(lines)}"
    (folder / f"{name}.py").write_text(MODULE.format(**{**places, **lines}))
    return name


@pytest.mark.parametrize("place", ["at_import", "in_model", "in_builder"])
def test_a_module_that_turns_them_off_is_bad_input(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{written(tmp_path, **{place: OFF})}:build"
    monkeypatch.syspath_prepend(str(tmp_path))
    settings, store = config(tmp_path, model={"name": name}), tmp_path / "run.zarr"
    assert main(["run", str(settings), "--local", "--out", str(store)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"maxwell: model '{name}': JAX's 64-bit numbers are off")
    assert "numpyro.enable_x64(False)" in line
    assert not store.exists()


def test_a_script_that_turned_them_off_is_told() -> None:
    model = user_model.groups()
    numpyro.enable_x64(False)
    with pytest.raises(PrecisionError, match=f"model '{model.name}': JAX's 64-bit numbers are off"):
        maxwell.sample(model, local=True, progress=False)
    with pytest.raises(PrecisionError, match="model 'normal_groups'"):
        maxwell.sample(user_model.normal_groups, {"y": np.zeros((4, 6))}, local=True, progress=False)


def test_a_run_ends_where_they_are_turned_off_on_its_way(tmp_path: Path) -> None:
    class Meddling(NullProgress):
        def update(self, status: Status) -> None:
            if status.epoch == 5:
                numpyro.enable_x64(False)

    store = tmp_path / "run.zarr"
    with pytest.raises(PrecisionError):
        maxwell.run(SETTINGS, out=store, local=True, progress=Meddling())
    assert maxwell.open_run(store).attributes["maxwell"]["checkpoints"][-1]["epoch"] == 3


@pytest.mark.slow
@pytest.mark.ray
def test_a_worker_that_turns_them_off_is_told_too(tmp_path: Path) -> None:
    name = f"{written(tmp_path, in_builder=IN_WORKERS)}:build"
    settings, store = config(tmp_path, model={"name": name}), tmp_path / "run.zarr"
    command = ["-m", "workflows.cli", "run", str(settings), "--out", str(store)]
    start = "import os, sys; os.environ['DRIVER'] = str(os.getpid()); os.execv(sys.executable, sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", start, sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (complaint,) = (line for line in done.stderr.splitlines() if line.startswith("maxwell: "))
    assert complaint.startswith(f"maxwell: model '{name}': JAX's 64-bit numbers are off")
    assert not store.exists()
