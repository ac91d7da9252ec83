"""Pseudo-marginal targets: a likelihood known by unbiased estimates, its randomness u being part of the position.

The position is (theta, u), u of shape [T, N, p] a priori N(0, I), and the target

    p(theta) N(u; 0, I) prod_k phat_k(theta, u_k),    phat_k = (1 / N) sum_i w_ki,

whose marginal in theta is the posterior for every N, as E phat_k over u is the likelihood of individual k (Andrieu and
Roberts 2009, Annals of Statistics 37, 697-725). It is an ordinary target of three kinds of terms: the prior's, one for
u and one for log phat, both [T]. An individual is a block of the level of u, found like any other, that touches its own
log phat alone: its u_k can be refreshed and accepted on that. All arithmetic is on log weights; weights themselves
overflow.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from kernels.target import Site
from kernels.types import Data, Position, Terms

AUXILIARY = "auxiliary"
"""The term log N(u; 0, I) of each individual, [T]."""

ESTIMATE = "estimate"
"""The term log phat of each individual, [T]."""

INDIVIDUAL = "individual"
"""The plate of u's first axis."""

Precision = Literal["float32", "float64"]
"""Of what an estimator computes."""

LogWeights = Callable[[Position, jax.Array, Data], jax.Array]
"""(theta, u [T, N, p], data) -> log w [T, N]. -inf is a weight of 0; NaN, as the logarithm of a negative weight gives,
and +inf make the density of that point not finite, so that kernels reject it and count it."""

LogPrior = Callable[[Position, Data], Terms | jax.Array]
"""(theta, data) -> {term: unsummed array}, or one array; without u."""


def auxiliary_site(shape: tuple[int, int, int], name: str = "u") -> Site:
    """The site of u of shape (T, N, p), whose blocks are the individuals."""
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"auxiliary variables of shape {tuple(shape)} were given; needed are three lengths of 1 or more: "
            "individuals, samples an individual (N), coordinates a sample"
        )
    return Site(name, tuple(shape), (INDIVIDUAL,))


def log_estimate(log_weights: jax.Array) -> jax.Array:
    """log phat = logsumexp_i log w_i - log N of each individual, [T, N] -> [T]."""
    return jax.nn.logsumexp(log_weights, axis=1) - math.log(log_weights.shape[1])


def log_standard_normal(u: jax.Array) -> jax.Array:
    """log N(u; 0, I) of each individual, [T, N, p] -> [T]."""
    coordinates = u.shape[1] * u.shape[2]
    return -0.5 * jnp.sum(u**2, axis=(1, 2)) - 0.5 * coordinates * math.log(2.0 * math.pi)


def estimated_terms(
    log_prior: LogPrior, log_weights: LogWeights, auxiliary: Site, precision: Precision = "float64"
) -> Callable[[Position, Data], dict[str, jax.Array]]:
    """log_terms of a target: the prior's terms (one array is called `prior`), AUXILIARY and ESTIMATE.

    precision: of the log weights and of each log phat_k, which are computed from theta, u and data of that precision;
    positions and all sums over individuals are float64. Raises ValueError, when traced, for log weights that are not
    [T, N] of that precision and for a prior that uses one of these names.
    """

    def log_terms(position: Position, data: Data) -> dict[str, jax.Array]:
        theta = {name: value for name, value in position.items() if name != auxiliary.name}
        u = position[auxiliary.name]
        found = log_weights(*rounded((theta, u, data), precision))
        _check_weights(found, u, precision)
        prior = log_prior(theta, data)
        terms = dict(prior) if isinstance(prior, Mapping) else {"prior": prior}
        if taken := sorted({AUXILIARY, ESTIMATE} & terms.keys()):
            raise ValueError(f"the prior has a term called {taken[0]!r}, a name that is taken: give it another")
        return terms | {AUXILIARY: log_standard_normal(u), ESTIMATE: log_estimate(found).astype(jnp.float64)}

    return log_terms


def rounded(values: Any, precision: Precision) -> Any:
    """The same pytree, its arrays of real numbers being of that precision."""

    def one(value: Any) -> Any:
        real = hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)
        return value.astype(precision) if real else value

    return jax.tree.map(one, values)


def _check_weights(found: jax.Array, u: jax.Array, precision: Precision) -> None:
    if jnp.shape(found) != u.shape[:2] or not jnp.issubdtype(jnp.result_type(found), jnp.floating):
        raise ValueError(
            f"the estimator gives log weights of shape {jnp.shape(found)} and type {jnp.result_type(found)} for u of "
            f"shape {u.shape}; needed is a real number for each individual and sample, {u.shape[:2]}: log w, not w, "
            "and not yet averaged"
        )
    if found.dtype != precision:
        raise ValueError(
            f"the estimator gives log weights of type {found.dtype} from real arguments of type {precision}. Take "
            "Python numbers for constants, not NumPy's, and turn integers into the type of u before computing with "
            "them: data['count'].astype(u.dtype)"
        )
