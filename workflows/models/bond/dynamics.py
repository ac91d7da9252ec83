"""One Euler step of log prices, short rate and wealth.

    log P_t^tau = log P_(t-1)^tau + (r_(t-1) + premium^tau(W_(t-1)) - (sigma^tau)^2 / 2) dt + sigma^tau sqrt(dt) e^tau
    premium^tau(W) = (gamma / W) sigma^tau sum_s X^s sigma^s Delta^s
    r_t = r_(t-1) + kappa (rbar - r_(t-1)) dt + sigma^r sqrt(dt) e'
    W_t = W_(t-1) + omega dt + sigma^W sqrt(dt) e''

with e^tau, e', e'' independent standard normals: the covariance of a step is diagonal and not singular. Given r and W
the prices are independent of each other, and neither r nor W depends on them. Nothing keeps W above 0; below it, the
premium changes its sign.
"""

from typing import Any, NamedTuple

Array = Any
"""A NumPy or JAX array: the functions here are arithmetic alone."""


class Theta(NamedTuple):
    """The parameters: sigma [..., maturity], the others [...]."""

    gamma: Array
    sigma: Array
    kappa: Array
    sigma_r: Array
    omega: Array
    sigma_w: Array
    rbar: Array


def exposure(theta: Theta, shares: Array) -> Array:
    """sum_s X^s sigma^s Delta^s, [...]; shares: X^s Delta^s [maturity]."""
    return (theta.sigma * shares).sum(axis=-1)


def price_drift(theta: Theta, shares: Array, rate: Array, inverse_wealth: Array) -> Array:
    """Expected change of log prices per year, [..., maturity], at r and 1 / W, both [...]."""
    price_of_risk = theta.gamma * exposure(theta, shares) * inverse_wealth
    return rate[..., None] + price_of_risk[..., None] * theta.sigma - 0.5 * theta.sigma**2


def rate_drift(theta: Theta, rate: Array) -> Array:
    """Expected change of the short rate per year."""
    return theta.kappa * (theta.rbar - rate)
