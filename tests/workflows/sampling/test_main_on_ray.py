"""A model that a script defines itself, on Ray workers: it travels by value, whatever it closes over."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import maxwell
from tests.support.runs import draws, same
from workflows.cli.main import main

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import maxwell

maxwell.numpyro_model  # which turns 64-bit numbers on
PRECISE = jnp.asarray([1.0 + 2.0**-40])

def center():
    return (PRECISE - 1.0)[0] * 2.0**40

def model(y):
    mu = numpyro.sample("mu", dist.Normal(center(), 3.0))
    numpyro.sample("y", dist.Normal(mu, 0.7), obs=y)

if __name__ == "__main__":
    settings = {
        "ensemble": {"replicas": 8, "superchains": 4},
        "scout": {"kernel": "none"},
        "equilibrate": {"max_rounds": 3, "refine_rounds": 2},
        "round": {"sweeps": 2},
        "goals": {"draws": 1000},
        "limits": {"sweeps": 14},
        "progress": False,
    }
    data = {"y": np.linspace(-1.0, 2.0, 6)}
    maxwell.sample(model, data, out="here.zarr", local=True, **settings)
    settings["ensemble"]["workers"] = 2
    maxwell.sample(model, data, out="workers.zarr", **settings)
"""


def test_a_model_of_a_script_runs_on_two_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number beyond float32 that it closes over arrives whole, so the draws are those of one process, bit for bit."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    workers, here = (maxwell.open_run(tmp_path / f"{name}.zarr") for name in ("workers", "here"))
    assert workers.attributes["settings"]["ensemble"]["workers"] == 2
    assert same(draws(here), draws(workers))
    assert not any(b"cloudpickle" in file.read_bytes() for file in workers.path.rglob("*") if file.is_file())
    assert main(["resume", str(workers.path)]) == 2
    assert "was given as an object in Python" in capsys.readouterr().err


@pytest.mark.usefixtures("connected_ray")
def test_a_model_that_cannot_travel_is_refused_with_the_remedy(tmp_path: Path) -> None:
    import threading

    lock = threading.Lock()

    def log_density(position: dict, data: dict) -> object:
        with lock:
            return -0.5 * position["x"] ** 2

    model = maxwell.function_model(log_density, {"x": ()})
    with pytest.raises(maxwell.MaxwellError, match=r"cannot be sent to other processes: cannot pickle.*lock"):
        maxwell.sample(model, out=tmp_path / "run.zarr", local=False, ensemble={"workers": 1}, progress=False)
    assert np.isfinite(float(log_density({"x": 1.0}, {})))  # type: ignore[arg-type]
