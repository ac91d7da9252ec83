"""What one trace at a prior draw tells of a model's sites, without computing the draw."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to

from kernels.target import TermKind
from kernels.types import Data
from workflows.modelling.frontends.numpyro.axes import Layout, layout_of
from workflows.modelling.frontends.numpyro.refusals import Watch, explained
from workflows.modelling.frontends.numpyro.tracing import (
    IN_LOOP,
    Message,
    ModelFunction,
    kind_of,
    plate_name,
    plates_of,
    prior_sites,
)
from workflows.modelling.model import Static

Plates = dict[int, str]
"""Batch axis, counted from the right as -1, -2, ... -> plate."""
UNOBSERVED, OBSERVED = "_unobserved", "_observed"
"""How NumPyro names the two sites that it makes of one with `obs_mask`."""


class Value(NamedTuple):
    """A deterministic value, whose event axes NumPyro does not know.

    shape: batch and event axes. plates: those around it. sizes: of these plates, by name.
    """

    shape: tuple[int, ...]
    plates: Plates
    sizes: dict[str, int]


@dataclass(frozen=True)
class Traced:
    """The sites of a model, by stored name; layouts are those of `axes`.

    unconstrained, constrained: of the latent sites. discrete: of those that are summed out. recorded: of deterministic
    sites and fixed ones. observed: of the observed values. terms: kind of every term, as the sites have them. supports:
    names of the latent sites' constraints. partly: latent site -> observed one, of the pairs that obs_mask makes.
    values: the deterministic sites. plates: of every term, at its batch axes. unplated: sites with a batch axis that is
    in no plate, those of scan apart. loops: whether scan or cond made any. drawn: of discrete sites and what depends on
    them, which is no function of the latent ones.
    """

    unconstrained: dict[str, Layout]
    constrained: dict[str, Layout]
    discrete: dict[str, Layout]
    recorded: dict[str, Layout]
    observed: dict[str, Layout]
    terms: dict[str, TermKind]
    supports: dict[str, str]
    partly: dict[str, str]
    values: dict[str, Value]
    plates: dict[str, Plates]
    unplated: tuple[str, ...]
    loops: bool

    drawn: dict[str, Layout] = field(default_factory=dict)

    def with_recorded(self, recorded: Mapping[str, Layout]) -> "Traced":
        """The same with other layouts of some recorded values."""
        return replace(self, recorded={**self.recorded, **recorded})

    def with_drawn(self, names: Collection[str]) -> "Traced":
        """The same where these recorded values depend on discrete sites, so that they are drawn with them."""
        drawn = {name: self.recorded[name] for name in names}
        kept = {name: layout for name, layout in self.recorded.items() if name not in names}
        return replace(self, recorded=kept, drawn={**self.discrete, **drawn})


def inspect(
    label: str, model: ModelFunction, arrays: dict[str, Any], static: dict[str, Static]
) -> tuple[Traced, dict[str, np.ndarray]]:
    """What the model holds, and the observed values. Raises ModelError for statements that a density cannot have."""
    found: list[Traced] = []

    def observations(data: Data) -> dict[str, jax.Array]:
        sites = prior_sites(model, jax.random.key(0), data | static, Watch(label))
        # Described here, because bounds of supports are values of the trace, which do not outlive it.
        found.append(_describe(sites))
        return {name: layout.pack(sites[name]["value"]) for name, layout in found[-1].observed.items()}

    with explained(label):
        values = jax.jit(observations)(arrays)
    return found[-1], {name: np.asarray(value) for name, value in values.items()}


def _describe(sites: Mapping[str, Message]) -> Traced:
    """Layouts, kinds of terms and supports of the sites of a trace."""
    kinds = {name: kind_of(site) for name, site in sites.items()}
    latent = {name: sites[name] for name, kind in kinds.items() if kind == "latent"}
    seen = {name: sites[name] for name, kind in kinds.items() if kind == "observed"}
    fixed = {name: sites[name] for name, kind in kinds.items() if kind == "fixed"}
    values = {name: site for name, site in seen.items() if not site["infer"].get("is_auxiliary", False)}
    deterministic = {name: sites[name] for name, kind in kinds.items() if kind == "recorded"}
    terms: dict[str, TermKind] = {
        name: "likelihood" if kind == "observed" else "prior"
        for name, kind in kinds.items()
        if kind not in ("recorded", "other")
    }
    return Traced(
        unconstrained={name: _unconstrained_layout(site) for name, site in latent.items()},
        constrained={name: _layout(site) for name, site in latent.items()},
        discrete={name: _layout(sites[name]) for name, kind in kinds.items() if kind == "discrete"},
        recorded={name: _layout(site) for name, site in fixed.items()}
        | {name: layout_of((), jnp.shape(site["value"]), {}) for name, site in deterministic.items()},
        observed={name: _observed_layout(site) for name, site in values.items()},
        terms=terms,
        supports={name: _support_name(site["fn"].support) for name, site in latent.items()},
        partly=_partly_observed(latent, seen),
        values={name: _value(site) for name, site in deterministic.items()},
        plates={name: plates_of(sites[name]) for name in terms},
        unplated=tuple(name for name in terms if _has_unplated_axis(sites[name])),
        loops=any(site.get(IN_LOOP, False) for site in sites.values()),
    )


def _has_unplated_axis(site: Message) -> bool:
    """Whether a batch axis of a site outside scan and cond belongs to no plate."""
    shape = jnp.shape(site["value"])
    plates = plates_of(site)
    batch = jnp.broadcast_shapes(site["fn"].batch_shape, shape[: len(shape) - site["fn"].event_dim])
    bare = any(length != 1 and axis - len(batch) not in plates for axis, length in enumerate(batch))
    return bare and not site.get(IN_LOOP, False)


def _value(site: Message) -> Value:
    sizes = {plate_name(frame.name): frame.size for frame in site["cond_indep_stack"]}
    return Value(jnp.shape(site["value"]), plates_of(site), sizes)


def _partly_observed(latent: Mapping[str, Message], seen: Mapping[str, Message]) -> dict[str, str]:
    """Latent site -> observed one, of the pairs that obs_mask makes."""
    pairs = {name: name.removesuffix(UNOBSERVED) + OBSERVED for name in latent if name.endswith(UNOBSERVED)}
    return {name: other for name, other in pairs.items() if other in seen}


def _support_name(support: Any) -> str:
    """Name of the constraint, without the wrapper that marks event axes."""
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return type(support).__name__.lstrip("_")


def _layout(site: Message) -> Layout:
    """Layout of the values of a site that is not observed."""
    return layout_of(site["fn"].batch_shape, site["fn"].event_shape, plates_of(site))


def _unconstrained_layout(site: Message) -> Layout:
    """Layout of a latent site's unconstrained coordinates."""
    batch = site["fn"].batch_shape
    shape = biject_to(site["fn"].support).inverse_shape(site["fn"].shape())
    return layout_of(batch, shape[len(batch) :], plates_of(site))


def _observed_layout(site: Message) -> Layout:
    """Layout of observed values."""
    shape = jnp.shape(site["value"])
    batch = len(shape) - len(site["fn"].event_shape)
    return layout_of(shape[:batch], shape[batch:], plates_of(site))
