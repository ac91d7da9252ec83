"""The Target of a traced model: terms of its density, recorded values, and starts from the prior."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, ExpandedDistribution, MaskedDistribution, biject_to

from kernels.target import Site, Target
from kernels.types import Data, Position, Terms
from workflows.modelling.frontends.numpyro.inspection import Traced
from workflows.modelling.frontends.numpyro.tracing import (
    Message,
    ModelFunction,
    jacobian_of,
    prior_sites,
    sites_at,
    unconstrained,
)
from workflows.modelling.model import Static


def target_of(model: ModelFunction, static: dict[str, Static], traced: Traced) -> Target:
    """The Target of a model that has been inspected."""

    def log_terms(position: Position, data: Data) -> Terms:
        sites = sites_at(model, unconstrained(position, traced.unconstrained), data | static)
        return {name: log_term(name, sites, traced.partly) for name in traced.terms}

    def constrain(position: Position, data: Data) -> Position:
        sites = sites_at(model, unconstrained(position, traced.unconstrained), data | static)
        layouts = traced.constrained | traced.recorded
        return {name: layout.pack(sites[name]["value"]) for name, layout in layouts.items()}

    def initial(key: jax.Array, data: Data) -> Position:
        model_key, fallback_key = jax.random.split(key)
        sites = prior_sites(model, model_key, data | static)
        keys = jax.random.split(fallback_key, len(traced.unconstrained) + 1)
        return {
            name: layout.pack(_unconstrain(sites[name], sites[name]["value"], keys[i]))
            for i, (name, layout) in enumerate(traced.unconstrained.items())
        }

    sites = {name: Site(name, layout.shape, layout.plates) for name, layout in traced.unconstrained.items()}
    return Target(sites, traced.terms, log_terms, constrain, initial)


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


def _unconstrain(site: Message, value: jax.Array, key: jax.Array) -> jax.Array:
    """Unconstrained coordinates of a draw; one that rounding put on the edge of its support is drawn afresh there."""
    raw = jnp.asarray(biject_to(site["fn"].support).inv(value), jnp.float64)
    return jnp.where(jnp.isfinite(raw), raw, jax.random.uniform(key, raw.shape, jnp.float64, -2.0, 2.0))
