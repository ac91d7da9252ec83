"""Ill-conditioned Gaussian in 100 dimensions, the one of the Inference Gym: condition number near 1.3e5.

The precision has eigenvalues drawn from Gamma(1/2, 1) with seed 10 and a random rotation (Sountsov, Radul and others
2020, Inference Gym, IllConditionedGaussian). Moments are exact: E[x_i^2] = S_ii, Var[x_i^2] = 2 S_ii^2.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.studies.depth.bias import Moments

DIMENSION = 100
_SEED = 10


def covariance_parts() -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the covariance [d], largest first, and its eigenvectors as columns [d, d]."""
    # The Gym's target is defined by this legacy generator; any other gives another condition number.
    rng = np.random.RandomState(_SEED)
    eigenvalues = 1.0 / np.sort(rng.gamma(shape=0.5, scale=1.0, size=DIMENSION))
    q, r = np.linalg.qr(rng.randn(DIMENSION, DIMENSION))
    return eigenvalues, q * np.sign(np.diag(r))


def moments() -> Moments:
    """The exact moments."""
    eigenvalues, vectors = covariance_parts()
    square = (vectors**2) @ eigenvalues
    zero = np.zeros(DIMENSION)
    return Moments(zero, square, 2.0 * square**2, zero, zero)


def _log_density(position: Position, data: Data) -> jax.Array:
    """-z^2 / 2 of the whitened coordinates z = W x, [d]."""
    return -0.5 * (data["whiten"] @ position["x"]) ** 2


def _initial(key: jax.Array, data: Data) -> Position:
    """Independent normals as wide as the widest direction: too wide in all the others."""
    return {"x": data["widest"] * jax.random.normal(key, (DIMENSION,), jnp.float64)}


def build() -> Model:
    """One site x [100]."""
    eigenvalues, vectors = covariance_parts()
    data = {"whiten": vectors.T / np.sqrt(eigenvalues)[:, None], "widest": np.sqrt(eigenvalues[0])}
    return function_model(_log_density, {"x": (DIMENSION,)}, data, name="icg", initial=_initial)
