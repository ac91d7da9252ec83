"""How badly scaled the likelihood of the example subject is, and what that does to a trajectory of unit mass."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from workflows.models.rri.curve import Curve, log_likelihood_partials, partials
from workflows.models.rri.published import EXAMPLE, EXAMPLE_SIGMA
from workflows.models.rri.simulate import example, times

OBSERVATIONS = 1000
SCORING_STEPS = 10
"""Twice as many as it takes to stand still to a thousandth of a standard deviation."""


class Conditioning(NamedTuple):
    """condition: of the information matrix; scaled: of the correlation matrix of its inverse, which is what a diagonal
    metric of the standard deviations leaves; stable_step: leapfrog's largest step with unit mass;
    slowest_period: of the harmonic motion; beta_delta: correlation of these two."""

    condition: float
    scaled: float
    stable_step: float
    slowest_period: float
    beta_delta: float


def information(observations: int = OBSERVATIONS, curve: Curve = EXAMPLE, sigma: float = EXAMPLE_SIGMA) -> np.ndarray:
    """Fisher information [8, 8] of the curve's seven parameters and sigma, at the parameters."""
    jacobian = np.stack([np.asarray(p) for p in partials(curve, jnp.asarray(times(observations)))])
    found = np.zeros((8, 8))
    found[:7, :7] = jacobian @ jacobian.T / sigma**2
    found[7, 7] = 2.0 * observations / sigma**2
    return found


def conditioning(matrix: np.ndarray) -> Conditioning:
    """The numbers of an information matrix: eigenvalues are squared frequencies of motion with unit mass."""
    eigenvalues = np.linalg.eigvalsh(matrix)
    covariance = np.linalg.inv(matrix)
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    return Conditioning(
        condition=float(eigenvalues[-1] / eigenvalues[0]),
        scaled=float(np.linalg.cond(correlation)),
        stable_step=float(2.0 / np.sqrt(eigenvalues[-1])),
        slowest_period=float(2.0 * np.pi / np.sqrt(eigenvalues[0])),
        beta_delta=float(correlation[Curve._fields.index("beta"), Curve._fields.index("delta")]),
    )


def most_likely() -> np.ndarray:
    """The parameters [8] of largest likelihood for the example recording, by Fisher scoring from the true ones."""
    recording = example(OBSERVATIONS, varying=False)
    t, y = jnp.asarray(recording.t), jnp.asarray(recording.y)
    found = np.array([*EXAMPLE, EXAMPLE_SIGMA])
    for _ in range(SCORING_STEPS):
        curve, sigma = Curve(*found[:7]), float(found[7])
        slope = log_likelihood_partials(curve, sigma, t, y)
        gradient = np.array([*slope.curve, slope.sigma], float)
        found = found + np.linalg.solve(information(curve=curve, sigma=sigma), gradient)
    return found


def factor(matrix: np.ndarray) -> jax.Array:
    """L with L L' the inverse of the information: the metric in which every period is 2 pi."""
    return jnp.asarray(np.linalg.cholesky(np.linalg.inv(matrix)))
