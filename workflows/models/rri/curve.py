"""The curve of RR intervals in time, the normal log likelihood about it, and the partial derivatives of both by hand.

    M(t) = alpha + beta s1 - c beta s2,
    s1 = 1 / (1 + exp(lambda (t - tau))),  s2 = 1 / (1 + exp(phi (t - tau - delta)))

t in minutes, M in milliseconds. Exercise begins near tau and takes the interval from alpha to alpha + beta; a fraction
c of that is won back from tau + delta on. Everything is written in s and s (1 - s), which no t overflows; the
textbook's e / (1 + e)^2 is NaN where e = exp(...) does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

NAMES = ("alpha", "beta", "c", "lambda", "phi", "tau", "delta")
"""The parameters of a curve, in the order of Curve."""


class Curve(NamedTuple):
    """One number for each parameter of the curve (`rate` is lambda), or arrays that broadcast against t."""

    alpha: jax.Array | float
    beta: jax.Array | float
    c: jax.Array | float
    rate: jax.Array | float
    phi: jax.Array | float
    tau: jax.Array | float
    delta: jax.Array | float


class Likelihood(NamedTuple):
    """Partial derivatives of a log likelihood: by the seven parameters of the curve, and by sigma."""

    curve: Curve
    sigma: jax.Array


def steps(curve: Curve, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(s1, s2) at the times t, each in [0, 1]."""
    since, after = _times(curve, t)
    return jax.nn.sigmoid(-curve.rate * since), jax.nn.sigmoid(-curve.phi * after)


def mean(curve: Curve, t: jax.Array) -> jax.Array:
    """M(t)."""
    first, second = steps(curve, t)
    return curve.alpha + curve.beta * (first - curve.c * second)


def partials(curve: Curve, t: jax.Array) -> Curve:
    """dM(t) by each parameter, each of the shape of M(t)."""
    first, second = steps(curve, t)
    since, after = _times(curve, t)
    one = curve.beta * first * (1.0 - first)
    two = curve.c * curve.beta * second * (1.0 - second)
    return Curve(
        alpha=jnp.ones_like(first),
        beta=first - curve.c * second,
        c=-curve.beta * second,
        rate=-since * one,
        phi=after * two,
        tau=curve.rate * one - curve.phi * two,
        delta=-curve.phi * two,
    )


def log_likelihood(curve: Curve, sigma: jax.Array | float, t: jax.Array, y: jax.Array) -> jax.Array:
    """sum over t of log N(y; M(t), sigma^2), one number. sigma enters by its square but for -N log |sigma|."""
    residual = (y - mean(curve, t)) / sigma
    constant = jnp.log(jnp.abs(jnp.asarray(sigma))) + 0.5 * jnp.log(2.0 * jnp.pi)
    return -0.5 * jnp.sum(residual**2) - y.shape[-1] * constant


def log_likelihood_partials(curve: Curve, sigma: jax.Array | float, t: jax.Array, y: jax.Array) -> Likelihood:
    """Of log_likelihood: sum r dM / sigma^2 by the curve, and -N / sigma + sum r^2 / sigma^3 by sigma, r = y - M(t)."""
    residual = y - mean(curve, t)
    by_curve = Curve(*(jnp.sum(residual * partial) / sigma**2 for partial in partials(curve, t)))
    by_sigma = -y.shape[-1] / sigma + jnp.sum(residual**2) / sigma**3
    return Likelihood(by_curve, jnp.asarray(by_sigma))


def _times(curve: Curve, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Minutes since tau and since tau + delta."""
    since = jnp.asarray(t) - curve.tau
    return since, since - curve.delta
