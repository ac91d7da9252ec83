"""The Model of a PyMC model: density, recorded variables, starts, and what it can do with a draw."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.structure.discovery import StructureError
from kernels.target import Site, Target, TermKind
from kernels.types import Data, Position, Terms
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.pymc.generative import generative
from workflows.modelling.frontends.pymc.graphs import Graph
from workflows.modelling.frontends.pymc.labels import dims_of, labels, require_names
from workflows.modelling.frontends.pymc.layouts import Layout, Named, layouts
from workflows.modelling.frontends.pymc.source import Source, constant_values, observed_values
from workflows.modelling.frontends.pymc.starts import starts
from workflows.modelling.model import Model

TRIES = 32
"""Starts tried before a model is refused."""
Start = Callable[[jax.Array, Data], Position]


def built(given: Any, label: str) -> Model:
    """The Model of a PyMC model, as `entry.pymc_model` describes it."""
    source = Source(label, given)
    require_names(label, [variable.name for variable in (*given.unobserved_RVs, *given.observed_RVs)])
    density = source.compiled(source.inputs, source.density)
    recorded = source.constrained()
    natural = source.compiled(source.inputs, recorded)
    point = source.point()
    start, more = starts(source, point)
    free, terms, variables = source.free, list(source.density), list(recorded)
    abilities = generative(source)
    data = dict(source.arguments.arrays) | more
    flat = {name: Layout(name, point[name].shape, tuple(range(point[name].ndim))) for name in free}
    target = _target(density, natural, start, flat, terms, variables, _kinds(source))
    shapes = jax.eval_shape(target.log_terms, point, data)
    found = _layouts(label, source, target, data, point, {name: shapes[name].shape for name in free})
    target = _target(density, natural, start, found, terms, variables, _kinds(source))
    model = source.model
    observed, constant = observed_values(model), constant_values(model)
    values = jax.eval_shape(target.constrain, _packed(found, point), data) | observed | constant
    dims = dims_of(model, {name: len(value.shape) for name, value in values.items()})
    return Model(
        label,
        target,
        data,
        dims=dims,
        coords=labels(model),
        observed=observed,
        constant=constant,
        supports={rv.name: _support(model.rvs_to_transforms[rv]) for rv in model.free_RVs},
        generative=abilities(found),
    )


def _kinds(source: Source) -> dict[str, TermKind]:
    """Free variables are the prior; what was observed and potentials are likelihood, as in PyMC's `datalogp`."""
    kinds: dict[str, TermKind] = dict.fromkeys(source.free, "prior")
    return kinds | {name: "likelihood" for name in source.density if name not in kinds}


def _target(
    density: Graph,
    natural: Graph,
    start: Start,
    found: Mapping[str, Layout],
    terms: list[str],
    variables: list[str],
    kinds: Mapping[str, TermKind],
) -> Target:
    """The Target with its sites laid out."""

    def coordinates(position: Position) -> list[jax.Array]:
        return [layout.unpack(jnp.asarray(position[name])) for name, layout in found.items()]

    def log_terms(position: Position, data: Data) -> Terms:
        return dict(zip(terms, map(_float, density(coordinates(position), data)), strict=True))

    def constrain(position: Position, data: Data) -> Position:
        return dict(zip(variables, map(jnp.asarray, natural(coordinates(position), data)), strict=True))

    def initial(key: jax.Array, data: Data) -> Position:
        return _packed(found, start(key, data))

    sites: dict[str, Site] = {name: layout.site for name, layout in found.items()}
    return Target(sites, dict(kinds), log_terms, constrain, initial)


def _packed(found: Mapping[str, Layout], values: Mapping[str, Any]) -> Position:
    return {name: layout.pack(jnp.asarray(values[name], jnp.float64)) for name, layout in found.items()}


def _float(term: Any) -> jax.Array:
    return jnp.asarray(term, jnp.float64)


def _layouts(
    label: str,
    source: Source,
    target: Target,
    data: Mapping[str, Any],
    point: Mapping[str, np.ndarray],
    terms: Mapping[str, tuple[int, ...]],
) -> dict[str, Layout]:
    """Layouts found by probing around a start where every term is finite. terms: shapes of those of free variables."""
    variables = [_named(source.model, name, point[name].shape, terms[name]) for name in source.free]
    if not any(variable.candidates for variable in variables):
        return {variable.name: variable.layout(()) for variable in variables}
    try:
        return layouts(variables, target, data, _finite(label, target, data, point))
    except StructureError as error:
        raise ModelError(f"model {label!r}: {error}") from error


def _named(model: Any, name: str, shape: tuple[int, ...], term: tuple[int, ...]) -> Named:
    """A free variable with the names of its batch axes, which are those that its term has."""
    dims = model.named_vars_to_dims.get(name) or (None,) * len(shape)
    batch = tuple(shape[: len(term)]) == tuple(term)
    axes = [
        dim if batch and axis < len(term) and model.dim_lengths.get(dim) is not None else None
        for axis, dim in enumerate(dims[: len(shape)])
    ]
    return Named(name, tuple(shape), (*axes, *(None,) * (len(shape) - len(axes))))


def _finite(label: str, target: Target, data: Mapping[str, Any], point: Mapping[str, np.ndarray]) -> Position:
    """PyMC's initial point, or the first start that has a density. Raises ModelError where there is none."""

    @jax.jit
    def finite(position: Position, data: Data) -> dict[str, jax.Array]:
        return {name: jnp.isfinite(term).all() for name, term in target.log_terms(position, data).items()}

    start = jax.jit(target.initial)
    position: Position = {name: jnp.asarray(value) for name, value in point.items()}
    for number in range(TRIES):
        good = finite(position, data)
        if all(bool(value) for value in good.values()):
            return position
        position = start(jax.random.fold_in(jax.random.key(0), number), data)
    wrong = ", ".join(name for name, value in good.items() if not bool(value))
    raise ModelError(
        f"model {label!r}: the log density is NaN or infinite at PyMC's initial point and at {TRIES - 1} starts, in "
        f"these terms: {wrong}. model.debug() says more; give an initval inside the support"
    )


def _support(transform: Any) -> str:
    """The transform's name; real for none."""
    return "real" if transform is None else str(getattr(transform, "name", None) or type(transform).__name__)
