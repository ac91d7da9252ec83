"""What is learned of: Rosenbrock's valley, and the mixed model by an estimate of its likelihood."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import kernels  # noqa: F401  (turns 64-bit floats on)
from workflows.models.glmm.estimators import split
from workflows.models.glmm.likelihood import log_prior
from workflows.models.glmm.quadrature import log_likelihood
from workflows.models.glmm.simulate import TRUTH, simulate
from workflows.studies.surrogates.densities import density

INDIVIDUALS, SAMPLES = 50, 16
"""Of the mixed model: fewer than the 500 and 128 of the replication, so that all five train in minutes on one core."""
INFORMED_SD = 0.5
"""Of a prior of the mixture (mu, log l, logit w) about the truth: so few individuals leave a component empty else."""


class Problem(NamedTuple):
    """d parameters theta, and m auxiliary variables u ~ N(0, I), none where m = 0.

    log_density: log p(theta) + log phat(theta, u), of [d] and [m]. marginal: log p(theta) + log p(y | theta), of [d].
    start: a start of theta, [d]. scale: of first steps. trajectories: of each round of the pilot.
    """

    name: str
    width: int
    auxiliary: int
    log_density: Callable[[jax.Array, jax.Array], jax.Array]
    marginal: Callable[[jax.Array], jax.Array]
    start: np.ndarray
    scale: float
    trajectories: int


def rosenbrock() -> Problem:
    """Of 10 dimensions."""
    entry = density("rosenbrock_10")
    return Problem(
        entry.name, 10, 0, lambda theta, u: entry.log_density(theta), entry.log_density, np.zeros(10), 0.3, 100
    )


def glmm() -> Problem:
    """INDIVIDUALS individuals, the estimator `split` with SAMPLES samples."""
    drawn = simulate(INDIVIDUALS)
    data = {"z": drawn.z, "y": drawn.y, "log_l_variance": np.asarray(1.0)}
    data = jax.tree.map(jnp.asarray, data)
    start, unravel = ravel_pytree(jax.tree.map(jnp.asarray, TRUTH))

    def prior(theta: jax.Array) -> jax.Array:
        away = ravel_pytree({name: value for name, value in unravel(theta - start).items() if name != "b"})[0]
        own = sum((jnp.sum(term) for term in log_prior(unravel(theta), data).values()), start=jnp.zeros(()))
        return own - 0.5 * jnp.sum(away**2) / INFORMED_SD**2

    def estimate(theta: jax.Array, u: jax.Array) -> jax.Array:
        weights = split(unravel(theta), u.reshape(INDIVIDUALS, SAMPLES, 1), data)
        return prior(theta) + jnp.sum(jax.nn.logsumexp(weights, axis=1) - jnp.log(SAMPLES))

    def marginal(theta: jax.Array) -> jax.Array:
        return prior(theta) + jnp.sum(log_likelihood(unravel(theta), data))

    return Problem("glmm", start.size, INDIVIDUALS * SAMPLES, estimate, marginal, np.asarray(start), 0.2, 40)


PROBLEMS: dict[str, Callable[[], Problem]] = {"rosenbrock_10": rosenbrock, "glmm": glmm}
