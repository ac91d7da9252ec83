"""The NumPyro front end: a Model from a NumPyro model function and its data.

The model is traced with its latent values substituted: each latent site adds its log probability and the log Jacobian
of the transform from the unconstrained coordinates, unsummed, as one prior term; observed sites and factors are
likelihood terms. Transforms are made in the order of the trace, so that a support may depend on earlier sites.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro import primitives as numpyro_primitives
from numpyro.distributions import (
    Distribution,
    ExpandedDistribution,
    ImproperUniform,
    Independent,
    MaskedDistribution,
    biject_to,
)
from numpyro.distributions.util import sum_rightmost

from kernels.target import Site, Target, TermKind
from kernels.types import Data, Position, Terms
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.axes import Layout, layout_of, value_layout
from workflows.modelling.frontends.data import traced_and_static
from workflows.modelling.frontends.generative import Impute, generative
from workflows.modelling.model import Model, Static

ModelFunction = Callable[..., Any]
Message = dict[str, Any]

REFUSED_TYPES = {
    "param": "numpyro.param is an optimised value: give it a prior with numpyro.sample, or pass it as data",
    "mutable": "numpyro.mutable keeps state between calls: compute the value from the latent sites",
    "control_flow": "numpyro's scan and cond hide their sites: write the loop with jax.lax.scan over values sampled "
    "outside it, and add its log density with numpyro.factor",
    "prng_key": "numpyro.prng_key makes the density random: draw the numbers beforehand and pass them as data",
}


@dataclass(frozen=True)
class Traced:
    """What one trace at a prior draw tells of a model's sites; layouts are those of
    `workflows.modelling.frontends.axes`.

    unconstrained, constrained: of the latent sites. recorded: of the deterministic sites. observed: of the observed
    values. terms: kind of every term. supports: names of the latent sites' constraints.
    """

    unconstrained: dict[str, Layout]
    constrained: dict[str, Layout]
    recorded: dict[str, Layout]
    observed: dict[str, Layout]
    terms: dict[str, TermKind]
    supports: dict[str, str]


def numpyro_model(
    model: ModelFunction,
    data: Mapping[str, Any] | None = None,
    *,
    coords: Mapping[str, Any] | None = None,
    dims: Mapping[str, tuple[str, ...]] | None = None,
    constant: Mapping[str, Any] | None = None,
    name: str | None = None,
    impute: Mapping[str, Impute] = MappingProxyType({}),
) -> Model:
    """A Model of a NumPyro model function called with `data` as keyword arguments.

    Arrays, floats and lists are traced arguments; integers, booleans and text are compiled in (plate sizes, switches).
    Plates become the leading axes of a site, in the order of the axes, and its dims; an axis of length 1 that belongs
    to no plate is dropped; a longer batch axis that belongs to no plate is an event axis: its elements are one block.
    coords: labels by dim, the plates' included. dims: names of the event axes of a variable (after its plates), or of
    all its axes. constant: arrays for ArviZ's constant_data, with dims under the same names. impute: by name, functions
    (key, recorded values of one draw, data) of an array that was never observed, for ArviZ's group predictions, with
    dims under the same names.

    Raises ModelError for discrete latent sites, empty and subsampled plates, param, mutable, scan and cond, and where
    the model needs a number (a size) that was given as an array.
    """
    label = name or str(getattr(model, "__name__", "numpyro_model"))
    arrays, static = traced_and_static(dict(data or {}))
    traced, observed = _inspect(label, model, arrays, static)
    layouts = traced.constrained | traced.recorded | traced.observed
    return Model(
        label,
        _target(model, static, traced),
        arrays,
        dims=_all_dims(layouts, dims or {}, [*(constant or {}), *impute]),
        coords={key: np.asarray(value) for key, value in (coords or {}).items()},
        observed=observed,
        constant={key: np.asarray(value) for key, value in (constant or {}).items()},
        supports=traced.supports,
        static=static,
        generative=generative(
            model,
            static,
            traced.constrained,
            traced.unconstrained,
            traced.recorded,
            traced.observed,
            lambda key, data: _prior_trace(model, key, data),
            dict(impute),
        ),
    )


def from_user(function: ModelFunction, keys: dict[str, Any], spec: str) -> Model:
    """The Model that a user's function returns, or of the function itself where it is a NumPyro model.

    The function is called with a handler that stops at the first NumPyro statement made outside any trace of its own.
    """
    try:
        with _Detector():
            result = function(**keys)
    except _IsNumpyroModelError:
        return numpyro_model(function, keys, name=spec)
    if not isinstance(result, Model):
        raise ModelError(
            f"{spec} returned {type(result).__name__}: return a Model (`return numpyro_model(model, data)` or "
            "`return function_model(log_terms, sites, data)`), or name a NumPyro model function"
        )
    return result


class _IsNumpyroModelError(Exception):
    """The function made a NumPyro statement itself."""


class _Detector(numpyro_primitives.Messenger):
    """Raises at the first statement that no trace or seed inside this handler is waiting for."""

    def process_message(self, msg: Message) -> None:
        """Stop unless an inner handler runs a model of its own."""
        stack = numpyro_primitives._PYRO_STACK
        inner = stack[stack.index(self) + 1 :]
        if not any(isinstance(handler, (handlers.trace, handlers.seed)) for handler in inner):
            raise _IsNumpyroModelError


def _draw_improper(site: Message) -> jax.Array | None:
    """A value for a site without a proper prior: its transform of uniform(-2, 2) numbers; None leaves others alone."""
    if not _latent(site) or not isinstance(_innermost(site["fn"]), ImproperUniform):
        return None
    transform = biject_to(site["fn"].support)
    shape = transform.inverse_shape(site["fn"].shape())
    return transform(jax.random.uniform(site["kwargs"]["rng_key"], shape, jnp.float64, -2.0, 2.0))


def _innermost(distribution: Distribution) -> Distribution:
    """The distribution inside the wrappers that mask, expand and mark event axes."""
    while isinstance(distribution, (MaskedDistribution, ExpandedDistribution, Independent)):
        distribution = distribution.base_dist
    return distribution


def _prior_trace(model: ModelFunction, key: jax.Array, data: Mapping[str, Any]) -> dict[str, Message]:
    """The sites of one draw from the prior, hidden from any handler outside."""
    # The seed must be the inner one: it hands the key to the statement, from which the improper draw takes it.
    seeded = handlers.substitute(handlers.seed(model, key), substitute_fn=_draw_improper)
    with handlers.block():
        return handlers.trace(seeded).get_trace(**data)  # type: ignore[no-any-return]


def _latent(site: Message) -> bool:
    """Whether a message is a latent sample statement."""
    return site["type"] == "sample" and not site["is_observed"]


def _inspect(
    label: str, model: ModelFunction, arrays: dict[str, Any], static: dict[str, Static]
) -> tuple[Traced, dict[str, np.ndarray]]:
    """Trace the model once at a prior draw, without computing the draw: what it holds, and the observed values."""
    found: list[Traced] = []

    def observations(data: Data) -> dict[str, jax.Array]:
        sites = _prior_trace(model, jax.random.key(0), data | static)
        for site in sites.values():
            _refuse(label, site)
        # Described here, because bounds of supports are values of the trace, which do not outlive it.
        found.append(_describe(sites))
        return {name: layout.pack(sites[name]["value"]) for name, layout in found[-1].observed.items()}

    with _explained(label):
        values = jax.jit(observations)(arrays)
    return found[-1], {name: np.asarray(value) for name, value in values.items()}


def _describe(sites: Mapping[str, Message]) -> Traced:
    """Layouts, kinds of terms and supports of the sites of a trace."""
    latent = {name: site for name, site in sites.items() if _latent(site)}
    seen = {name: site for name, site in sites.items() if site["type"] == "sample" and site["is_observed"]}
    values = {name: site for name, site in seen.items() if not site["infer"].get("is_auxiliary", False)}
    named = {name: site for name, site in sites.items() if site["type"] == "deterministic"}
    kinds: dict[str, TermKind] = dict.fromkeys(latent, "prior")
    return Traced(
        unconstrained={name: _unconstrained_layout(site) for name, site in latent.items()},
        constrained={
            name: layout_of(s["fn"].batch_shape, s["fn"].event_shape, _plates(s)) for name, s in latent.items()
        },
        recorded={name: value_layout(jnp.shape(site["value"]), _plates(site)) for name, site in named.items()},
        observed={name: _observed_layout(site) for name, site in values.items()},
        terms=kinds | dict.fromkeys(seen, "likelihood"),
        supports={name: _support_name(site["fn"].support) for name, site in latent.items()},
    )


def _support_name(support: Any) -> str:
    """Name of the constraint, without the wrapper that marks event axes."""
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return type(support).__name__.lstrip("_")


@contextmanager
def _explained(label: str) -> Iterator[None]:
    """Turn complaints of NumPyro and JAX about what a model does while it is traced into a ModelError."""
    try:
        yield
    except AssertionError as error:
        # NumPyro refuses an empty plate by an assertion.
        if "size of plate" not in str(error):
            raise
        raise ModelError(
            f"model {label!r} has a plate of no elements: check the sizes of its plates, or leave it out. "
            f"NumPyro says: {error}"
        ) from error
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise ModelError(
            f"model {label!r} needs the value of an array while it is traced (a plate's size or a branch, say): pass "
            f"sizes and switches as Python integers, booleans or text, which are compiled in. JAX says: {error}"
        ) from error


def _refuse(label: str, site: Message) -> None:
    """Raise ModelError for statements that have no place here."""
    name, kind = site["name"], site["type"]
    if kind in REFUSED_TYPES:
        raise ModelError(f"model {label!r}, site {name!r}: {REFUSED_TYPES[kind]}")
    if kind == "plate" and len(site["value"]) != site["args"][0]:
        raise ModelError(
            f"model {label!r}: plate {name!r} takes {len(site['value'])} of {site['args'][0]} at random, which makes "
            "the density random: drop subsample_size, or pass the subset as data"
        )
    if _latent(site) and site["fn"].support.is_discrete:
        raise ModelError(
            f"model {label!r}: latent site {name!r} is discrete ({type(site['fn']).__name__}): marginalise it, for "
            "example with a mixture distribution or a logsumexp in numpyro.factor"
        )


def _plates(site: Message) -> dict[int, str]:
    """Batch axis, counted from the right as -1, -2, ... -> plate."""
    return {frame.dim: frame.name for frame in site["cond_indep_stack"]}


def _unconstrained_layout(site: Message) -> Layout:
    """Layout of a latent site's unconstrained coordinates."""
    batch = site["fn"].batch_shape
    shape = biject_to(site["fn"].support).inverse_shape(site["fn"].shape())
    return layout_of(batch, shape[len(batch) :], _plates(site))


def _observed_layout(site: Message) -> Layout:
    """Layout of observed values."""
    shape = jnp.shape(site["value"])
    batch = len(shape) - len(site["fn"].event_shape)
    return layout_of(shape[:batch], shape[batch:], _plates(site))


def _all_dims(
    layouts: Mapping[str, Layout], given: Mapping[str, tuple[str, ...]], others: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Dims of every array: the plates, then the names given or `<name>_dim_<i>`; of others, the names given."""
    dims = {}
    for name, layout in layouts.items():
        names = tuple(given.get(name, ()))
        events = len(layout.shape) - len(layout.plates)
        if names and len(names) not in (events, len(layout.shape)):
            raise ModelError(
                f"dims of {name!r} are {names}, but it has {len(layout.plates)} plates {layout.plates} and {events} "
                "other axes: name the other axes, or all of them"
            )
        whole = names and len(names) == len(layout.shape) and len(names) != events
        rest = names or tuple(f"{name}_dim_{i}" for i in range(events))
        dims[name] = names if whole else (*layout.plates, *rest)
    unknown = sorted(set(given) - set(layouts) - set(others))
    if unknown:
        raise ModelError(f"dims are given for {unknown}, which are no variables; those are {sorted(layouts)}")
    return dims | {name: tuple(given[name]) for name in others if name in given}


class _Substitution(handlers.substitute):
    """Gives latent sites the transforms of unconstrained coordinates, and keeps the log Jacobians in `jacobians`."""

    def __init__(self, model: ModelFunction, position: Position, layouts: Mapping[str, Layout]) -> None:
        self.position, self.layouts = position, layouts
        self.jacobians: dict[str, jax.Array] = {}
        super().__init__(model, substitute_fn=self.value)

    def value(self, site: Message) -> jax.Array | None:
        """The constrained value of a latent site, of its full batch and event shape."""
        if site["type"] != "sample" or site["name"] not in self.layouts:
            return None
        transform = biject_to(site["fn"].support)
        raw = self.layouts[site["name"]].unpack(self.position[site["name"]])
        value = transform(raw)
        jacobian = transform.log_abs_det_jacobian(raw, value)
        self.jacobians[site["name"]] = sum_rightmost(jacobian, jnp.ndim(jacobian) - len(site["fn"].batch_shape))
        return value


def _substituted(
    model: ModelFunction, position: Position, data: Mapping[str, Any], traced: Traced
) -> tuple[dict[str, Message], dict[str, jax.Array]]:
    """The sites of the model at an unconstrained position, and the log Jacobian of each latent site."""
    substitution = _Substitution(model, position, traced.unconstrained)
    with handlers.block():
        sites = handlers.trace(substitution).get_trace(**data)
    return sites, substitution.jacobians


def _log_term(site: Message, jacobian: jax.Array | None) -> jax.Array:
    """Log probability of one site with its Jacobian, masked and scaled, of the batch shape."""
    term = site["fn"].log_prob(site["value"])
    if jacobian is not None:
        masked = isinstance(site["fn"], MaskedDistribution)
        term = term + (jnp.where(site["fn"]._mask, jacobian, 0.0) if masked else jacobian)
    return term if site["scale"] is None else site["scale"] * term


def _target(model: ModelFunction, static: dict[str, Static], traced: Traced) -> Target:
    """The Target of a model that has been looked at."""

    def log_terms(position: Position, data: Data) -> Terms:
        sites, jacobians = _substituted(model, position, data | static, traced)
        return {name: _log_term(sites[name], jacobians.get(name)) for name in traced.terms}

    def constrain(position: Position, data: Data) -> Position:
        sites, _ = _substituted(model, position, data | static, traced)
        layouts = traced.constrained | traced.recorded
        return {name: layout.pack(sites[name]["value"]) for name, layout in layouts.items()}

    def initial(key: jax.Array, data: Data) -> Position:
        model_key, fallback_key = jax.random.split(key)
        sites = _prior_trace(model, model_key, data | static)
        keys = jax.random.split(fallback_key, len(traced.unconstrained) + 1)
        return {
            name: layout.pack(_unconstrain(sites[name], sites[name]["value"], keys[i]))
            for i, (name, layout) in enumerate(traced.unconstrained.items())
        }

    sites = {name: Site(name, layout.shape, layout.plates) for name, layout in traced.unconstrained.items()}
    return Target(sites, traced.terms, log_terms, constrain, initial)


def _unconstrain(site: Message, value: jax.Array, key: jax.Array) -> jax.Array:
    """Unconstrained coordinates of a draw; one that rounding put on the edge of its support is drawn afresh there."""
    raw = jnp.asarray(biject_to(site["fn"].support).inv(value), jnp.float64)
    return jnp.where(jnp.isfinite(raw), raw, jax.random.uniform(key, raw.shape, jnp.float64, -2.0, 2.0))
