"""Models as users write them, in a module of the current folder."""

from pathlib import Path

import pytest

SOURCE = """
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers
from maxwell import function_model, numpyro_model

Y = np.arange(4.0)


def coin(y, scale=1.0):
    mu = numpyro.sample("mu", dist.Normal(0.0, scale))
    with numpyro.plate("row", 4):
        numpyro.sample("obs", dist.Normal(mu, 1.0), obs=y)


def builder(shift=0.0):
    return numpyro_model(coin, {"y": Y + shift})


def builder_that_simulates():
    with handlers.seed(rng_seed=0):
        y = numpyro.sample("y", dist.Normal().expand([4]))
    return numpyro_model(coin, {"y": y})


def bare(scale=2.0):
    with handlers.scale(scale=1.0):
        coin(Y, scale)


def plain():
    return function_model(lambda position, data: -position["x"] ** 2, {"x": ()})


def nothing():
    return 3
"""


def write(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Write the module users_models to a folder, and go there."""
    (folder / "users_models.py").write_text(SOURCE)
    patch.chdir(folder)
    patch.syspath_prepend(str(folder))
