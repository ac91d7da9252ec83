"""Statistics of data sets drawn from the posterior, a few draws at a time: no data set is kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family, Replicate
from workflows.modelling.model import Model

DATA_SETS = 200
"""Data sets that are drawn, each from a draw of its own where there are so many."""
TOGETHER = 20
"""Draws that are in memory at once."""

_PURPOSE = 0xF17
"""What sets the keys of these data sets apart from those of the run and of its predictions."""


class Replicated(NamedTuple):
    """A family in the data and in data sets from the posterior.

    observed: [k] T(data, values), the mean over draws where it depends on their values. replicated: [data set, k].
    """

    family: Family
    observed: np.ndarray
    replicated: np.ndarray


class Points(NamedTuple):
    """Some of the observations, to be ranked among their own predictions.

    name: of the observed variable. places: [n] flat indices. observed: [n]. predicted: [data set, n].
    """

    name: str
    places: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray


def replicate(
    model: Model, checks: Sequence[Check], places: Mapping[str, np.ndarray], draws: xarray.Dataset, seed: int
) -> tuple[list[Replicated], list[Points]]:
    """The checks' families, and predictions at the places (flat indices, by observed variable).

    draws: the posterior, [chain, draw, ...]; DATA_SETS of them are used, evenly spaced, or all again and again.
    """
    found = _each(model, checks, places)
    observed = {name: jnp.asarray(value) for name, value in model.observed.items()}
    data = jax.tree.map(jnp.asarray, model.data)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), _PURPOSE), DATA_SETS)
    parts = []
    for chosen in _batches(draws):
        numbers, values = chosen
        parts.append(jax.tree.map(np.asarray, found(values, keys[numbers], observed, data)))
    seen, predicted, points = (_joined([part[k] for part in parts]) for k in range(3))
    families = [
        Replicated(check.family, of_data.mean(axis=0), of_replicates)
        for check, of_data, of_replicates in zip(checks, seen, predicted, strict=True)
    ]
    flat = {name: np.asarray(value).ravel() for name, value in model.observed.items()}
    return families, [
        Points(name, place, flat[name][place], predictions)
        for (name, place), predictions in zip(places.items(), points, strict=True)
    ]


def _each(model: Model, checks: Sequence[Check], places: Mapping[str, np.ndarray]) -> Callable[..., Any]:
    """(values [draw, ...], keys [draw], observed, data) -> statistics of the data, of replicated data, and predictions
    at the places: lists of arrays [draw, k]."""
    if model.generative is None:
        raise ValueError(f"model {model.name!r} draws no data")
    own = model.generative.predict
    # Checks that draw data in the same way see the same data.
    ways: list[Replicate] = list(dict.fromkeys([own, *(check.replicate or own for check in checks)]))

    def one(values: Position, key: jax.Array, observed: Mapping[str, jax.Array], data: Data) -> Any:
        values = {name: x.astype(jnp.float64) for name, x in values.items()}
        drawn = {way: way(jax.random.fold_in(key, k), values, data) for k, way in enumerate(ways)}
        outcomes = [drawn[check.replicate or own] for check in checks]
        return (
            [_vector(check.statistic(observed, values, data)) for check in checks],
            [_vector(check.statistic(found, values, data)) for check, found in zip(checks, outcomes, strict=True)],
            [jnp.ravel(drawn[own][name])[place] for name, place in places.items()],
        )

    @jax.jit
    def batch(values: Position, keys: jax.Array, observed: Mapping[str, jax.Array], data: Data) -> Any:
        return jax.lax.map(lambda each: one(each[0], each[1], observed, data), (values, keys))

    return batch


def _vector(statistic: jax.Array) -> jax.Array:
    return jnp.ravel(jnp.asarray(statistic, jnp.float64))


def _batches(draws: xarray.Dataset) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Numbers of data sets and the values of the draws that they come from, TOGETHER at a time.

    Draws go from chain to chain and then on, so that a few of them come from as many chains.
    """
    chains, length = draws.sizes["chain"], draws.sizes["draw"]
    total = chains * length
    places = np.round(np.linspace(0, total - 1, DATA_SETS)).astype(int) if total >= DATA_SETS else None
    places = np.arange(DATA_SETS) % total if places is None else places
    for numbers in np.array_split(np.arange(DATA_SETS), DATA_SETS // TOGETHER):
        chain, draw = (
            xarray.DataArray(x, dims="data_set") for x in (places[numbers] % chains, places[numbers] // chains)
        )
        part = draws.isel(chain=chain, draw=draw)
        yield numbers, {str(name): _first(x) for name, x in part.data_vars.items()}


def _first(values: xarray.DataArray) -> np.ndarray:
    """[data set, ...]."""
    return np.asarray(values.transpose("data_set", ...).values)


def _joined(parts: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
