"""The black-box front end: any Python function of NumPy arrays, called for all replicas at once. No gradient."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position, Terms
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import DENSITY_TERM, SiteSpec, as_terms, function_model, what_type
from workflows.modelling.model import Model

Values = Mapping[str, np.ndarray]
Function = Callable[[dict[str, np.ndarray]], Values | np.ndarray]
"""{site: float64 [K, *shape]} of K positions -> {term: [K, *term shape]}, or [K], the log densities."""
Shapes = Mapping[str, tuple[int, ...]]


def black_box_model(
    log_terms: Function, sites: Mapping[str, SiteSpec], terms: Shapes | None = None, *, name: str, **options: Any
) -> Model:
    """A Model of a function that JAX cannot see into: Metropolis and SPSA forces only, for it has no gradient.

    log_terms takes K positions in one call, as a call for each would cost more than most densities. terms: shapes of
    the unsummed terms by name; one log density when absent. Any term might depend on any site, so that the blocks of a
    level are joined unless every term touches them one by one: write models with many blocks in JAX. name, sites,
    options: as in function_model; what the function needs beside the sites it must hold.
    The function must be pure: the same values for the same position, whatever else is in the call. The arrays that it
    is given are its own.
    Raises ModelError where it gives other names, shapes, types or numbers of positions, or does not treat each on its
    own.
    """
    shapes = {DENSITY_TERM: ()} if terms is None else {key: tuple(shape) for key, shape in terms.items()}
    expected = {key: jax.ShapeDtypeStruct(shape, np.dtype(np.float64)) for key, shape in shapes.items()}

    def called(position: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return _evaluated(name, log_terms, {key: np.asarray(x) for key, x in position.items()}, lengths, shapes)

    def traced(position: Position, data: Data) -> Terms:
        found: Terms = jax.pure_callback(called, expected, dict(position), vmap_method="broadcast_all")
        return found

    model = function_model(traced, sites, name=name, **options)
    lengths = {key: len(site.shape) for key, site in model.target.sites.items()}
    _check(model, called)
    return replace(model, target=replace(model.target, has_gradient=False))


def _evaluated(
    name: str, log_terms: Function, position: dict[str, np.ndarray], lengths: Mapping[str, int], shapes: Shapes
) -> dict[str, np.ndarray]:
    """The terms [*batch, *shape] at positions [*batch, *shape]; any axes in front are made one for the function."""
    site = next(iter(position))
    batch = position[site].shape[: position[site].ndim - lengths[site]]
    count = prod(batch)
    # Copies: JAX's arrays cannot be written to, and a function may work in place, on what it gives back as well.
    found = log_terms({key: np.array(x).reshape((count, *x.shape[len(batch) :])) for key, x in position.items()})
    values = {key: _numbers(name, key, value) for key, value in as_terms(found).items()}
    given = {key: np.shape(value) for key, value in values.items()}
    wanted = {key: (count, *shape) for key, shape in shapes.items()}
    if given != wanted:
        raise ModelError(
            f"model {name!r}: for {count} positions the function gave arrays of shapes {given}; expected are {wanted}, "
            "the positions along the first axis. Declare other terms in `terms`"
        )
    return {key: np.array(x, np.float64).reshape((*batch, *shapes[key])) for key, x in values.items()}


def _numbers(name: str, term: str, found: Any) -> np.ndarray:
    """What the function gave of a term, as an array of real numbers."""
    try:
        values = np.asarray(found)
    except ValueError as error:
        raise ModelError(f"model {name!r}: what the function gave of term {term!r} is no array: {error}") from error
    if values.dtype.kind not in "biuf":
        raise ModelError(
            f"model {name!r}: the function gave values of type {what_type(values)} of term {term!r}: a log density is "
            "a real number"
        )
    return values


def _check(model: Model, called: Callable[[Mapping[str, Any]], dict[str, np.ndarray]]) -> None:
    """Call the function for two starts at once and one by one. Raises ModelError where that makes a difference."""
    starts = [model.target.initial(key, {}) for key in jax.random.split(jax.random.key(0), 2)]
    together = called({key: jnp.stack([start[key] for start in starts]) for key in starts[0]})
    for number, start in enumerate(starts):
        alone = called(start)
        for term, values in together.items():
            if not np.allclose(values[number], alone[term], rtol=1e-9, atol=1e-9, equal_nan=True):
                raise ModelError(
                    f"model {model.name!r}: term {term!r} of a position differs when others are in the same call: the "
                    "function must treat each row of the first axis on its own, and use no random numbers"
                )
