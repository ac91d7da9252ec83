"""Heart-beat intervals: whether residuals hang together in time, and whether their variance is the same throughout."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family, autocorrelations
from workflows.models.rri.curve import NAMES, Curve, mean
from workflows.models.rri.noise import FLOOR, deviation

LAGS = 10
PARTS = 6
"""Of the recording, for the variance."""
CORRELATION, VARIANCE = 0.05, 0.1
"""What matters of an autocorrelation, and of a variance that is 1 under the model."""

Residuals = Callable[[Mapping[str, jax.Array], Position, Data], jax.Array]


def single(t: np.ndarray) -> tuple[Check, ...]:
    """Checks of one subject; t: [observation] minutes."""
    return _checks(_of_one, t)


def population(t: np.ndarray) -> tuple[Check, ...]:
    """Checks of many subjects, averages over them."""
    return _checks(_of_many, t)


def _of_one(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
    """(y - M(t)) / sigma(t), [observation, 1]."""
    curve = Curve(*(values[name] for name in NAMES))
    if "sigma" in values:
        sigma = values["sigma"]
    else:
        noise = Curve(*(values[f"sigma_{name}"] for name in NAMES))
        sigma = deviation(noise, FLOOR * data["spread"], data["t"])
    return ((outcomes["y"] - mean(curve, data["t"])) / sigma)[:, None]


def _of_many(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
    """The same, [observation, subject]."""
    curve = Curve(*(values[name] for name in NAMES))
    return (outcomes["y"] - mean(curve, data["t"])) / values["sigma"]


def _checks(residuals: Residuals, t: np.ndarray) -> tuple[Check, ...]:
    lags = min(LAGS, len(t) // 2)
    correlated = Family(
        "autocorrelation of the residuals",
        tuple(map(str, range(1, lags + 1))),
        CORRELATION,
        about=f"Of (y - M(t)) / sigma, at lags of 1 to {lags} intervals: 0 under the model.",
        ordered=True,
    )
    ends = np.linspace(0, len(t), PARTS + 1).astype(int)
    varying = Family(
        "variance of the residuals in time",
        tuple(f"{t[first]:.3g} to {t[last - 1]:.3g} min" for first, last in pairwise(ends)),
        VARIANCE,
        about=f"Mean squares of (y - M(t)) / sigma in {PARTS} parts of the recording: 1 under the model.",
        ordered=True,
    )

    def autocorrelation(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        return autocorrelations(residuals(outcomes, values, data), lags)

    def variance(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        square = residuals(outcomes, values, data) ** 2
        return jnp.stack([jnp.mean(square[a:b]) for a, b in pairwise(ends)])

    return Check(correlated, autocorrelation), Check(varying, variance)
