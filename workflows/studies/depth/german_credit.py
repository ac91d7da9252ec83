"""Sparse logistic regression in the shape of the German credit data: 1,000 x 24 standardised columns and a constant.

global ~ Gamma(1/2, 1/2), local_j ~ Gamma(1/2, 1/2), weight_j ~ N(0, 1), beta_j = weight_j local_j global,
y_i ~ Bernoulli(sigmoid(x_i' beta)): the Inference Gym's GermanCreditNumericSparseLogisticRegression on simulated data,
scales by their logarithms: d = 51.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position, Terms
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.studies.depth.logistic import log_sigmoid

ROWS, FEATURES, COLUMNS = 1000, 24, 25
_SEED = 20240611


def simulate() -> np.ndarray:
    """Design matrix with its rows signed by the outcome, [1000, 25]: row i is (2 y_i - 1) x_i, the constant last.

    The columns are correlated through four factors; half of them are integer codes and half yes or no, as in the data.
    """
    rng = np.random.default_rng(_SEED)
    latent = rng.standard_normal((ROWS, 4)) @ (0.6 * rng.standard_normal((4, FEATURES)))
    latent += rng.standard_normal((ROWS, FEATURES))
    half = FEATURES // 2
    codes = np.clip(np.round(latent[:, :half] + 2.0), 0.0, 4.0)
    answers = (latent[:, half:] > rng.uniform(-0.8, 0.8, half)).astype(float)
    features = np.concatenate([codes, answers], axis=1)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    design = np.concatenate([features, np.ones((ROWS, 1))], axis=1)
    beta = np.zeros(COLUMNS)
    beta[[0, 2, 4, 9, 13, 17, 20]] = [-0.8, 0.5, 0.35, 0.3, -0.4, 0.25, -0.25]
    beta[-1] = -1.2
    outcome = rng.uniform(size=ROWS) < 1.0 / (1.0 + np.exp(-design @ beta))
    return np.where(outcome, 1.0, -1.0)[:, None] * design


def _log_terms(position: Position, data: Data) -> Terms:
    """Priors of log scales u: u / 2 - exp(u) / 2, the Jacobian of the logarithm in them."""
    log_global, log_local, weights = position["log_global"], position["log_local"], position["weights"]
    beta = weights * jnp.exp(log_local + log_global)
    return {
        "global": 0.5 * (log_global - jnp.exp(log_global)),
        "local": 0.5 * (log_local - jnp.exp(log_local)),
        "weights": -0.5 * weights**2,
        "outcome": log_sigmoid(data["signed_rows"] @ beta),
    }


def _initial(key: jax.Array, data: Data) -> Position:
    """Weights from their prior, log scales N(0, 1)."""
    normal = jax.random.normal(key, (2 * COLUMNS + 1,), jnp.float64)
    return {"log_global": normal[0], "log_local": normal[1 : COLUMNS + 1], "weights": normal[COLUMNS + 1 :]}


def build() -> Model:
    """Sites log_global [], log_local [25] and weights [25]."""
    sites = {"log_global": (), "log_local": (COLUMNS,), "weights": (COLUMNS,)}
    data = {"signed_rows": simulate()}
    return function_model(_log_terms, sites, data, name="german_credit", initial=_initial, likelihood=("outcome",))
