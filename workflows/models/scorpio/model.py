"""Scorpio: a mixture of four bivariate normals shaped like the animal, and independent copies of it.

Weights .5 (body), .1, .1 (tail), .3 (stinger); means (0, 0), (4, 2), (7, 6), (5, 11); standard deviations (1.5, 1),
(1.2, .25), (.3, 1.2), (.5, .5), coordinates independent. The copies know nothing of each other: a sampler of any
number of them must give every mode its mass. The mean responsibility of a component is exactly its weight.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.numerics.special import log
from kernels.types import Data, Position, Terms
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model

WEIGHTS = np.array([0.5, 0.1, 0.1, 0.3])
MEANS = np.array([[0.0, 0.0], [4.0, 2.0], [7.0, 6.0], [5.0, 11.0]])
SDS = np.array([[1.5, 1.0], [1.2, 0.25], [0.3, 1.2], [0.5, 0.5]])

_LOG_SCALES = np.log(WEIGHTS) - np.log(SDS).sum(axis=1) - np.log(2.0 * np.pi)


def component_logs(x: jax.Array, y: jax.Array) -> list[jax.Array]:
    """log(weight density) of each of the four components at (x, y), arrays of any one shape."""
    return [
        scale - 0.5 * (((x - mean[0]) / sd[0]) ** 2 + ((y - mean[1]) / sd[1]) ** 2)
        for scale, mean, sd in zip(_LOG_SCALES.tolist(), MEANS.tolist(), SDS.tolist(), strict=True)
    ]


def log_density(x: jax.Array, y: jax.Array) -> jax.Array:
    """log density of scorpio at (x, y), elementwise, by a log-sum-exp that holds far from every mode."""
    logs = component_logs(x, y)
    top = jnp.maximum(jnp.maximum(logs[0], logs[1]), jnp.maximum(logs[2], logs[3]))
    return top + log(sum((jnp.exp(value - top) for value in logs), jnp.zeros_like(top)))


def responsibilities(x: jax.Array, y: jax.Array) -> jax.Array:
    """Probability of each component given (x, y): [4, ...]. Its mean over exact draws is the components' weights."""
    return jax.nn.softmax(jnp.stack(component_logs(x, y)), axis=0)


def exact_draws(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent draws [n, 2], by drawing the component first."""
    component = rng.choice(len(WEIGHTS), size=n, p=WEIGHTS)
    return MEANS[component] + SDS[component] * rng.standard_normal((n, 2))


def _log_terms(position: Position, data: Data) -> Terms:
    """One term for each copy."""
    return {"scorpio": log_density(position["x"], position["y"])}


def build(*, copies: int = 1) -> Model:
    """The product of independent copies: sites x and y, plate `copy`; every start lies in the body.

    Raises ModelError for a number of copies that is not a positive integer.
    """
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise ModelError(f"scorpio: copies = {copies!r}; allowed is a number of copies, 1 or more")

    def initial(key: jax.Array, data: Data) -> Position:
        normal = jax.random.normal(key, (2, copies), jnp.float64)
        return {"x": SDS[0, 0] * normal[0], "y": SDS[0, 1] * normal[1]}

    site = ((copies,), ("copy",))
    return function_model(_log_terms, {"x": site, "y": site}, name="scorpio", initial=initial, likelihood=("scorpio",))
