"""Check the fit of a stored run: the model's own statistics and those of every observed variable."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from ensemble.errors import MaxwellError
from workflows.modelling.checks import Check
from workflows.modelling.model import Generative, Model
from workflows.results.fit.calibration import calibration, places
from workflows.results.fit.defaults import FEWEST, default_checks, title
from workflows.results.fit.replicates import DATA_SETS, Replicated, replicate
from workflows.results.fit.verdict import Verdict, judge
from workflows.results.protocol import StoredRun

FEWEST_DRAWS = 20
"""Draws of all chains together below which the predictions are those of single draws."""


class FitError(MaxwellError):
    """The fit cannot be checked."""


class Fit(NamedTuple):
    """What was found: families in the data and in so many data sets, from so many draws, and a verdict on each."""

    families: list[Replicated]
    verdicts: list[Verdict]
    data_sets: int
    draws: int


def check(run: StoredRun) -> Fit:
    """The fit of a stored run, by draws of its posterior and keys derived from its seed.

    The model is built anew and must be the recorded one. Raises FitError for a model that draws no data and for a run
    with too few draws, ModelError where the model cannot be built.
    """
    reader = run.reader()
    attributes = reader.attributes
    posterior = reader.groups()["posterior"]
    if (number := int(posterior.sizes.get("chain", 0) * posterior.sizes.get("draw", 0))) < FEWEST_DRAWS:
        raise FitError(f"{number} draws are too few to check the fit: at least {FEWEST_DRAWS} of all chains are needed")
    return check_model(run.model(), posterior, attributes["seed"])


def check_model(model: Model, posterior: xarray.Dataset, seed: int) -> Fit:
    """The fit of a model by draws [chain, draw, ...] of its posterior. Raises FitError for one that draws no data."""
    generative = model.generative
    if generative is None or not generative.predicts or not model.observed:
        raise FitError(
            f"model {model.name!r} does not say how its data are drawn, so that its fit cannot be checked: observed "
            "sites of NumPyro and PyMC models can be (numpyro.sample(..., obs=...)), densities and factors cannot"
        )
    kept = _kept(model, generative, posterior)
    checks: list[Check] = [*model.checks, *default_checks(model, kept)]
    ranked = {name: places(model.observed[name], which) for name, which in kept.items() if which.sum() >= FEWEST}
    families, points = replicate(model, checks, ranked, posterior, seed)
    families += [calibration(model, part, title("calibration", part.name, len(kept) > 1), seed) for part in points]
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    return Fit(families, [judge(family) for family in families], DATA_SETS, min(draws, DATA_SETS))


def _kept(model: Model, generative: Generative, posterior: xarray.Dataset) -> dict[str, np.ndarray]:
    """Which observations count, by observed variable that predictions have: finite ones that the likelihood sees.

    A masked observation has a log likelihood of 0 under every draw; one draw tells.
    """
    last = posterior.isel(chain=-1, draw=-1)
    draw = {str(name): jnp.asarray(x.values, jnp.float64) for name, x in last.data_vars.items()}
    data = jax.tree.map(jnp.asarray, model.data)
    predicted = jax.eval_shape(generative.predict, jax.random.key(0), draw, data)
    likelihood = jax.jit(generative.log_likelihood)(draw, data) if generative.observes else {}
    kept = {}
    for name in predicted:
        if (observed := model.observed.get(name)) is None or np.asarray(observed).dtype.kind not in "biuf":
            continue
        which = np.isfinite(np.asarray(observed, float))
        seen = np.asarray(likelihood.get(name, 1.0)) != 0.0
        kept[str(name)] = which & seen if seen.shape == which.shape else which
    return kept
