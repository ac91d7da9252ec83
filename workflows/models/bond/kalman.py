"""Prices measured with error: the exact likelihood by a Kalman filter for each maturity.

Given r and W the drift d_t of a log price is known, and its law is a local level model,

    x_t = x_(t-1) + d_t + q e_t,    y_t = x_t + s eps_t,    t = 1 .. n,

e and eps standard normal. y_0 is measured like the others, and x_0 is flat a priori: x_0 | y_0 ~ N(y_0, s^2). The
maturities are independent of each other. Source: Kalman (1960), Journal of Basic Engineering 82, 35-45.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Level(NamedTuple):
    """Mean and variance [maturity] of x_t given y_0 .. y_t, and log p(y_1 .. y_t | y_0) [maturity]."""

    mean: jax.Array
    variance: jax.Array
    log_likelihood: jax.Array


def filtered(measured: jax.Array, drift: jax.Array, process: jax.Array, error: jax.Array) -> Level:
    """The last level. measured: y [n + 1, maturity]; drift: d [n, maturity]; process: q [maturity]; error: s >= 0."""

    def step(level: Level, week: tuple[jax.Array, jax.Array]) -> tuple[Level, None]:
        y, change = week
        ahead = level.variance + process**2
        total = ahead + error**2
        surprise = y - level.mean - change
        gain = ahead / total
        log_p = -0.5 * (jnp.log(2.0 * np.pi * total) + surprise**2 / total)
        # s^2 times the gain is the variance left, without the loss of digits of (1 - gain) ahead.
        left = gain * error**2
        return Level(level.mean + change + gain * surprise, left, level.log_likelihood + log_p), None

    first = Level(measured[0], jnp.full_like(measured[0], error**2), jnp.zeros_like(measured[0]))
    return jax.lax.scan(step, first, (measured[1:], drift))[0]
