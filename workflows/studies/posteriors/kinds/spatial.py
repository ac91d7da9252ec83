"""Counts on a map: neighbours resemble each other."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

from workflows.studies.posteriors.posterior import Built

SIDE = 10


def intrinsic() -> Built:
    """100 areas of a grid: an intrinsic autoregression with a soft sum to zero, and independent effects beside it."""

    def model(one: jax.Array, other: jax.Array, expected: jax.Array, x: jax.Array, y: jax.Array) -> None:
        areas = y.shape[0]
        a = numpyro.sample("a", dist.Normal(0, 2))
        b = numpyro.sample("b", dist.Normal(0, 2))
        sd_space = numpyro.sample("sd_space", dist.HalfNormal(1))
        sd_area = numpyro.sample("sd_area", dist.HalfNormal(1))
        phi = numpyro.sample("phi", dist.ImproperUniform(constraints.real_vector, (), (areas,)))
        numpyro.factor("neighbours", -0.5 * (phi[one] - phi[other]) ** 2)
        numpyro.factor("sum_to_zero", dist.Normal(0, 0.001 * areas).log_prob(phi.sum()))
        with numpyro.plate("area", areas):
            theta = numpyro.sample("theta", dist.Normal(0, 1))
            rate = expected * jnp.exp(a + b * x + sd_space * phi + sd_area * theta)
            numpyro.sample("y", dist.Poisson(rate), obs=y)

    one, other = _edges()
    rng = np.random.default_rng(1201)
    place = np.indices((SIDE, SIDE)).reshape(2, -1) / SIDE
    surface = 0.6 * np.sin(3 * place[0]) * np.cos(4 * place[1])
    x, expected = rng.normal(size=SIDE**2), rng.uniform(2, 30, SIDE**2)
    y = rng.poisson(expected * np.exp(0.1 + 0.3 * x + surface + 0.2 * rng.normal(size=SIDE**2)))
    return model, {"one": one, "other": other, "expected": expected, "x": x, "y": y}


def autoregression() -> Built:
    """The same map by NumPyro's proper conditional autoregression, whose correlation is unknown."""

    def model(adjacency: np.ndarray, expected: jax.Array, y: jax.Array) -> None:
        a = numpyro.sample("a", dist.Normal(0, 2))
        correlation = numpyro.sample("correlation", dist.Uniform(0, 0.99))
        precision = numpyro.sample("precision", dist.Gamma(2, 0.5))
        phi = numpyro.sample("phi", dist.CAR(a, correlation, precision, adjacency))
        numpyro.sample("y", dist.Poisson(expected * jnp.exp(phi)), obs=y)

    one, other = _edges()
    adjacency = np.zeros((SIDE**2, SIDE**2))
    adjacency[one, other] = adjacency[other, one] = 1
    data = intrinsic()[1]
    return model, {"adjacency": adjacency, "expected": data["expected"], "y": data["y"]}


def _edges() -> tuple[np.ndarray, np.ndarray]:
    """Pairs of areas that share a side."""
    index = np.arange(SIDE**2).reshape(SIDE, SIDE)
    one = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    return one, np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
