"""The estimator `wide` with its gradient derived by hand: the same log weights, without a record of the computation.

With c_ki the cotangent of log w_ki, which is c_k W_ki for log phat_k (W the normalised weights of the individual's
samples), R_c the probability of component c given x, P = logistic(eta) and A = P - y:

    d mu_c      sum c R_c l_c (x - mu_c)                    d b   -sum c sum_j A_j Z_j
    d log l_c   sum c R_c (1 - l_c (x - mu_c)^2) / 2        d u   c (3 (d log f / dx - sum_j A_j) + u)
    d logit w   sum c (R_1 - w)                             d log f / dx = sum_c R_c l_c (mu_c - x)
"""

import jax
import jax.numpy as jnp

from kernels.types import Data, Position
from workflows.models.glmm import estimators
from workflows.models.glmm.likelihood import log_components, mixture

Saved = tuple[Position, jax.Array, Data]


@jax.custom_vjp
def wide(theta: Position, u: jax.Array, data: Data) -> jax.Array:
    """log w of importance samples from N(0, 9), [T, N]; no derivative by the data."""
    return estimators.wide(theta, u, data)


def _forward(theta: Position, u: jax.Array, data: Data) -> tuple[jax.Array, Saved]:
    return estimators.wide(theta, u, data), (theta, u, data)


def _backward(saved: Saved, cotangent: jax.Array) -> tuple[Position, jax.Array, None]:
    """The formulas above; cotangent c [T, N]."""
    theta, u, data = saved
    law, x = mixture(theta), estimators.WIDE_SD * u[:, :, 0]
    shares = jax.nn.softmax(log_components(law, x), axis=0) * cotangent
    away = x - law.mean[:, None, None]
    precision = law.precision[:, None, None]
    pull = shares * precision * away
    excess, by_b = _residuals(theta["b"], x, cotangent, data)
    by_x = -jnp.sum(pull, axis=0) - excess
    gradient = {
        "b": -by_b,
        "mu": jnp.sum(pull, axis=(1, 2)),
        "log_l": 0.5 * jnp.sum(shares - pull * away, axis=(1, 2)),
        "logit_w": jnp.sum(shares[0]) - jnp.exp(law.weight[0]) * jnp.sum(cotangent),
    }
    return gradient, (estimators.WIDE_SD * by_x + cotangent * u[:, :, 0])[:, :, None], None


def _residuals(b: jax.Array, x: jax.Array, cotangent: jax.Array, data: Data) -> tuple[jax.Array, jax.Array]:
    """(c sum_j A_j [T, N], sum c A Z over individuals, samples and responses [8])."""
    eta = jnp.sum(data["z"] * b, axis=-1)[:, :, None] + x[:, None, :]
    weighted = cotangent[:, None, :] * (jax.nn.sigmoid(eta) - data["y"][:, :, None])
    return jnp.sum(weighted, axis=1), jnp.sum(data["z"] * jnp.sum(weighted, axis=2)[:, :, None], axis=(0, 1))


wide.defvjp(_forward, _backward)
