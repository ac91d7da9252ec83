"""The Model of a Bambi model: that of the PyMC model inside, under the names that Bambi's `fit` returns."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.frontends.pymc import build
from workflows.modelling.frontends.pymc.labels import stored
from workflows.modelling.model import Generative, Model

OFFSET = "_offset"
"""How the name of a standardised group-specific effect ends."""
FACTOR = "__factor_dim"
"""How the name of a dim of groups ends: these come last in Bambi's arrays."""
MEANS = "means of the predictors of {}"
"""Names of the data by which intercepts are moved."""


class Intercept(NamedTuple):
    """An intercept of centred predictors. means: name of the data; coefficients: names of those of the predictors."""

    means: str
    coefficients: tuple[str, ...]

    def shift(self, values: Position, data: Data) -> jax.Array:
        """What the intercept of the predictors as they are has less: their means times their coefficients, [K]."""
        means = jnp.asarray(data[self.means])
        parts = [jnp.asarray(values[name], jnp.float64).ravel() for name in self.coefficients]
        stacked = jnp.concatenate(parts)
        return means @ stacked.reshape(means.shape[0], -1)


class Names:
    """How the variables of the PyMC model and those of Bambi's `fit` go over into each other.

    hidden: PyMC's variables that Bambi leaves out. offsets: standardised effect -> (effect, its scale). intercepts: by
    name. orders: by name, the axes in Bambi's order.
    """

    def __init__(self, spec: Any, dims: Mapping[str, tuple[str, ...]]) -> None:
        inside, backend = spec.backend.model, spec.backend
        deterministic = {variable.name for variable in inside.deterministics}
        parameters = {*spec.family.likelihood.params} & deterministic
        recorded = [variable.name for variable in inside.unobserved_RVs]
        effects = {name: name.removesuffix(OFFSET) for name in recorded if name.endswith(OFFSET)}
        known = {offset: effect for offset, effect in effects.items() if effect in deterministic}
        self.offsets = {offset: (effect, f"{effect}_sigma") for offset, effect in known.items()}
        self.hidden = parameters | set(self.offsets)
        self.means: dict[str, np.ndarray] = {}
        self.intercepts = dict(
            map(self._intercept, filter(_is_moved(spec), backend.distributional_components.values()))
        )
        self.orders = {
            name: _order(dims[name], list(map(stored, inside.coords))) for name in recorded if name not in self.hidden
        }

    def _intercept(self, component: Any) -> tuple[str, Intercept]:
        parts = component.component
        name = _name(parts.intercept_term)
        means = MEANS.format(name)
        self.means[means] = np.asarray(component.design_matrix_without_intercept, np.float64).mean(0)
        return name, Intercept(means, tuple(_name(term) for term in parts.common_terms.values()))

    def shown(self, values: Position, data: Data) -> Position:
        """Bambi's variables from PyMC's."""
        moved = dict(values)
        for name, intercept in self.intercepts.items():
            value = jnp.asarray(values[name])
            moved[name] = value - intercept.shift(values, data).reshape(value.shape)
        return {name: jnp.transpose(moved[name], order) for name, order in self.orders.items()}

    def hidden_from(self, values: Position, data: Data) -> Position:
        """PyMC's variables from Bambi's; those that nothing depends on are left out."""
        found = {n: jnp.transpose(values[n], np.argsort(order).tolist()) for n, order in self.orders.items()}
        for name, intercept in self.intercepts.items():
            found[name] = found[name] + intercept.shift(found, data).reshape(found[name].shape)
        return found | {offset: found[effect] / found[scale] for offset, (effect, scale) in self.offsets.items()}

    def dims(self, dims: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Those of Bambi's variables and of the data."""
        turned = {name: tuple(dims[name][axis] for axis in order) for name, order in self.orders.items()}
        return {name: found for name, found in dims.items() if name not in self.hidden} | turned


def built(given: Any, label: str | None) -> Model:
    """The Model of a Bambi model, as `entry.bambi_model` describes it."""
    if not given.built:
        given.build()
    model = build.built(given.backend.model, label or str(given.formula.main))
    names = Names(given, model.dims)
    target, inside = model.target, model.generative
    assert inside is not None

    def constrain(position: Position, data: Data) -> Position:
        return names.shown(target.constrain(position, data), data)

    return replace(
        model,
        target=replace(target, constrain=constrain),
        data=model.data | names.means,
        dims=names.dims(model.dims),
        generative=_generative(names, inside),
    )


def _generative(names: Names, inside: Generative) -> Generative:
    """The same of Bambi's values."""

    def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
        values, outcomes = inside.prior(key, data)
        return names.shown(values, data), outcomes

    return Generative(
        lambda values, data: inside.log_likelihood(names.hidden_from(values, data), data),
        lambda key, values, data: inside.predict(key, names.hidden_from(values, data), data),
        prior,
        lambda values, data: inside.unconstrain(names.hidden_from(values, data), data),
        inside.impute,
    )


def _is_moved(spec: Any) -> Any:
    """Whether the predictors of a component were centred."""

    def moved(component: Any) -> bool:
        parts = component.component
        return bool(parts.intercept_term and parts.common_terms and spec.center_predictors)

    return moved


def _name(term: Any) -> str:
    return str(term.alias or term.name)


def _order(dims: tuple[str, ...], model_dims: list[str]) -> tuple[int, ...]:
    """The axes in the order of the model's dims, those of groups last."""
    ranks = [(dim.endswith(FACTOR), model_dims.index(dim)) if dim in model_dims else (False, -1) for dim in dims]
    return tuple(sorted(range(len(dims)), key=lambda axis: ranks[axis]))
