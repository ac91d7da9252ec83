"""What a NumPyro model can do with recorded draws: predict, weigh each observation, and draw from its prior."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from numpyro import handlers
from numpyro.distributions import biject_to

from kernels.types import Data, Position
from workflows.modelling.frontends.axes import Layout
from workflows.modelling.model import Generative

Message = dict[str, Any]
Draw = Callable[[jax.Array, Mapping[str, Any]], dict[str, Message]]
"""(key, all data) -> the sites of one draw from the prior."""
Impute = Callable[[jax.Array, Position, Data], jax.Array]
"""(key, recorded values of one draw, data) -> an array that was never observed."""


def generative(
    model: Callable[..., Any],
    static: Mapping[str, Any],
    latent: Mapping[str, Layout],
    unconstrained: Mapping[str, Layout],
    recorded: Mapping[str, Layout],
    observed: Mapping[str, Layout],
    draw: Draw,
    impute: Mapping[str, Impute],
) -> Generative:
    """The functions of one draw, values by the names and shapes under which the store has them."""

    def sites(values: Position, data: Data) -> dict[str, Message]:
        given = {name: layout.unpack(jnp.asarray(values[name], jnp.float64)) for name, layout in latent.items()}
        with handlers.block():
            found: dict[str, Message] = handlers.trace(handlers.substitute(model, data=given)).get_trace(
                **(data | static)
            )
        return found

    def log_likelihood(values: Position, data: Data) -> Position:
        found = sites(values, data)
        return {name: _packed(layout, found[name], _log_prob(found[name])) for name, layout in observed.items()}

    def predict(key: jax.Array, values: Position, data: Data) -> Position:
        return _outcomes(key, sites(values, data), observed)

    def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
        prior_key, outcome_key = jax.random.split(key)
        found = draw(prior_key, data | static)
        values = {name: layout.pack(found[name]["value"]) for name, layout in {**latent, **recorded}.items()}
        return values, _outcomes(outcome_key, found, observed)

    def unconstrain(values: Position, data: Data) -> Position:
        found = sites(values, data)
        inverse = {name: biject_to(found[name]["fn"].support).inv(found[name]["value"]) for name in latent}
        return {name: layout.pack(inverse[name]) for name, layout in unconstrained.items()}

    return Generative(log_likelihood, predict, prior, unconstrain, impute)


def _log_prob(site: Message) -> jax.Array:
    """Log probability of every observation, masked and scaled as in the density."""
    term = site["fn"].log_prob(site["value"])
    return term if site["scale"] is None else site["scale"] * term


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
