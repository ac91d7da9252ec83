"""The data of the mixed model with the published constants: always the same draws; fewer are the first ones.

y_kj ~ Bernoulli(logistic(X_k + Z_kj'b)), Z_kj ~ N(0, I_8), X_k ~ w N(mu_1, 1 / l_1) + (1 - w) N(mu_2, 1 / l_2).
Source: Alenlov, Doucet and Lindsten (2021), Journal of Machine Learning Research 22, 1-45.
"""

from typing import NamedTuple

import numpy as np

SEED = 500
INDIVIDUALS, RESPONSES = 500, 6

TRUTH = {
    "b": np.array([-1.1671, 2.4665, -0.1918, -1.0080, 0.6212, 0.6524, 1.5410, 0.2653]),
    "mu": np.array([0.0, 3.0]),
    "log_l": np.log([10.0, 3.0]),
    "logit_w": np.log(0.8 / 0.2),
}
"""What the data are drawn with, by site."""

START = {
    "b": np.array([0.5838, 0.3805, -1.5062, -0.0442, 0.4717, -0.1435, 0.6371, -0.0522]),
    "mu": np.zeros(2),
    "log_l": np.array([0.0, np.log(0.1)]),
    "logit_w": np.zeros(()),
}
"""Where the published chains start."""

COVARIATES = TRUTH["b"].size


class Responses(NamedTuple):
    """z [T, n, 8]: covariates; y [T, n]: 0 or 1; x [T]: the random effects behind them."""

    z: np.ndarray
    y: np.ndarray
    x: np.ndarray


def simulate(individuals: int = INDIVIDUALS) -> Responses:
    """The responses of the first individuals: each is drawn from a stream of numbers of its own."""
    drawn = [_individual(np.random.default_rng([SEED, k])) for k in range(individuals)]
    return Responses(*(np.stack(parts) for parts in zip(*drawn, strict=True)))


def _individual(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(z, y, x) of one individual."""
    z = rng.standard_normal((RESPONSES, COVARIATES))
    component = int(rng.random() >= 1.0 / (1.0 + np.exp(-TRUTH["logit_w"])))
    x = TRUTH["mu"][component] + rng.standard_normal() * np.exp(-0.5 * TRUTH["log_l"][component])
    # Sums in a given order: a library's product of matrices may differ in the last bit from machine to machine.
    eta = x + np.sum(z * TRUTH["b"], axis=1)
    y = rng.random(RESPONSES) < 1.0 / (1.0 + np.exp(-eta))
    return z, y.astype(np.float64), np.asarray(x)
