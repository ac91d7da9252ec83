"""The Target of a traced model: terms of its density, recorded values, and starts from the prior."""

from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import biject_to

from kernels.target import Site, Target, TermKind
from kernels.types import Data, Position, Terms
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro.enumeration import Summed, summed_terms
from workflows.modelling.frontends.numpyro.inspection import Traced
from workflows.modelling.frontends.numpyro.terms import log_term
from workflows.modelling.frontends.numpyro.tracing import Message, ModelFunction, prior_sites, sites_at, unconstrained
from workflows.modelling.model import Model, Static


def target_of(model: ModelFunction, static: dict[str, Static], arrays: dict[str, Any], traced: Traced) -> Target:
    """The Target of a model that has been inspected. arrays: its data, for the shapes."""

    def summed(position: Position, data: Data) -> dict[str, Summed]:
        return summed_terms(model, unconstrained(position, traced.unconstrained), data | static, traced)

    def log_terms(position: Position, data: Data) -> Terms:
        if traced.discrete:
            return {name: term.value for name, term in summed(position, data).items()}
        sites = sites_at(model, unconstrained(position, traced.unconstrained), data | static)
        return {name: log_term(name, sites, traced.partly) for name in traced.terms}

    def constrain(position: Position, data: Data) -> Position:
        sites = sites_at(model, unconstrained(position, traced.unconstrained), data | static)
        layouts = traced.constrained | traced.recorded
        return {name: layout.pack(sites[name]["value"]) for name, layout in layouts.items()}

    def initial(key: jax.Array, data: Data) -> Position:
        model_key, fallback_key = jax.random.split(key)
        sites = prior_sites(model, model_key, data | static)
        keys = jax.random.split(fallback_key, len(traced.unconstrained) + 1)
        return {
            name: layout.pack(_unconstrain(sites[name], sites[name]["value"], keys[i]))
            for i, (name, layout) in enumerate(traced.unconstrained.items())
        }

    def kinds() -> dict[str, TermKind]:
        """The kinds of the terms that are left when discrete sites are summed out."""
        found: dict[str, TermKind] = {}

        def look(position: Position, data: Data) -> None:
            found.update({name: term.kind for name, term in summed(position, data).items()})

        jax.eval_shape(look, jax.eval_shape(initial, jax.random.key(0), arrays), arrays)
        return found

    sites = {name: Site(name, layout.shape, layout.plates) for name, layout in traced.unconstrained.items()}
    return Target(sites, kinds() if traced.discrete else traced.terms, log_terms, constrain, initial)


def rehearse(label: str, model: ModelFunction, static: dict[str, Static], traced: Traced, made: Model) -> None:
    """Trace the target once, without computing it. Raises ModelError where the model has other sites than before."""

    def run(position: Position, data: Data) -> Any:
        sites = sites_at(model, unconstrained(position, traced.unconstrained), data | static)
        if missing := sorted(traced.terms.keys() - sites.keys()):
            raise ModelError(
                f"model {label!r} does not have its sites {missing} whenever it is called: leave off jax.jit and other "
                "caches, and let no site depend on what was called before"
            )
        return made.target.log_terms(position, data), made.target.constrain(position, data)

    jax.make_jaxpr(run)({name: jnp.zeros(site.shape) for name, site in made.target.sites.items()}, made.data)


def _unconstrain(site: Message, value: jax.Array, key: jax.Array) -> jax.Array:
    """Unconstrained coordinates of a draw; one that rounding put on the edge of its support is drawn afresh there."""
    raw = jnp.asarray(biject_to(site["fn"].support).inv(value), jnp.float64)
    return jnp.where(jnp.isfinite(raw), raw, jax.random.uniform(key, raw.shape, jnp.float64, -2.0, 2.0))
