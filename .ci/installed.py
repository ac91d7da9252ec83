"""What a user does first, with the installed wheel: a small shipped model, its draws, report and export.

Run outside the checkout as `python -I installed.py FOLDER`, FOLDER a fresh one to write into.
"""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

import arviz
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray

import maxwell

folder = Path(sys.argv[1])
store, page, export = folder / "small.zarr", folder / "small.html", folder / "small.nc"
command = str(Path(sys.executable).with_name("maxwell"))
# Of so few genes the scale of effects may be 0, a neck that takes long: a limit is enough here.
SMALL = ("model.genes=60", "goals.ess=100", "goals.shared_ess=100", "goals.draws=8", "limits.sweeps=2000")


def own(y: np.ndarray) -> None:
    """A user's model."""
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    numpyro.sample("y", dist.Normal(mu, 1), obs=y)


def call(*arguments: str) -> str:
    """What the command prints; CalledProcessError, its output shown, unless its status is 0."""
    done = subprocess.run([command, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    done.check_returncode()
    return done.stdout


printed = call("run", "airway_small", *SMALL, "--local", "--out", str(store))
assert "Strongest effects of dexamethasone" in printed, "the model's own table is missing"
call("report", str(store), "--out", str(page))
assert page.stat().st_size > 100_000
call("export", str(store), "--out", str(export), "--draws", "4", "--prior", "3")

assert "Strongest effects of dexamethasone" in call("table", str(store))
run = maxwell.open_run(store)
data = run.data
summary = arviz.summary(data, var_names=["mu_a", "sd_d"])
assert list(summary.index) == ["mu_a", "sd_d"]
found = run.diagnostics()
assert np.isfinite(found["d_ess"]).all()
assert found["d_ess"].dims == ("gene",)
groups = set(xarray.open_datatree(export, engine="h5netcdf").children)
assert {"posterior", "log_likelihood", "posterior_predictive", "prior"} <= groups, groups

mine = maxwell.sample(own, {"y": np.ones(10)}, goals={"ess": 100, "shared_ess": 100, "draws": 8}, local=True)
assert abs(arviz.summary(mine.data)["mean"]["mu"] - 1) < 0.5
assert "own" in repr(mine)

versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("arviz", "numpy", "jax", "ray", "zarr"))
print(f"installed wheel works: Python {platform.python_version()}, {versions}, data is {type(data).__name__}")
