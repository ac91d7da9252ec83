"""Simulated recordings: the example subject, and 272 subjects whose parameters are drawn from the published population.

The draws are always the same. Intervals are rounded to a microsecond, so that the data are equal to the last bit
whatever library takes the exponentials. Fewer subjects are the first of the 272.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from workflows.models.rri.curve import Curve, mean
from workflows.models.rri.published import (
    EXAMPLE,
    EXAMPLE_NOISE,
    EXAMPLE_SIGMA,
    MEANS,
    MINUTES,
    PARAMETERS,
    SDS,
    SIGNS,
    SUBJECTS,
)

DECIMALS = 3
"""Of an interval in milliseconds."""
EXAMPLE_SEED, POPULATION_SEED, NOISE_SEED = 272, 273, 274


class Recording(NamedTuple):
    """t [N], minutes; y [N], or [N, subjects], milliseconds; truth: the parameters behind it, each [] or [subjects]."""

    t: np.ndarray
    y: np.ndarray
    truth: dict[str, np.ndarray]


def times(observations: int) -> np.ndarray:
    """Times of the intervals, evenly over a recording."""
    return np.linspace(0.0, MINUTES, observations)


def example(observations: int, *, varying: bool) -> Recording:
    """The example subject, with constant or varying noise (the same standard normal numbers in both)."""
    t = times(observations)
    noise = np.random.default_rng(EXAMPLE_SEED).standard_normal(observations)
    truth = dict(zip(PARAMETERS, (*EXAMPLE, EXAMPLE_SIGMA), strict=True))
    sigma: np.ndarray | float = EXAMPLE_SIGMA
    if varying:
        sigma = np.asarray(mean(EXAMPLE_NOISE, jnp.asarray(t)))
        del truth["sigma"]
        truth |= {f"sigma_{name}": value for name, value in zip(PARAMETERS, EXAMPLE_NOISE, strict=False)}
    y = np.asarray(mean(EXAMPLE, jnp.asarray(t))) + sigma * noise
    return Recording(t, y.round(DECIMALS), {name: np.asarray(value) for name, value in truth.items()})


def population(subjects: int, observations: int) -> Recording:
    """The first subjects of 272, each with constant noise of its own."""
    t = times(observations)
    truth = {name: values[:subjects] for name, values in population_truth().items()}
    curves = Curve(*(jnp.asarray(truth[name]) for name in PARAMETERS[:-1]))
    # Drawn subject after subject: those of the first do not depend on how many there are.
    noise = np.random.default_rng(NOISE_SEED).standard_normal((subjects, observations)).T
    y = np.asarray(mean(curves, jnp.asarray(t)[:, None])) + truth["sigma"] * noise
    return Recording(t, y.round(DECIMALS), truth)


def population_truth() -> dict[str, np.ndarray]:
    """The parameters [272] of all subjects: normal, drawn again where the sign is wrong."""
    rng = np.random.default_rng(POPULATION_SEED)
    rows = zip(PARAMETERS, MEANS, SDS, SIGNS, strict=True)
    return {name: _signed_normals(rng, mean, sd, sign) for name, mean, sd, sign in rows}


def _signed_normals(rng: np.random.Generator, mean: float, sd: float, sign: int) -> np.ndarray:
    """Normal numbers [272] of that sign."""
    x = rng.normal(mean, sd, SUBJECTS)
    while (wrong := x * sign <= 0).any():
        x[wrong] = rng.normal(mean, sd, int(wrong.sum()))
    return x
