"""Discrete latent sites, summed out by NumPyro's enumeration (funsor), and drawn afterwards given everything else.

Terms stay unsummed over the plates to which a discrete site is local: assignments z[i] in a plate of N give, with the
observations that hang on them, one term of shape [N]. What discrete sites tie together becomes one term; those that
NumPyro's `scan` ties together over time make the whole density one term.
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro import handlers
from numpyro.distributions import constraints

from kernels.structure.dependency import sources
from kernels.target import TermKind
from kernels.types import Data, Position
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro.inspection import Traced
from workflows.modelling.frontends.numpyro.terms import log_prob, log_term
from workflows.modelling.frontends.numpyro.tracing import (
    Message,
    ModelFunction,
    Values,
    by_stored_name,
    constrained,
    either,
    expanding,
    jacobian_of,
    kind_of,
    plate_name,
    prior_sites,
    sites_at,
    stored,
    unconstrained,
)

TIME = "_time"
"""How NumPyro's enumeration calls the axis of a scan."""


class Summed(NamedTuple):
    """A term without discrete sites. kind: prior or likelihood. plates: of its axes, by stored name; None where it is
    that of a site which no discrete one touches, of its batch shape."""

    kind: TermKind
    value: jax.Array
    plates: tuple[str, ...] | None = None


def require_funsor(label: str, traced: Traced) -> None:
    """Raise ModelError where discrete sites cannot be summed out: without funsor, or with axes outside plates."""
    names = ", ".join(repr(name) for name in traced.discrete)
    try:
        import funsor  # noqa: F401
    except ImportError:
        raise ModelError(
            f"model {label!r}: latent sites {names} are discrete; they are summed out with funsor, which is not "
            "installed: pip install 'maxwell[enumeration]', or marginalise them, for example with a mixture "
            "distribution or a logsumexp in numpyro.factor"
        ) from None
    if traced.unplated:
        raise ModelError(
            f"model {label!r} has discrete latent sites ({names}), and of {', '.join(map(repr, traced.unplated))} a "
            "batch axis is in no plate: put it in a numpyro.plate, or make it an event axis (to_event)"
        )


def depth_of(traced: Traced) -> int:
    """Number of batch axes that plates take, counted from the right."""
    return max((-dim for plates in traced.plates.values() for dim in plates), default=0)


def summed_terms(model: ModelFunction, values: Values, data: Mapping[str, Any], traced: Traced) -> dict[str, Summed]:
    """The terms of the density at these values of the continuous sites, by name.

    A term of discrete sites is called like the first observed site among its own, else like its first discrete one, and
    is likelihood in the first case. Jacobians of continuous sites in it are prior terms of their own.
    """
    sites = _enumerated(model, values, data, depth_of(traced))
    by_raw = {site["name"]: site for site in sites.values() if site["type"] == "sample"}
    if any(name.startswith(TIME) for site in by_raw.values() for name in site["infer"]["dim_to_name"].values()):
        return _one_term(model, values, data, traced, by_raw)
    discrete = {name for name, site in by_raw.items() if kind_of(site) == "discrete"}
    factors = {name: _factor(site) for name, site in by_raw.items()}
    terms: dict[str, Summed] = {}
    for name in (name for name, factor in factors.items() if not discrete & set(factor.inputs)):
        kind: TermKind = "likelihood" if kind_of(by_raw[name]) == "observed" else "prior"
        terms[stored(name)] = Summed(kind, log_term(stored(name), sites, traced.partly))
    for group in _groups({name: discrete & set(factor.inputs) for name, factor in factors.items()}):
        terms |= _group_terms(group, by_raw, factors, discrete)
    return terms


def _enumerated(model: ModelFunction, values: Values, data: Mapping[str, Any], depth: int) -> dict[str, Message]:
    """The sites of the model with an axis for the values of every discrete site."""
    from numpyro.contrib.funsor import config_enumerate, enum, plate_to_enum_plate, trace

    enumerating = enum(config_enumerate(expanding(model)), first_available_dim=-depth - 1)
    with handlers.block(), plate_to_enum_plate():
        return by_stored_name(trace(handlers.substitute(enumerating, substitute_fn=values)).get_trace(**data))


def _factor(site: Message) -> Any:
    """The log probability of a site as a function of its plates and discrete sites."""
    import funsor

    names, term = site["infer"]["dim_to_name"], log_prob(site)
    if not names:
        term = jnp.reshape(term, ())
    return funsor.to_funsor(term, output=funsor.Real, dim_to_name=names)


def _groups(touched: Mapping[str, set[str]]) -> list[list[str]]:
    """Sites that discrete ones tie together, each group in the order of the sites."""
    groups: list[tuple[set[str], list[str]]] = []
    for name, discrete in touched.items():
        if not discrete:
            continue
        tied = [group for group in groups if group[0] & discrete]
        rest = [group for group in groups if not group[0] & discrete]
        names = [member for group in tied for member in group[1]]
        groups = [*rest, (discrete.union(*(group[0] for group in tied)), [*names, name])]
    order = list(touched)
    return [sorted(names, key=order.index) for _, names in groups]


def _group_terms(
    group: list[str], sites: Mapping[str, Message], factors: Mapping[str, Any], discrete: set[str]
) -> dict[str, Summed]:
    """The terms of sites that discrete ones tie together."""
    from funsor import ops
    from funsor.sum_product import partial_sum_product

    frames = {funsor_name: frame for name in group for funsor_name, frame in _frames(sites[name]).items()}
    plates = [frozenset(frames) & frozenset(factors[name].inputs) for name in group]
    kept, every = frozenset.intersection(*plates), frozenset.union(*plates)
    variables = frozenset(discrete).intersection(frozenset().union(*(factors[name].inputs for name in group)))
    parts = partial_sum_product(
        ops.logaddexp,
        ops.add,
        [factors[name] for name in group],
        eliminate=variables | (every - kept),
        plates=every,
    )
    order = tuple(sorted(kept, key=lambda plate: frames[plate].dim))
    total = reduce(ops.add, parts)
    value = jnp.asarray(total.align(order).data if order else total.data)
    observed = [name for name in group if kind_of(sites[name]) == "observed"]
    first = observed[0] if observed else next(name for name in group if name in discrete)
    kind: TermKind = "likelihood" if observed else "prior"
    summed = Summed(kind, value, tuple(plate_name(frames[plate].name) for plate in order))
    return {stored(first): summed, **_jacobians(group, sites)}


def _frames(site: Message) -> dict[str, Any]:
    """The plates of a site by funsor's names, which know nothing of a scope around them."""
    names = site["infer"]["dim_to_name"]
    return {names[frame.dim]: frame for frame in site["cond_indep_stack"] if frame.dim in names}


def _one_term(
    model: ModelFunction, values: Values, data: Mapping[str, Any], traced: Traced, sites: Mapping[str, Message]
) -> dict[str, Summed]:
    """The whole density as one term, but for the Jacobians."""
    from numpyro.contrib.funsor import config_enumerate, enum
    from numpyro.contrib.funsor import log_density as summed_density

    enumerating = enum(config_enumerate(expanding(model)), first_available_dim=-depth_of(traced) - 1)
    with handlers.block():
        density, _ = summed_density(handlers.substitute(enumerating, substitute_fn=values), (), dict(data), {})
    likelihood = [name for name, kind in traced.terms.items() if kind == "likelihood"]
    name = (likelihood or list(traced.discrete))[0]
    kind: TermKind = "likelihood" if likelihood else "prior"
    return {name: Summed(kind, density, ()), **_jacobians(list(sites), sites)}


def _jacobians(names: list[str], sites: Mapping[str, Message]) -> dict[str, Summed]:
    """The Jacobians of sites that are not on the whole line, as prior terms."""
    found: dict[str, Summed] = {}
    for name in names:
        site = sites[name]
        if (jacobian := jacobian_of(site)) is not None and not _is_real(site["fn"].support):
            found[stored(name)] = Summed("prior", jacobian)
    return found


def _is_real(support: Any) -> bool:
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real or support is constraints.real_vector


def of_discrete(model: ModelFunction, static: Mapping[str, Any], arrays: Data, traced: Traced) -> frozenset[str]:
    """The recorded values that depend on a discrete site: no functions of the coordinates."""

    def values(position: Position, drawn: Position, data: Data) -> Position:
        given = either(constrained(drawn, traced.discrete), unconstrained(position, traced.unconstrained))
        sites = sites_at(model, given, data | static)
        return {name: jnp.asarray(sites[name]["value"]) for name in traced.recorded}

    def draw(data: Data) -> Position:
        sites = prior_sites(model, jax.random.key(0), data | static)
        return {name: layout.pack(sites[name]["value"]) for name, layout in traced.discrete.items()}

    position = {name: jnp.zeros(layout.shape) for name, layout in traced.unconstrained.items()}
    closed = jax.make_jaxpr(values)(position, jax.jit(draw)(arrays), arrays)
    first, last = len(position), len(position) + len(traced.discrete)
    marks = [frozenset({0}) if first <= i < last else frozenset[int]() for i in range(len(closed.jaxpr.invars))]
    found = sources(closed.jaxpr, marks)
    return frozenset(name for name, of in zip(sorted(traced.recorded), found, strict=True) if of)


def drawn_sites(
    model: ModelFunction, values: Values, data: Mapping[str, Any], traced: Traced, key: jax.Array
) -> dict[str, Message]:
    """The sites of the model with its discrete ones drawn given the observations and these continuous values."""
    from numpyro.contrib.funsor import config_enumerate, infer_discrete

    given = config_enumerate(handlers.substitute(expanding(model), substitute_fn=values))
    drawing = infer_discrete(given, first_available_dim=-depth_of(traced) - 1, temperature=1, rng_key=key)
    with handlers.block():
        return by_stored_name(handlers.trace(drawing).get_trace(**data))
