"""Transits of a planet: times known to minutes, given as Julian days of seven digits."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built

EDGE = 0.004
"""Days that the planet takes to slip in."""


def light_curve() -> Built:
    """One transit at 2,457,003.12 in 200 brightnesses; away from it the density is flat in its time."""

    def dip(t: Any, middle: Any, duration: Any, sigmoid: Callable[[Any], Any]) -> Any:
        return sigmoid((t - middle + duration / 2) / EDGE) - sigmoid((t - middle - duration / 2) / EDGE)

    def model(t: jax.Array, flux: jax.Array) -> None:
        middle = numpyro.sample("middle", dist.Uniform(t[0], t[-1]))
        depth = numpyro.sample("depth", dist.HalfNormal(0.05))
        duration = numpyro.sample("duration", dist.LogNormal(np.log(0.1), 0.5))
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.01))
        with numpyro.plate("exposure", t.shape[0]):
            numpyro.sample("flux", dist.Normal(1 - depth * dip(t, middle, duration, jax.nn.sigmoid), sigma), obs=flux)

    rng = np.random.default_rng(111)
    t = np.linspace(2_457_002.9, 2_457_003.4, 200)
    curve = 1 - 0.012 * dip(t, 2_457_003.12, 0.1, lambda x: 1 / (1 + np.exp(-x)))
    return model, {"t": t, "flux": curve + rng.normal(0, 0.004, 200)}


def ephemeris() -> Built:
    """First time and period from 30 transit times: the time is 1e-9 of its value wide, its prior 100 days."""

    def model(number: jax.Array, time: jax.Array) -> None:
        first = numpyro.sample("first", dist.Normal(2_457_000, 100))
        period = numpyro.sample("period", dist.LogNormal(1, 1))
        jitter = numpyro.sample("jitter", dist.HalfNormal(0.01))
        with numpyro.plate("transit", number.shape[0]):
            numpyro.sample("time", dist.Normal(first + period * number, jitter), obs=time)

    rng = np.random.default_rng(112)
    number = np.sort(rng.choice(120, 30, replace=False)).astype(float)
    return model, {"number": number, "time": 2_457_003.12 + 3.5485 * number + rng.normal(0, 0.006, 30)}
