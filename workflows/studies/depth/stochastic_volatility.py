"""Stochastic volatility of 2,427 daily returns: d = 2,429.

sigma ~ Exponential(mean 0.02), nu ~ Exponential(mean 10), s_t ~ N(s_{t-1}, sigma) from s_0 = 0,
r_t ~ StudentT(nu, 0, exp(s_t)) (Hoffman and Gelman 2014, JMLR 15, section 4; the NumPyro example, on which the
published figures for this dimension were measured, not the Inference Gym's autoregression), on simulated returns in
per cent.
Coordinates: log(sigma / 0.02), log(nu / 10) and the walk s itself, so that neighbours in time are the only couplings
and a gradient needs no recursion.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.numerics.special import log, log_gamma
from kernels.types import Data, Position, Terms
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model

DAYS = 2427
MEAN_SIGMA, MEAN_NU = 0.02, 10.0
_SEED = 20240614
_INFORMATION = 1.5
"""Fisher information of one return about its log scale, 2 nu / (nu + 3), at nu near 10."""


def simulate() -> np.ndarray:
    """Returns in per cent, [2427]: log scales revert slowly to -0.3 as those of a share index do, with heavy tails."""
    rng = np.random.default_rng(_SEED)
    shocks = 0.08 * rng.standard_normal(DAYS)
    level, scales = 0.0, np.empty(DAYS)
    for day in range(DAYS):
        level = -0.3 + 0.99 * (level + 0.3) + shocks[day]
        scales[day] = level
    return np.exp(scales) * rng.standard_t(10.0, size=DAYS)


def _log_terms(position: Position, data: Data) -> Terms:
    """Exponential priors of u = log(value / mean): u - exp(u), the Jacobian of the logarithm in them."""
    log_sigma, log_nu, walk = position["log_sigma"], position["log_nu"], position["walk"]
    nu = MEAN_NU * jnp.exp(log_nu)
    steps = walk - jnp.concatenate([jnp.zeros(1), walk[:-1]])
    constant = log_gamma(0.5 * (nu + 1.0)) - log_gamma(0.5 * nu) - 0.5 * jnp.log(nu)
    excess = log(1.0 + data["squared_returns"] * jnp.exp(-2.0 * walk) / nu)
    return {
        "sigma": log_sigma - jnp.exp(log_sigma),
        "nu": log_nu - jnp.exp(log_nu),
        "walk": -0.5 * (steps * jnp.exp(-log_sigma) / MEAN_SIGMA) ** 2 - log_sigma,
        "returns": constant - walk - 0.5 * (nu + 1.0) * excess,
    }


def from_whitened(position: Position) -> tuple[Position, jax.Array]:
    """The position whose walk is white noise in the argument, nearly so given the data, and the map's log Jacobian.

    Given sigma the walk has about the precision D'D / sigma^2 + w I = (d - e S)'(d - e S) but for its ends, with D the
    differences, S the shift, w the information of a return, d^2 + e^2 = 2 / sigma^2 + w and d e = 1 / sigma^2. So
    d walk_t = e walk_{t+1} + z_t: sigma and z are hardly correlated, and long reference runs become short.
    """
    precision = jnp.exp(-2.0 * position["log_sigma"]) / MEAN_SIGMA**2
    root = jnp.sqrt(_INFORMATION**2 + 4.0 * _INFORMATION * precision)
    scale = jax.lax.rsqrt(0.5 * (2.0 * precision + _INFORMATION + root))
    memory = precision * scale**2

    def step(later: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = memory * later + scale * noise
        return value, value

    _, walk = jax.lax.scan(step, jnp.zeros(()), position["walk"], reverse=True)
    return {**position, "walk": walk}, DAYS * jnp.log(scale)


def _initial(key: jax.Array, data: Data) -> Position:
    """Log scales N(0, 1/2) about the prior's means (its own draws include walks too stiff to start from), a walk."""
    normal = jax.random.normal(key, (DAYS + 2,), jnp.float64)
    log_sigma, log_nu = 0.5 * normal[0], 0.5 * normal[1]
    walk = MEAN_SIGMA * jnp.exp(log_sigma) * jnp.cumsum(normal[2:])
    return {"log_sigma": log_sigma, "log_nu": log_nu, "walk": walk}


def build() -> Model:
    """Sites log_sigma [], log_nu [] and walk [2427]."""
    sites = {"log_sigma": (), "log_nu": (), "walk": (DAYS,)}
    data = {"squared_returns": simulate() ** 2}
    return function_model(
        _log_terms, sites, data, name="stochastic_volatility", initial=_initial, likelihood=("returns",)
    )
