"""States observed every few weeks: an importance-sampling estimator of the density of each interval.

Between two observations lie K Euler steps of d = span / K years. Prices are not needed inside: given the paths of r and
W their change is normal,

    log P_K - log P_0 ~ N(span (mean_j r_j + gamma E sigma^tau mean_j 1 / W_j - (sigma^tau)^2 / 2), span (sigma^tau)^2),

means over j = 0 .. K - 1, E = sum_s X^s sigma^s Delta^s, independent over maturities. The K - 1 inner values of r and
those of W are drawn from bridges between their observed ends, one after the other, by u [T, N, 2 (K - 1)], r first.

The bridge of W is its law given the ends (the drift cancels), and adds to the log weight the density of its last value
given the first. For r there are two bridges:
- linear: the law of the Euler chain r_(j+1) = r_j + kappa (rbar - r_j) d + noise given the ends, which is normal; the
  weight is the density of the last value given the first.
- brownian: without the drift (Durham and Gallant 2002, Journal of Business and Economic Statistics 20, 297-316), which
  serves a drift of any form; the weight has the ratio of the two laws of the path besides.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data
from workflows.models.bond.dynamics import Theta, exposure, price_drift, rate_drift
from workflows.models.bond.published import SHARES

PROPOSALS = ("linear", "brownian")
"""Bridges of the short rate."""


class Paths(NamedTuple):
    """values [T, N, K + 1], ends included, and the log weights [T, N] of having proposed them."""

    values: jax.Array
    log_weights: jax.Array


def log_weights(theta: Theta, u: jax.Array, data: Data, proposal: str = "linear") -> jax.Array:
    """log w [T, N], whose mean weight estimates the density of the observed end of each interval given its start.

    data: growth [T, maturity], of log prices; rate, wealth [T, 2], at both ends; span, years of an interval.
    """
    inner = u.shape[-1] // 2
    rate = rates(theta, u[..., :inner], data["rate"], data["span"], proposal)
    wealth = wealths(theta, u[..., inner:], data["wealth"], data["span"])
    return rate.log_weights + wealth.log_weights + growth(theta, rate.values, wealth.values, data)


def rates(theta: Theta, u: jax.Array, ends: jax.Array, span: jax.Array, proposal: str) -> Paths:
    """Paths of the short rate by u [T, N, K - 1]; ends: [T, 2]."""
    steps = u.shape[-1] + 1
    step = span / steps
    sd = theta.sigma_r * jnp.sqrt(step)
    if proposal == "linear":
        decay = 1.0 - theta.kappa * step
        first, last = ends[:, 0] - theta.rbar, ends[:, 1] - theta.rbar
        values = theta.rbar + bridge(first, last, decay, sd, u)
        power, variance = chain(decay, steps)
        arrival = log_normal(last, power * first, sd * jnp.sqrt(variance))
        return Paths(values, jnp.broadcast_to(arrival[:, None], u.shape[:2]))
    values = bridge(ends[:, 0], ends[:, 1], jnp.ones(()), sd, u)
    arrival = log_normal(ends[:, 1], ends[:, 0], theta.sigma_r * jnp.sqrt(span))
    drift, change = rate_drift(theta, values[..., :-1]), jnp.diff(values)
    ratio = jnp.sum(drift * (change - 0.5 * step * drift), axis=-1) / theta.sigma_r**2
    return Paths(values, arrival[:, None] + ratio)


def wealths(theta: Theta, u: jax.Array, ends: jax.Array, span: jax.Array) -> Paths:
    """Paths of wealth by u [T, N, K - 1]; ends: [T, 2]."""
    sd = theta.sigma_w * jnp.sqrt(span / (u.shape[-1] + 1))
    values = bridge(ends[:, 0], ends[:, 1], jnp.ones(()), sd, u)
    arrival = log_normal(ends[:, 1], ends[:, 0] + theta.omega * span, theta.sigma_w * jnp.sqrt(span))
    return Paths(values, jnp.broadcast_to(arrival[:, None], u.shape[:2]))


def growth(theta: Theta, rate: jax.Array, wealth: jax.Array, data: Data) -> jax.Array:
    """log density [T, N] of the changes of all log prices, given paths of r and W.

    With standard residuals z_s of an interval in which r and 1 / W stay as they begin, and x and y the differences that
    the path makes, those of a sample are z_s - x / (sigma^s sqrt(span)) - y. The sum of their squares is
    written out, so that nothing of the size [T, N, maturity] is computed.
    """
    span, load = data["span"], theta.gamma * exposure(theta, SHARES)
    start, first = data["rate"][:, 0], 1.0 / data["wealth"][:, 0]
    sd = theta.sigma * jnp.sqrt(span)
    z = (data["growth"] - span * price_drift(theta, SHARES, start, first)) / sd
    x = span * (jnp.mean(rate[..., :-1], axis=-1) - start[:, None])
    y = jnp.sqrt(span) * load * (jnp.mean(1.0 / wealth[..., :-1], axis=-1) - first[:, None])
    by_x, by_y = (jnp.sum(part, axis=-1)[:, None] for part in (z / sd, z))
    linear = by_x * x + by_y * y
    square = jnp.sum(1.0 / sd**2) * x**2 + 2.0 * jnp.sum(1.0 / sd) * x * y + sd.size * y**2
    constant = jnp.sum(0.5 * z**2 + jnp.log(sd) + 0.5 * np.log(2.0 * np.pi), axis=-1)
    return linear - 0.5 * square - constant[:, None]


def chain(decay: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
    """Factor of the mean and variance of x_steps given x_0, where x_(j+1) = decay x_j + a standard normal."""
    power, variance = jnp.ones(()), jnp.zeros(())
    for _ in range(steps):
        power, variance = power * decay, variance * decay**2 + 1.0
    return power, variance


def bridge(first: jax.Array, last: jax.Array, decay: jax.Array, sd: jax.Array, u: jax.Array) -> jax.Array:
    """Paths [T, N, K + 1] of x_(j+1) = decay x_j + sd e_j given x_0 = first and x_K = last [T], by u [T, N, K - 1].

    With x_K | x_(j+1) ~ N(a x_(j+1), sd^2 v) as `chain` gives them, x_(j+1) | x_j, x_K is normal with the variance
    sd^2 v / (v + a^2) and the mean m + a (x_K - a m) / (v + a^2), m = decay x_j.
    """
    x, last = (jnp.broadcast_to(end[:, None], u.shape[:2]) for end in (first, last))
    path = [x]
    for j in range(u.shape[-1]):
        power, variance = chain(decay, u.shape[-1] - j)
        ahead, total = decay * x, variance + power**2
        x = ahead + power * (last - power * ahead) / total + sd * jnp.sqrt(variance / total) * u[..., j]
        path.append(x)
    return jnp.stack([*path, last], axis=-1)


def log_normal(x: jax.Array, mean: jax.Array, sd: jax.Array) -> jax.Array:
    """log N(x; mean, sd^2)."""
    return -0.5 * ((x - mean) / sd) ** 2 - jnp.log(sd) - 0.5 * np.log(2.0 * np.pi)
