"""The mixed model of binary responses as a model: pseudo-marginal by one of three estimators, or exact by quadrature.

y_kj ~ Bernoulli(logistic(x_k + Z_kj'b)), x_k ~ w N(mu_1, 1 / l_1) + (1 - w) N(mu_2, 1 / l_2), theta = (b, mu, log l,
logit w) with d = 13, each N(0, 100) a priori (a variance). Exchanging the two components changes nothing: the posterior
has two mirror modes. Chains from the published start, where both means are 0, end in either of them, or where one
component is empty; starts about the truth lie in one mode.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.transitions.pseudo_marginal.target import Precision
from kernels.types import Data, Position, Terms
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import function_model
from workflows.modelling.frontends.pseudo_marginal import pseudo_marginal_model
from workflows.modelling.model import Model
from workflows.models.glmm import hand_gradient
from workflows.models.glmm.estimators import ESTIMATORS
from workflows.models.glmm.generative import INDIVIDUAL, checks, generative, natural
from workflows.models.glmm.likelihood import PRIOR_VARIANCE, SITES, log_prior
from workflows.models.glmm.quadrature import log_likelihood
from workflows.models.glmm.simulate import INDIVIDUALS, START, TRUTH, simulate

EXACT = "exact"
"""The name, beside those of the estimators, of the likelihood by quadrature."""

STARTS = {"published": START, "truth": TRUTH}
"""What starts are drawn about, by the names in settings."""

SPREAD = 0.1
"""Standard deviation of starts about it."""


def build(
    *,
    estimator: str = "split",
    samples: int = 128,
    individuals: int = INDIVIDUALS,
    gradient: str = "automatic",
    start: str = "published",
    precision: Precision = "float64",
    log_l_variance: float = PRIOR_VARIANCE,
) -> Model:
    """The model on simulated data. estimator: wide, matched, split or exact; samples: N, not used by exact; gradient:
    automatic, or hand for the wide estimator; start: published or truth; precision: of the estimator, float64 or
    float32; log_l_variance: of the prior of log l.

    Raises ModelError for other names and for numbers below 1.
    """
    _check(estimator, samples, individuals, gradient, start, precision, log_l_variance)
    drawn = simulate(individuals)
    data = {"z": drawn.z, "y": drawn.y, "log_l_variance": np.asarray(float(log_l_variance))}
    shared: dict[str, Any] = {
        "name": "glmm",
        "constrain": lambda theta, data: natural(theta),
        "initial": partial(_initial, STARTS[start]),
        "observed": {"y": drawn.y},
        "constant": {"z": drawn.z},
        "dims": {
            "y": ("individual", "response"),
            "z": ("individual", "response", "covariate"),
            INDIVIDUAL: ("individual",),
        },
    }
    if estimator == EXACT:
        model = function_model(_exact_terms, SITES, data, likelihood=("likelihood",), **shared)
        return replace(model, generative=generative(), checks=checks())
    log_weights = hand_gradient.wide if gradient == "hand" else ESTIMATORS[estimator]
    model = pseudo_marginal_model(
        log_prior, log_weights, SITES, (individuals, samples, 1), data, precision=precision, **shared
    )
    return replace(model, generative=generative(), checks=checks())


def _exact_terms(theta: Position, data: Data) -> Terms:
    return log_prior(theta, data) | {"likelihood": log_likelihood(theta, data)}


def _initial(about: Mapping[str, Any], key: jax.Array, data: Data) -> Position:
    keys = jax.random.split(key, len(about))
    return {
        name: jnp.asarray(start) + SPREAD * jax.random.normal(one, np.shape(start), jnp.float64)
        for one, (name, start) in zip(keys, about.items(), strict=True)
    }


def _check(
    estimator: str,
    samples: int,
    individuals: int,
    gradient: str,
    start: str,
    precision: str,
    log_l_variance: float,
) -> None:
    """Raise ModelError for a setting that makes no model; names of precisions are the front end's to check."""
    for name, chosen, allowed in (("estimator", estimator, (*ESTIMATORS, EXACT)), ("start", start, STARTS)):
        if chosen not in tuple(allowed):  # a dictionary asks for a hash, which a list given has not
            raise ModelError(f"glmm: {name} = {chosen!r}; allowed are {', '.join(allowed)}")
    for name, value in (("samples", samples), ("individuals", individuals)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"glmm: {name} = {value!r}; allowed is an integer, 1 or more")
    if gradient not in ("automatic", "hand") or (gradient == "hand" and estimator != "wide"):
        raise ModelError(
            f"glmm: gradient = {gradient!r} with estimator {estimator!r}; allowed are automatic, and hand for wide"
        )
    if estimator == EXACT and precision != "float64":
        raise ModelError(f"glmm: precision = {precision!r} with estimator 'exact'; it has float64 only")
    number = isinstance(log_l_variance, (int, float)) and not isinstance(log_l_variance, bool)
    if not number or not 0 < log_l_variance < np.inf:
        raise ModelError(f"glmm: log_l_variance = {log_l_variance!r}; allowed is a number above 0")
