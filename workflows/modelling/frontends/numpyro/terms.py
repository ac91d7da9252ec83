"""The log probability of one site, unsummed: what masks and scales it, and what does not."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, ExpandedDistribution, MaskedDistribution

from workflows.modelling.frontends.numpyro.tracing import Message, jacobian_of


def log_prob(site: Message) -> jax.Array:
    """Log probability of a site, masked and scaled, of the batch shape."""
    term = site["fn"].log_prob(site["value"])
    return term if site["scale"] is None else site["scale"] * term  # type: ignore[no-any-return]


def log_term(name: str, sites: Mapping[str, Message], partly: Mapping[str, str]) -> jax.Array:
    """Log probability of a site, masked and scaled, and its Jacobian, which is neither; of the batch shape.

    partly: see Traced. Where such a site is observed, its latent value is of no consequence to anything else and has
    no probability: it is given its prior, which integrates to one, so that the density is proper and all else as it is.
    """
    site = sites[name]
    term, jacobian = log_prob(site), jacobian_of(site)
    if name in partly:
        observed = _mask(sites[partly[name]]["fn"])
        term = term + jnp.where(observed, _unmasked(site["fn"]).log_prob(site["value"]), 0.0)
    return term if jacobian is None else term + jacobian


def _mask(distribution: Distribution) -> jax.Array:
    """Where the masks of a distribution let its log probability count, of its batch shape."""
    shape = distribution.batch_shape
    mask: jax.Array = jnp.ones(shape, bool)
    while isinstance(distribution, (MaskedDistribution, ExpandedDistribution)):
        if isinstance(distribution, MaskedDistribution):
            mask = mask & jnp.broadcast_to(jnp.asarray(distribution._mask), shape)
        distribution = distribution.base_dist
    return mask


def _unmasked(distribution: Distribution) -> Distribution:
    """The distribution without its masks."""
    shape = distribution.batch_shape
    while isinstance(distribution, (MaskedDistribution, ExpandedDistribution)):
        distribution = distribution.base_dist
    return distribution.expand(shape)
