"""Bonds: whether what prices, short rate and wealth do from one observation to the next has the variance and the
independence that the model says."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family
from workflows.models.bond.bridges import chain
from workflows.models.bond.dynamics import Theta, price_drift, rate_drift
from workflows.models.bond.published import DT, LABELS, SHARES

VARIANCE, CORRELATION = 0.1, 0.05
"""What matters of a variance that is 1 under the model, and of an autocorrelation that is 0."""
STATES = ("short rate", "wealth")
ALL = (*(f"price {label}" for label in LABELS), *STATES)

Residuals = Callable[[Mapping[str, jax.Array], Position, Data], jax.Array]
"""(outcomes, values, data) -> standardised residuals [time, series]."""


def every_week() -> tuple[Check, ...]:
    """Of all states."""
    return _checks(_weekly, ALL)


def measured() -> tuple[Check, ...]:
    """Of short rate and wealth alone, beside prices that are measured in error."""
    return _checks(_states, STATES)


def seldom(every: int, first_price: np.ndarray) -> tuple[Check, ...]:
    """Of all states every few weeks; first_price: [interval, maturity] log prices at the beginning of each."""

    def residuals(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        theta, span, rate, wealth = Theta(**values), data["span"], data["rate"][:, 0], data["wealth"][:, 0]
        power, variance = chain(1.0 - theta.kappa * span / every, every)
        # Of prices the drift at the beginning: what it misses within an interval is small against their noise.
        drift = price_drift(theta, SHARES, rate, 1.0 / wealth) * span
        parts = (
            (outcomes["price"] - first_price - drift) / (theta.sigma * jnp.sqrt(span)),
            (outcomes["short_rate"] - theta.rbar - power * (rate - theta.rbar))
            / (theta.sigma_r * jnp.sqrt(variance * span / every)),
            (outcomes["wealth"] - wealth - theta.omega * span) / (theta.sigma_w * jnp.sqrt(span)),
        )
        return _columns(*parts)

    return _checks(residuals, ALL)


def _weekly(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
    """[week, 11], each week given the week before as it was observed."""
    theta = Theta(**values)
    drift = price_drift(theta, SHARES, data["rate"][:-1], 1.0 / data["wealth"][:-1]) * DT
    price = (outcomes["price"] - data["price"][:, :-1]).T
    return _columns((price - drift) / (theta.sigma * np.sqrt(DT)), _states(outcomes, values, data))


def _states(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
    """[week, 2]."""
    theta, rate, wealth = Theta(**values), data["rate"][:-1], data["wealth"][:-1]
    return _columns(
        (outcomes["short_rate"] - rate - rate_drift(theta, rate) * DT) / (theta.sigma_r * np.sqrt(DT)),
        (outcomes["wealth"] - wealth - theta.omega * DT) / (theta.sigma_w * np.sqrt(DT)),
    )


def _columns(*parts: jax.Array) -> jax.Array:
    return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _checks(residuals: Residuals, series: tuple[str, ...]) -> tuple[Check, ...]:
    about = "of what a series does from one observation to the next, less its expectation, over its standard deviation"
    varying = Family("variance of the changes", series, VARIANCE, about=f"Mean squares {about}: 1 under the model.")
    correlated = Family(
        "autocorrelation of the changes", series, CORRELATION, about=f"At lag 1, {about}: 0 under the model."
    )

    def variance(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        return jnp.mean(residuals(outcomes, values, data) ** 2, axis=0)

    def autocorrelation(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        found = residuals(outcomes, values, data)
        return jnp.sum(found[1:] * found[:-1], axis=0) / jnp.sum(found**2, axis=0)

    return Check(varying, variance), Check(correlated, autocorrelation)
