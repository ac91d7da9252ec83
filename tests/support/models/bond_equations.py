"""The bond model's equations written out, and a point at which its densities are compared with them."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
import scipy.stats
from scipy.stats import norm

from workflows.models.bond import simulate
from workflows.models.bond.dynamics import Theta
from workflows.models.bond.published import DT, FIRST_PRICE, TRUTH, WIDTHS

TRUE = Theta(**TRUTH)
SIGMA = np.array([0.05, 0.02, 0.1, 0.04, 0.2, 0.08, 0.3, 0.15, 0.25])
OTHER = Theta(np.array(2.5), SIGMA, np.array(0.8), np.array(0.04), np.array(-0.1), np.array(0.09), np.array(-0.02))
"""Parameters without any order or smallness."""


def step_means(theta: Theta, price: np.ndarray, rate: float, wealth: float, dt: float) -> np.ndarray:
    """Means [11] of prices, rate and wealth after a step, as they are printed, one maturity after the other."""
    total = sum(1 / 35 * theta.sigma[s] * WIDTHS[s] for s in range(9))
    prices = [
        price[k] + (rate + theta.gamma / wealth * theta.sigma[k] * total - theta.sigma[k] ** 2 / 2) * dt
        for k in range(9)
    ]
    return np.array([*prices, rate + theta.kappa * (theta.rbar - rate) * dt, wealth + theta.omega * dt])


def step_sds(theta: Theta, dt: float) -> np.ndarray:
    return np.sqrt(dt) * np.array([*theta.sigma, theta.sigma_r, theta.sigma_w])


def plain_path(theta: Theta, noise: np.ndarray) -> np.ndarray:
    """States [weeks + 1, 11] by a loop."""
    states = [np.array([*FIRST_PRICE, 0.03, 1.0])]
    for e in noise:
        old = states[-1]
        states.append(step_means(theta, old[:9], old[9], old[10], DT) + step_sds(theta, DT) * e)
    return np.array(states)


def standardised(series: simulate.Series, theta: Theta) -> np.ndarray:
    """The noises [weeks, 11] behind the states."""
    states = np.column_stack(series)
    means = np.array([step_means(theta, s[:9], s[9], s[10], DT) for s in states[:-1]])
    return (states[1:] - means) / step_sds(theta, DT)


PRIOR_SCALES = {"gamma": 5.0, "sigma": 0.5, "kappa": 1.0, "sigma_r": 0.05, "sigma_w": 0.1}
POSITION = {
    "gamma": 0.4,
    "sigma": np.log(SIGMA),
    "kappa": -0.7,
    "sigma_r": -3.9,
    "omega": 0.11,
    "sigma_w": -3.0,
    "rbar": 0.06,
}
"""Unconstrained: logarithms of what is positive."""


def position() -> dict[str, jax.Array]:
    return {name: jnp.asarray(value, jnp.float64) for name, value in POSITION.items()}


def natural() -> Theta:
    return Theta(**{name: np.exp(x) if name in PRIOR_SCALES else np.asarray(x) for name, x in POSITION.items()})


def check_priors(terms: dict[str, np.ndarray]) -> None:
    theta = natural()._asdict()
    for name, scale in PRIOR_SCALES.items():
        expected = scipy.stats.halfnorm.logpdf(theta[name], scale=scale) + POSITION[name]
        np.testing.assert_allclose(terms[name], expected, rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(terms["omega"], norm.logpdf(theta["omega"], 0.0, 0.2), rtol=1e-10)
    np.testing.assert_allclose(terms["rbar"], norm.logpdf(theta["rbar"], 0.03, 0.05), rtol=1e-10)


def terms_of(model) -> dict[str, np.ndarray]:
    data = jax.tree.map(jnp.asarray, model.data)
    return {name: np.asarray(value) for name, value in jax.jit(model.target.log_terms)(position(), data).items()}


def gradient_is_finite(model, at: dict[str, jax.Array]) -> bool:
    def density(x):
        return sum(jnp.sum(term) for term in model.target.log_terms(x, jax.tree.map(jnp.asarray, model.data)).values())

    found = jax.tree.leaves(jax.jit(jax.grad(density))(at))
    return all(np.isfinite(leaf).all() and np.any(leaf != 0.0) for leaf in found)
