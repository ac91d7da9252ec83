"""The exact likelihood of the mixed model: one integral over the random effect for each individual, by Gauss-Hermite.

int f(x) g(y_k | x) dx = sum_c w_c int N(v; 0, 1) g(y_k | mu_c + v / sqrt(l_c)) dv, each with 20 nodes by default.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.models.glmm.likelihood import log_responses, mixture

NODES = 20
"""Of each component."""


@cache
def rule(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and log weights of the expectation over a standard normal."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return points, np.log(weights / weights.sum())


def _weighted(theta: Position, data: Data, nodes: int) -> tuple[jax.Array, jax.Array]:
    """(x [2 nodes], log(weight g(y_k | x)) [T, 2 nodes]) over the nodes of both components."""
    law = mixture(theta)
    points, log_weights = (jnp.asarray(values, law.mean.dtype) for values in rule(nodes))
    x = jnp.concatenate([law.mean[c] + points / jnp.sqrt(law.precision[c]) for c in range(2)])
    weights = jnp.concatenate([law.weight[c] + log_weights for c in range(2)])
    individuals = data["y"].shape[0]
    return x, weights + log_responses(theta["b"], jnp.broadcast_to(x, (individuals, x.size)), data)


def log_likelihood(theta: Position, data: Data, nodes: int = NODES) -> jax.Array:
    """log p(y_k | theta) of each individual, [T]."""
    return jax.nn.logsumexp(_weighted(theta, data, nodes)[1], axis=1)


def moments(theta: Position, data: Data, nodes: int = NODES) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of x given y_k and theta, [T] each."""
    x, logs = _weighted(theta, data, nodes)
    probability = jax.nn.softmax(logs, axis=1)
    mean = jnp.sum(probability * x, axis=1)
    return mean, jnp.sqrt(jnp.sum(probability * (x - mean[:, None]) ** 2, axis=1))
