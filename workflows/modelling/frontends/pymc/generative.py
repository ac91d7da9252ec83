"""What a PyMC model can do with recorded draws: predict, weigh each observation, and draw from its prior."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from kernels.types import Data, Position
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.pymc.layouts import Layout
from workflows.modelling.frontends.pymc.source import Source, warn_of_potentials
from workflows.modelling.frontends.pymc.starts import Draw
from workflows.modelling.model import Generative


def generative(source: Source) -> Callable[[Mapping[str, Layout]], Generative]:
    """The functions of one draw, values by PyMC's names and in its shapes, once the sites' layouts are known.

    Where JAX cannot draw a variable, its function raises ModelError when it is called.
    """
    natural, free = source.natural(), source.free
    inputs, arguments = list(natural.values()), source.arguments
    weighed, inverse = source.log_likelihood(natural), source.unconstrained(natural)
    log_probability = source.compiled(inputs, weighed)
    coordinates = source.compiled(inputs, inverse)
    outcomes = _draw("predict", source.label, lambda: Draw(inputs, source.outcomes(natural), arguments))
    prior_draw = _draw("draw from the prior of", source.label, lambda: Draw([], source.prior(), arguments))
    observed, label = list(weighed), source.label
    potentials = bool(source.potentials)

    def given(values: Position) -> list[jax.Array]:
        return [jnp.asarray(values[name], jnp.float64) for name in free]

    def log_likelihood(values: Position, data: Data) -> Position:
        return dict(zip(observed, map(jnp.asarray, log_probability(given(values), data)), strict=True))

    def predict(key: jax.Array, values: Position, data: Data) -> Position:
        return outcomes(key, given(values), data)

    def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
        if potentials:
            warn_of_potentials(label)
        found = prior_draw(key, [], data)
        return {k: x for k, x in found.items() if k not in observed}, {k: found[k] for k in observed}

    def made(layouts: Mapping[str, Layout]) -> Generative:
        def unconstrain(values: Position, data: Data) -> Position:
            found = dict(zip(free, coordinates(given(values), data), strict=True))
            return {name: layout.pack(jnp.asarray(found[name])) for name, layout in layouts.items()}

        return Generative(log_likelihood, predict, prior, unconstrain, {})

    return made


def _draw(what: str, label: str, make: Callable[[], Draw]) -> Callable[[jax.Array, Sequence[Any], Data], Position]:
    """A random function; where PyTensor has no JAX sampler for a variable, one that says so when it is called."""

    def refused(error: BaseException) -> ModelError:
        return ModelError(
            f"maxwell cannot {what} model {label!r}, as PyTensor has no JAX sampler for it ({error}): "
            "pm.sample_posterior_predictive(run.data, model=...) and pm.sample_prior_predictive can; "
            "run.export(predictive=False) leaves predictions out"
        )

    try:
        draw = make()
    except NotImplementedError as error:
        reason = refused(error)

        def unable(key: jax.Array, values: Sequence[Any], data: Data) -> Position:
            raise reason

        return unable

    def drawn(key: jax.Array, values: Sequence[Any], data: Data) -> Position:
        try:
            return draw(key, values, data)
        except NotImplementedError as error:
            raise refused(error) from error

    return drawn
