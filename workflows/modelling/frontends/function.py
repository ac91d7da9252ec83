"""The plain-JAX front end: a log density, or named unsummed terms, as functions of named unconstrained sites."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.target import Site, Target, TermKind
from kernels.types import Data, Position, Terms
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.data import traced_and_static
from workflows.modelling.frontends.labels import labels
from workflows.modelling.model import Model

Shape = tuple[int, ...]
SiteSpec = int | Shape | tuple[Shape, tuple[str, ...]]

DENSITY_TERM = "log_density"
"""Name of the only term of a model given as a log density."""


def function_model(
    log_terms: Callable[[Position, Data], Terms | jax.Array],
    sites: Mapping[str, SiteSpec],
    data: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    constrain: Callable[[Position, Data], Position] | None = None,
    initial: Callable[[jax.Array, Data], Position] | None = None,
    likelihood: Iterable[str] = (),
    dims: Mapping[str, tuple[str, ...]] | None = None,
    coords: Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | None = None,
    constant: Mapping[str, Any] | None = None,
) -> Model:
    """A Model of `log_terms(position, data)`: {term: unsummed array}, or one array, the log density.

    sites: name -> shape, or (shape, plates) with the plates naming the leading axes; a bare int is a vector. constrain:
    what is recorded, the sites themselves when absent. initial(key, data): one start; uniform on (-2, 2) when absent.
    likelihood: names of the terms that are likelihood; the single term of a log density is one. data: arrays are traced
    arguments. dims, coords, observed, constant: as in Model; dims default to the plates and `<site>_dim_<i>`.
    Raises ModelError for shapes that do not fit the plates, wrong starts, and likelihood names that are no terms.
    """
    label = name or str(getattr(log_terms, "__name__", "function"))
    arrays, static = traced_and_static(dict(data or {}))
    declared = {key: _site(key, spec) for key, spec in sites.items()}
    start = initial or _uniform_start(declared)
    recorded = constrain or _identity
    terms, variables = _probe(label, declared, log_terms, recorded, start, arrays | static)
    kinds = _term_kinds(label, terms, likelihood)

    def terms_of(position: Position, data: Data) -> Terms:
        return as_terms(log_terms(position, data | static))

    target = Target(
        sites=declared,
        term_kinds=kinds,
        log_terms=terms_of,
        constrain=lambda position, data: recorded(position, data | static),
        initial=lambda key, data: start(key, data | static),
    )
    named = {key: _dims(key, len(value.shape), declared.get(key)) for key, value in variables.items()}
    return Model(
        label,
        target,
        arrays,
        dims=named | {key: tuple(value) for key, value in (dims or {}).items()},
        coords=labels(coords),
        observed={key: np.asarray(value) for key, value in (observed or {}).items()},
        constant={key: np.asarray(value) for key, value in (constant or {}).items()},
        static=static,
    )


def _site(name: str, spec: SiteSpec) -> Site:
    """A Site from a shape, an int, or a pair of shape and plates."""
    if isinstance(spec, int):
        return Site(name, (spec,))
    if len(spec) == 2 and isinstance(spec[0], tuple):
        shape, plates = tuple(spec[0]), tuple(str(plate) for plate in spec[1])  # type: ignore[arg-type]
    else:
        shape, plates = tuple(spec), ()
    if len(plates) > len(shape):
        raise ModelError(f"site {name!r} has shape {shape} and plates {plates}: a plate names one leading axis each")
    return Site(name, tuple(int(length) for length in shape), plates)  # type: ignore[arg-type]


def _identity(position: Position, data: Data) -> Position:
    """The sites as they are."""
    return dict(position)


def _uniform_start(sites: Mapping[str, Site]) -> Callable[[jax.Array, Data], Position]:
    """Starts uniform on (-2, 2) in every coordinate."""

    def initial(key: jax.Array, data: Data) -> Position:
        keys = jax.random.split(key, len(sites))
        uniform = [
            jax.random.uniform(k, s.shape, jnp.float64, -2.0, 2.0) for k, s in zip(keys, sites.values(), strict=True)
        ]
        return dict(zip(sites, uniform, strict=True))

    return initial


def _probe(
    label: str,
    sites: Mapping[str, Site],
    log_terms: Callable[[Position, Data], Terms | jax.Array],
    constrain: Callable[[Position, Data], Position],
    initial: Callable[[jax.Array, Data], Position],
    data: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Shapes of the terms and of the recorded variables; nothing is computed."""
    position = jax.eval_shape(lambda key: initial(key, data), jax.random.key(0))
    found = {name: tuple(value.shape) for name, value in position.items()}
    expected = {name: site.shape for name, site in sites.items()}
    if found != expected:
        raise ModelError(f"model {label!r}: `initial` gives sites {found}, but the sites are declared as {expected}")
    terms = jax.eval_shape(lambda p: _arrays_only(label, as_terms(log_terms(p, data))), position)
    return terms, dict(jax.eval_shape(lambda p: constrain(p, data), position))


def as_terms(found: Any) -> dict[str, Any]:
    """What a user's function gave: terms by name, or the only one."""
    return dict(found) if isinstance(found, Mapping) else {DENSITY_TERM: found}


def what_type(value: Any) -> str:
    """The type of a value in words, for messages: of its numbers, where it is an array."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return type(value).__name__
    return {"O": "object", "U": "text", "S": "bytes"}.get(np.dtype(dtype).kind, str(dtype))


def _arrays_only(label: str, terms: dict[str, Any]) -> dict[str, Any]:
    """The terms. Raises ModelError for what is no array of real numbers."""
    for name, value in terms.items():
        number = isinstance(value, bool | int | float | np.ndarray | np.generic | jax.Array)
        if not number or np.result_type(value).kind not in "biuf":
            raise ModelError(
                f"model {label!r}: term {name!r} is of type {what_type(value)}: a log density is a real number, an "
                "array of JAX"
            )
    return terms


def _term_kinds(label: str, terms: Mapping[str, Any], likelihood: Iterable[str]) -> dict[str, TermKind]:
    """Prior or likelihood for each term."""
    chosen = set(likelihood) or ({DENSITY_TERM} & terms.keys())
    if unknown := sorted(chosen - terms.keys()):
        raise ModelError(f"model {label!r}: likelihood names {unknown}, but its terms are {sorted(terms)}")
    return {name: "likelihood" if name in chosen else "prior" for name in terms}


def _dims(name: str, ndim: int, site: Site | None) -> tuple[str, ...]:
    """Plates, then `<name>_dim_<i>`."""
    plates = site.plates[:ndim] if site else ()
    return plates + tuple(f"{name}_dim_{i}" for i in range(ndim - len(plates)))
