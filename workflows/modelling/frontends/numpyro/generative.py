"""What a NumPyro model can do with recorded draws: predict, weigh each observation, and draw from its prior."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import biject_to

from kernels.types import Data, Position
from workflows.modelling.frontends.numpyro.axes import Layout
from workflows.modelling.frontends.numpyro.enumeration import Summed, drawn_sites, summed_terms
from workflows.modelling.frontends.numpyro.inspection import Traced
from workflows.modelling.frontends.numpyro.terms import log_prob
from workflows.modelling.frontends.numpyro.tracing import Message, ModelFunction, constrained, prior_sites, sites_at
from workflows.modelling.model import Generative

Impute = Callable[[jax.Array, Position, Data], jax.Array]
"""(key, recorded values of one draw, data) -> an array that was never observed."""


def generative(
    model: ModelFunction, static: Mapping[str, Any], traced: Traced, impute: Mapping[str, Impute]
) -> Generative:
    """The functions of one draw, values by the names and shapes under which the store has them."""
    observed = traced.observed

    def sites(values: Position, data: Data) -> dict[str, Message]:
        exact = {name: jnp.asarray(values[name], jnp.float64) for name in traced.constrained}
        return sites_at(model, constrained(exact, traced.constrained), data | static)

    def log_likelihood(values: Position, data: Data) -> Position:
        if traced.discrete:
            exact = {name: jnp.asarray(values[name], jnp.float64) for name in traced.constrained}
            return _summed(summed_terms(model, constrained(exact, traced.constrained), data | static, traced), observed)
        found = sites(values, data)
        return {name: _packed(layout, found[name], log_prob(found[name])) for name, layout in observed.items()}

    def drawn(key: jax.Array, values: Position, data: Data) -> dict[str, Message]:
        exact = {name: jnp.asarray(values[name], jnp.float64) for name in traced.constrained}
        return drawn_sites(model, constrained(exact, traced.constrained), data | static, traced, key)

    def predict(key: jax.Array, values: Position, data: Data) -> Position:
        if not traced.discrete:
            return _outcomes(key, sites(values, data), observed)
        discrete_key, outcome_key = jax.random.split(key)
        return _outcomes(outcome_key, drawn(discrete_key, values, data), observed)

    def discrete(key: jax.Array, values: Position, data: Data) -> Position:
        found = drawn(key, values, data)
        return {name: layout.pack(found[name]["value"]) for name, layout in traced.drawn.items()}

    def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
        prior_key, outcome_key = jax.random.split(key)
        found = prior_sites(model, prior_key, data | static)
        layouts = {**traced.constrained, **traced.recorded}
        values = {name: layout.pack(found[name]["value"]) for name, layout in layouts.items()}
        return values, _outcomes(outcome_key, found, observed)

    def unconstrain(values: Position, data: Data) -> Position:
        found = sites(values, data)
        layouts = traced.unconstrained
        inverse = {name: biject_to(found[name]["fn"].support).inv(found[name]["value"]) for name in layouts}
        return {name: layout.pack(inverse[name]) for name, layout in layouts.items()}

    # NumPyro draws no discrete sites in a model with a scan.
    draws = not (traced.discrete and traced.loops)
    return Generative(
        log_likelihood,
        predict,
        prior,
        unconstrain,
        impute,
        discrete=discrete if traced.discrete and draws else None,
        observes=bool(observed),
        predicts=bool(observed) and draws,
    )


def _summed(terms: Mapping[str, Summed], observed: Mapping[str, Layout]) -> Position:
    """Log likelihoods where discrete sites are summed out: of every observed site that names a term, over the leading
    plates that the term has kept, or over nothing where it has kept others."""
    found = {}
    for name in (name for name in observed if name in terms):
        value, plates, layout = terms[name].value, terms[name].plates, observed[name]
        if plates is None:
            found[name] = layout.pack(value) if value.shape == layout.full else jnp.sum(value)
        else:
            found[name] = value if plates == layout.plates[: len(plates)] else jnp.sum(value)
    return found


def _packed(layout: Layout, site: Message, term: jax.Array) -> jax.Array:
    """The term of the site's batch shape with the axes that the observed values have, event axes left out."""
    events = len(site["fn"].event_shape)
    if events == 0:
        return jnp.asarray(layout.pack(term))
    batch = tuple(axis for axis in layout.order if axis < len(layout.full) - events)
    return Layout(
        layout.full[: len(layout.full) - events],
        batch,
        tuple(layout.full[axis] for axis in batch),
        layout.plates,
    ).pack(term)  # type: ignore[no-any-return]


def _outcomes(key: jax.Array, found: Mapping[str, Message], observed: Mapping[str, Layout]) -> Position:
    """New values of the observed sites, given the latent ones of the trace."""
    keys = jax.random.split(key, max(1, len(observed)))
    return {
        name: layout.pack(found[name]["fn"].sample(keys[number]))
        for number, (name, layout) in enumerate(observed.items())
    }
