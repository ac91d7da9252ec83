"""What a hard posterior is, and what of it is known and judged."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.studies.posteriors.hard.laws import Law

Draws = Mapping[str, np.ndarray]
"""Draws of every variable, with any axes before its own."""

VAGUE = 10.0
"""Sd of the dispersed starts, in every coordinate."""


class Aspect(NamedTuple):
    """A function of the parameters whose law is known.

    label: its name. pick: its draws, given those of the variables. law: the truth. site, place: the coordinate whose
    effective sample size the run states for it; None where the run states none, and the smallest of all is taken.
    """

    label: str
    pick: Callable[[Draws], np.ndarray]
    law: Law
    site: str | None = None
    place: tuple[int, ...] = ()


class Hard(NamedTuple):
    """A posterior.

    name, note: what it is called, and what is hard. build: the model. aspects: what is judged. simulate: independent
    draws of the variables. planted: the states, by site, [chains, ...], of an ensemble of so many chains that are
    draws but for the last, which is alone in a minor mode; None where runs find their own starts.
    """

    name: str
    note: str
    build: Callable[[], Model]
    aspects: Callable[[], tuple[Aspect, ...]]
    simulate: Callable[[np.random.Generator, int], Draws]
    planted: Callable[[np.random.Generator, int], Draws] | None = None


def element(variable: str, index: int, law: Law) -> Aspect:
    """One element of a vector that is recorded as it is sampled."""
    return Aspect(f"{variable}[{index}]", lambda draws: draws[variable][..., index], law, variable, (index,))


def scalar(variable: str, law: Law) -> Aspect:
    """A scalar that is recorded as it is sampled."""
    return Aspect(variable, lambda draws: draws[variable], law, variable)


def projection(label: str, direction: np.ndarray, law: Law) -> Aspect:
    """A linear combination of the elements of x."""
    return Aspect(label, lambda draws: draws["x"] @ direction, law)


def elements(variable: str, indices: Iterable[int], law: Law) -> tuple[Aspect, ...]:
    """Some elements of one law."""
    return tuple(element(variable, index, law) for index in indices)


def dispersed(shapes: Mapping[str, tuple[int, ...]]) -> Callable[[jax.Array, Data], Position]:
    """Starts far apart: every coordinate N(0, VAGUE)."""

    def initial(key: jax.Array, data: Data) -> Position:
        keys = jax.random.split(key, len(shapes))
        normal = [
            VAGUE * jax.random.normal(k, shape, jnp.float64) for k, shape in zip(keys, shapes.values(), strict=True)
        ]
        return dict(zip(shapes, normal, strict=True))

    return initial


def vector_model(name: str, dimension: int, log_density: Callable[[jax.Array], jax.Array]) -> Model:
    """A model of one vector x, given by the log density of x."""
    shapes = {"x": (dimension,)}

    def log_terms(position: Position, data: Data) -> jax.Array:
        return log_density(position["x"])

    return function_model(log_terms, {"x": dimension}, name=name, initial=dispersed(shapes))
