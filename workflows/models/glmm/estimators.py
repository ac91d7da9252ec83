"""Three unbiased estimators of an individual's likelihood, as log weights [T, N] of standard normal u [T, N, 1].

p(y_k | theta) = int f(x) g(y_k | x) dx with f the mixture of random effects. All are smooth in theta and u.
- wide: x = 3 u, q = N(0, 9), w = f(x) g(x) / q(x).
- matched: x = m_k + s_k u, q_k normal with the mean and standard deviation of x given y_k and theta, by quadrature.
- split: every u serves both components, w = sum_c w_c g(mu_c + u / sqrt(l_c)): nothing is weighed by f.

Adding a switch between components instead (a uniform below w chooses the first) would make phat discontinuous in
theta, and a weighted sum of the two normals is one normal variable and no mixture.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp

from kernels.transitions.pseudo_marginal.target import LogWeights
from kernels.types import Data, Position
from workflows.models.glmm.likelihood import log_mixture, log_responses, mixture
from workflows.models.glmm.quadrature import moments

WIDE_SD = 3.0
"""Standard deviation of the proposal of `wide`."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def wide(theta: Position, u: jax.Array, data: Data) -> jax.Array:
    """log w of importance samples from N(0, 9)."""
    u = u[:, :, 0]
    x = WIDE_SD * u
    log_proposal = -0.5 * u**2 - _HALF_LOG_2PI - math.log(WIDE_SD)
    return log_mixture(mixture(theta), x) + log_responses(theta["b"], x, data) - log_proposal


def matched(theta: Position, u: jax.Array, data: Data) -> jax.Array:
    """log w of importance samples from a normal law for each individual, of the moments of x given y_k and theta."""
    mean, sd = (moment[:, None] for moment in moments(theta, data))
    u = u[:, :, 0]
    x = mean + sd * u
    log_proposal = -0.5 * u**2 - _HALF_LOG_2PI - jnp.log(sd)
    return log_mixture(mixture(theta), x) + log_responses(theta["b"], x, data) - log_proposal


def split(theta: Position, u: jax.Array, data: Data) -> jax.Array:
    """log w of samples of each component, taken together with the components' weights."""
    law, u = mixture(theta), u[:, :, 0]
    first, second = (
        law.weight[c] + log_responses(theta["b"], law.mean[c] + u / jnp.sqrt(law.precision[c]), data) for c in range(2)
    )
    return jnp.logaddexp(first, second)


ESTIMATORS: Mapping[str, LogWeights] = MappingProxyType({"wide": wide, "matched": matched, "split": split})
"""By the names in settings."""
