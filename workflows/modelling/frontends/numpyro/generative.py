"""What a NumPyro model can do with recorded draws: predict, weigh each observation, and draw from its prior."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import biject_to

from kernels.types import Data, Position
from workflows.modelling.frontends.numpyro.axes import Layout
from workflows.modelling.frontends.numpyro.density import log_prob
from workflows.modelling.frontends.numpyro.inspection import Traced
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
        found = sites(values, data)
        return {name: _packed(layout, found[name], log_prob(found[name])) for name, layout in observed.items()}

    def predict(key: jax.Array, values: Position, data: Data) -> Position:
        return _outcomes(key, sites(values, data), observed)

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

    return Generative(log_likelihood, predict, prior, unconstrain, impute)


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
