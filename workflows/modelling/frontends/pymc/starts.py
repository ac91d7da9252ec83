"""Where chains start: draws from the prior, or PyMC's initial point with a jitter."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.frontends.pymc.dispatch import mended_samplers
from workflows.modelling.frontends.pymc.graphs import NO_CHECKS, Arguments, Graph
from workflows.modelling.frontends.pymc.source import Source, generators

POINT = "initial point of {}"
"""Names of the data that hold PyMC's initial point."""


class Draw:
    """A random graph as a function of a key. Raises NotImplementedError where JAX cannot draw a variable."""

    def __init__(self, inputs: Sequence[Any], outputs: Mapping[str, Any], arguments: Arguments) -> None:
        graph, states = generators(list(outputs.values()))
        self._graph = Graph([*states, *inputs], graph, arguments, NO_CHECKS)
        self._states, self._names = len(states), tuple(outputs)

    def __call__(self, key: jax.Array, values: Sequence[Any], data: Data) -> Position:
        """The outputs by name; values of the inputs in their order."""
        keys = jax.random.split(key, max(1, self._states))
        states = [{"jax_state": jax.random.key_data(keys[number])} for number in range(self._states)]
        with mended_samplers():
            found = self._graph([*states, *values], data)
        return dict(zip(self._names, map(jnp.asarray, found), strict=True))


def starts(
    source: Source, point: Mapping[str, np.ndarray]
) -> tuple[Callable[[jax.Array, Data], Position], dict[str, np.ndarray]]:
    """(key, data) -> unconstrained coordinates of a start, and the data that this needs beside the model's."""
    try:
        draw = Draw([], source.starts(), source.arguments)
        jax.eval_shape(lambda key: draw(key, [], source.arguments.arrays), jax.random.key(0))
    except (NotImplementedError, TypeError, ValueError) as error:
        warnings.warn(
            f"model {source.label!r}: chains start at PyMC's initial point with a jitter of +-1, since JAX cannot draw "
            f"from its prior ({error}); wider starts make nested R-hat a better check: start.kind=uniform, or given",
            UserWarning,
            stacklevel=5,
        )
        return _jittered(point), {POINT.format(name): value for name, value in point.items()}
    return _drawn(draw, {name: value.shape for name, value in point.items()}), {}


def _drawn(draw: Draw, shapes: Mapping[str, tuple[int, ...]]) -> Callable[[jax.Array, Data], Position]:
    """Prior draws; a coordinate that rounding put on the edge of its support is drawn afresh from uniform(-2, 2)."""

    def start(key: jax.Array, data: Data) -> Position:
        drawn, *spare = jax.random.split(key, len(shapes) + 1)
        found = draw(drawn, [], data)
        fresh = {
            name: jax.random.uniform(k, shape, jnp.float64, -2.0, 2.0)
            for k, (name, shape) in zip(spare, shapes.items(), strict=True)
        }
        return {name: jnp.where(jnp.isfinite(found[name]), found[name], fresh[name]) for name in shapes}

    return start


def _jittered(point: Mapping[str, np.ndarray]) -> Callable[[jax.Array, Data], Position]:
    """PyMC's initial point, with uniform(-1, 1) added to every coordinate."""
    shapes = {name: value.shape for name, value in point.items()}

    def start(key: jax.Array, data: Data) -> Position:
        keys = jax.random.split(key, len(shapes))
        return {
            name: jnp.asarray(data[POINT.format(name)]) + jax.random.uniform(k, shape, jnp.float64, -1.0, 1.0)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    return start
