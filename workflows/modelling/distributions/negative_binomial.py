"""The negative binomial distribution by rate and dispersion, by kernels.numerics.special."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.distributions.util import promote_shapes

from kernels.numerics.special import digamma_excess, log, log_gamma, materialised, shift_step, stirling_excess

Array = jax.Array


def count_constant(counts: Array) -> Array:
    """-y - log y! of counts y, any shape: the part of the log probability that no parameter enters."""
    y = jnp.asarray(counts, jnp.float64)
    return -y - log_gamma(y + 1.0)


@jax.custom_jvp
def log_probability(counts: Array, constant: Array, rate: Array, log_rate: Array, dispersion: Array) -> Array:
    """log NB(y; mean mu, variance mu + phi mu^2), every argument broadcast against the others.

    With r = 1 / phi and E of kernels.numerics.special.stirling_excess,

        log p = log Gamma(y + r) - log Gamma(r) - log y! + y log mu + r log r - (y + r) log(mu + r)
              = E(y + r; mu + r) - E(r; r) + y log mu - y - log y!,

    in which nothing large cancels as phi -> 0 (the Poisson limit). Terms in r alone keep the shape of dispersion, so
    that a dispersion shared by many counts is paid for once. constant: count_constant(counts). nan where the rate or
    1 / phi is 0 or overflows.
    """
    y = jnp.asarray(counts, jnp.float64)
    r = 1.0 / dispersion
    step = shift_step(r)
    alone = materialised(stirling_excess(r, r, jnp.zeros_like(r), step))
    return materialised(stirling_excess(y + r, rate + r, y - rate, step) - alone + (y * log_rate + constant))


@log_probability.defjvp
def _log_probability_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    """Tangent from the partial derivatives, each evaluated once and kept: no pass over them repeats the work."""
    counts, _, rate, _, dispersion = primals
    _, d_constant, d_rate, d_log_rate, d_dispersion = tangents
    y, r = jnp.asarray(counts, jnp.float64), 1.0 / dispersion
    by_rate, by_r = _partials(y, rate, r)
    tangent = y * d_log_rate + d_constant + by_rate * d_rate - by_r * (r * r * d_dispersion)
    return log_probability(*primals), tangent


def _partials(y: Array, rate: Array, r: Array) -> tuple[Array, Array]:
    """(-(y + r) / (mu + r), derivative by r) of the log probability, the log rate held fixed.

    With F(x; b) = psi(x) - log b, the latter is F(y + r; mu + r) - F(r; r) - (y - mu) / (mu + r).
    """
    step, inverse = shift_step(r), 1.0 / (rate + r)
    alone = materialised(digamma_excess(r, r, jnp.zeros_like(r), step))
    by_r = digamma_excess(y + r, rate + r, y - rate, step) - alone - (y - rate) * inverse
    return materialised(-(y + r) * inverse), materialised(by_r)


class NegativeBinomial(dist.Distribution):
    """Counts with mean `rate` and variance rate + dispersion rate^2.

    log_rate: log of the rate, where the caller has it without taking a logarithm. constant: count_constant of the
    observed counts, where it is worth computing once. Shapes broadcast; the batch shape is theirs together.
    """

    arg_constraints: ClassVar = {"rate": constraints.positive, "dispersion": constraints.positive}
    support = constraints.nonnegative_integer

    def __init__(
        self,
        rate: Array,
        dispersion: Array,
        *,
        log_rate: Array | None = None,
        constant: Array | None = None,
        validate_args: bool | None = None,
    ) -> None:
        shape = jnp.broadcast_shapes(jnp.shape(rate), jnp.shape(dispersion))
        self.rate, self.dispersion = promote_shapes(rate, dispersion, shape=shape)
        self.log_rate = log(self.rate) if log_rate is None else log_rate
        self.constant = constant
        super().__init__(batch_shape=shape, validate_args=validate_args)

    def log_prob(self, value: Array) -> Array:
        """Log probability of counts, of the broadcast shape."""
        constant = count_constant(value) if self.constant is None else self.constant
        return log_probability(value, constant, self.rate, self.log_rate, self.dispersion)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Poisson counts with gamma-distributed means."""
        gamma_key, poisson_key = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        mixing = jax.random.gamma(gamma_key, 1.0 / self.dispersion, shape) * self.dispersion
        return jax.random.poisson(poisson_key, self.rate * mixing, shape)

    @property
    def mean(self) -> Array:
        """The rate, of the batch shape."""
        return jnp.broadcast_to(self.rate, self.batch_shape)

    @property
    def variance(self) -> Array:
        """rate + dispersion rate^2, of the batch shape."""
        return self.mean + self.dispersion * self.mean**2
