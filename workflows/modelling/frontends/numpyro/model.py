"""`numpyro_model`: a Model from a NumPyro model function and its data, with the names of its axes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from workflows.modelling.checks import Check
from workflows.modelling.frontends.data import traced_and_static
from workflows.modelling.frontends.labels import labels
from workflows.modelling.frontends.numpyro.density import rehearse, target_of
from workflows.modelling.frontends.numpyro.dims import all_dims
from workflows.modelling.frontends.numpyro.enumeration import of_discrete, require_funsor
from workflows.modelling.frontends.numpyro.generative import Impute, generative
from workflows.modelling.frontends.numpyro.inspection import inspect
from workflows.modelling.frontends.numpyro.recorded import recorded_layouts
from workflows.modelling.frontends.numpyro.refusals import explained
from workflows.modelling.frontends.numpyro.tracing import ModelFunction, plate_name, stored
from workflows.modelling.model import Model


def numpyro_model(
    model: ModelFunction,
    data: Mapping[str, Any] | None = None,
    *,
    coords: Mapping[str, Any] | None = None,
    dims: Mapping[str, tuple[str, ...]] | None = None,
    constant: Mapping[str, Any] | None = None,
    name: str | None = None,
    impute: Mapping[str, Impute] = MappingProxyType({}),
    checks: tuple[Check, ...] = (),
) -> Model:
    """A Model of a NumPyro model function called with `data` as keyword arguments.

    Arrays, floats and lists are traced arguments; integers, booleans and text are compiled in (plate sizes, switches).
    Plates become the leading axes of a site, in the order of the axes, and its dims; an axis of length 1 that belongs
    to no plate is dropped; a longer batch axis that belongs to no plate, such as the time of NumPyro's `scan`, is an
    event axis: its elements are one block. Names that results cannot have are changed: of sites, `a/x`, as
    `handlers.scope` makes them, to `a.x`, and `*` in the names of plates to a dot as well.

    coords: labels by dim, the plates' included (lists, arrays, pandas objects; dates become text). dims: names of the
    event axes of a variable (after its plates), or of all its axes. Plates of a deterministic value are named where its
    axes show them (see `recorded`); otherwise its axes are called `<name>_dim_<i>`, unless `dims` names all of them,
    which is taken as it is. constant: arrays for ArviZ's constant_data, with dims under the same names. impute: by
    name, functions (key, recorded values of one draw, data) of an array that was never observed, for ArviZ's group
    predictions, with dims under the same names. checks: statistics of its fit, beside those of any model.

    Discrete latent sites of finite support are summed out by NumPyro's enumeration: pip install 'maxwell[enumeration]'.
    They and what depends on them are drawn on export, into predictions (not in models with scan, which draws none).

    Raises ModelError for discrete latent sites that cannot be summed out, supports that have no bijection, empty and
    randomly subsampled plates, param, mutable and prng_key, and where a number (a size) was given as an array.
    """
    label = name or str(getattr(model, "__name__", "numpyro_model"))
    arrays, static = traced_and_static(dict(data or {}))
    traced, observed = inspect(label, model, arrays, static)
    given = {stored(key): tuple(plate_name(dim) for dim in value) for key, value in (dims or {}).items()}
    looked_at = [key for key, value in traced.values.items() if len(given.get(key, ())) != len(value.shape)]
    with explained(label):
        traced = traced.with_recorded(recorded_layouts(model, static, arrays, traced, looked_at))
        if traced.discrete:
            require_funsor(label, traced)
            traced = traced.with_drawn(of_discrete(model, static, arrays, traced))
        target = target_of(model, static, arrays, traced)
    layouts = {**traced.constrained, **traced.recorded, **traced.observed, **traced.drawn}
    made = Model(
        label,
        target,
        arrays,
        dims=all_dims(layouts, given, [*(constant or {}), *impute]),
        coords={plate_name(dim): found for dim, found in labels(coords).items()},
        observed=observed,
        constant={key: np.asarray(value) for key, value in (constant or {}).items()},
        supports=traced.supports,
        static=static,
        generative=generative(model, static, traced, dict(impute)),
        checks=checks,
    )
    with explained(label):
        rehearse(label, model, static, traced, made)
    return made
