"""The sites of a NumPyro model, at a draw from its prior or at given values, under the names that stores have."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from numpyro import handlers
from numpyro import primitives as numpyro_primitives
from numpyro.distributions import (
    Delta,
    Distribution,
    ExpandedDistribution,
    ImproperUniform,
    Independent,
    MaskedDistribution,
    biject_to,
)
from numpyro.distributions.util import sum_rightmost

from kernels.types import Position
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro.axes import Layout

ModelFunction = Callable[..., Any]
Message = dict[str, Any]
Values = Callable[[Message], jax.Array | None]
"""Message of a statement -> its value, or None to leave it alone."""
STEP, IN_LOOP = "_scan_current_index", "_control_flow_done"
"""NumPyro's notes of the step that a scan is at, and of a message that comes out of scan or cond."""
Kind = Literal["latent", "discrete", "fixed", "observed", "recorded", "other"]


def stored(name: str) -> str:
    """The name of a site in results: slashes, which `handlers.scope` makes and no store can hold, become dots."""
    return name.replace("/", ".")


def plate_name(name: str) -> str:
    """The name of a plate in results: an asterisk, which joins plates in the names of levels, becomes a dot too."""
    return stored(name).replace("*", ".")


def plates_of(site: Message) -> dict[int, str]:
    """Batch axis, counted from the right as -1, -2, ... -> plate."""
    return {frame.dim: plate_name(frame.name) for frame in site["cond_indep_stack"]}


def innermost(distribution: Distribution) -> Distribution:
    """The distribution inside the wrappers that mask, expand and mark event axes."""
    while isinstance(distribution, (MaskedDistribution, ExpandedDistribution, Independent)):
        distribution = distribution.base_dist
    return distribution


def kind_of(site: Message) -> Kind:
    """What a statement is to the density.

    fixed: the value of a Delta, a function of other sites, whether NumPyro calls it latent or observed (as some
    reparametrisations do). discrete: a latent site to be summed out. recorded: deterministic.
    """
    if site["type"] == "deterministic":
        return "recorded"
    if site["type"] != "sample":
        return "other"
    if isinstance(innermost(site["fn"]), Delta):
        return "fixed"
    if site["is_observed"]:
        return "observed"
    return "discrete" if site["fn"].support.is_discrete else "latent"


def prior_sites(
    model: ModelFunction,
    key: jax.Array,
    data: Mapping[str, Any],
    watch: numpyro_primitives.Messenger | None = None,
) -> dict[str, Message]:
    """The sites of one draw from the prior, by stored name, hidden from any handler outside.

    watch: a handler that sees every statement first, to refuse it.
    """
    watched = expanding(model) if watch is None else _within(watch, expanding(model))
    # The seed must be the inner one: it hands the key to the statement, from which the improper draw takes it.
    seeded = handlers.substitute(handlers.seed(watched, key), substitute_fn=_unusual_draw)
    with handlers.block():
        return by_stored_name(handlers.trace(seeded).get_trace(**data))


def sites_at(model: ModelFunction, values: Values, data: Mapping[str, Any]) -> dict[str, Message]:
    """The sites of the model, by stored name, where `values` says their values."""
    given = handlers.substitute(expanding(model), substitute_fn=values)
    with handlers.block():
        return by_stored_name(handlers.trace(given).get_trace(**data))


def unconstrained(position: Position, layouts: Mapping[str, Layout]) -> Values:
    """Values of latent sites from their unconstrained coordinates; of fixed ones; and the first value of discrete ones.

    The log Jacobian [batch shape] travels with the message, as its argument: so it comes out of NumPyro's scan and cond
    with the site, and no handler of the model can mask or scale it. `jacobian_of` reads it.
    """

    def value(site: Message) -> jax.Array | None:
        if (layout := _layout(site, layouts)) is not None:
            transform = biject_to(site["fn"].support)
            raw = _at_time(site, layout.unpack(position[stored(site["name"])]))
            found = transform(raw)
            jacobian = transform.log_abs_det_jacobian(raw, found)
            site["args"] = (sum_rightmost(jacobian, jnp.ndim(jacobian) - jnp.ndim(found) + site["fn"].event_dim),)
            return found  # type: ignore[no-any-return]
        return _otherwise(site)

    return value


def constrained(values: Position, layouts: Mapping[str, Layout]) -> Values:
    """Values of sites from the constrained ones that stores have; all else as `unconstrained`."""

    def value(site: Message) -> jax.Array | None:
        if (layout := _layout(site, layouts)) is not None:
            return _at_time(site, layout.unpack(values[stored(site["name"])]))
        return _otherwise(site)

    return value


def either(first: Values, second: Values) -> Values:
    """The values of the first, and of the second where it has none."""

    def value(site: Message) -> jax.Array | None:
        return second(site) if (found := first(site)) is None else found

    return value


def jacobian_of(site: Message) -> jax.Array | None:
    """The log Jacobian that `unconstrained` gave a latent site, of its batch shape; None for other sites."""
    return site["args"][0] if site["type"] == "sample" and site["args"] else None


def _at_time(site: Message, value: jax.Array) -> jax.Array:
    """The part of a scanned site that belongs to the step at work; others as they are."""
    step = site["infer"].get(STEP)
    return value if step is None else value[step]


def _layout(site: Message, layouts: Mapping[str, Layout]) -> Layout | None:
    """Layout of the site of a message; None where it is none of these. As in NumPyro, coordinates have precedence over
    a value that handlers.substitute gave inside the model."""
    return layouts.get(stored(site["name"])) if site["type"] == "sample" and not site["is_observed"] else None


def _otherwise(site: Message) -> jax.Array | None:
    """The value of a latent Delta, and the first value of a discrete site that nobody has given one."""
    if site["type"] != "sample" or site["is_observed"] or site["value"] is not None:
        return None
    if (kind := kind_of(site)) == "fixed":
        return jnp.broadcast_to(innermost(site["fn"]).v, site["fn"].shape())
    if kind == "discrete":
        return jnp.broadcast_to(site["fn"].enumerate_support(expand=False)[0], site["fn"].shape())
    return None


def _unusual_draw(site: Message) -> jax.Array | None:
    """A value for a site that NumPyro cannot draw: without a proper prior, its transform of uniform(-2, 2) numbers."""
    if site["type"] != "sample" or site["is_observed"]:
        return None
    if not isinstance(innermost(site["fn"]), ImproperUniform):
        return None
    transform = biject_to(site["fn"].support)
    shape = transform.inverse_shape(site["fn"].shape())
    return transform(jax.random.uniform(site["kwargs"]["rng_key"], shape, jnp.float64, -2.0, 2.0))


def expanding(model: ModelFunction) -> ModelFunction:
    """The model with the sample_shape of every latent site made part of its batch shape, and its dictionaries kept."""
    return _within(_Expanding(), model)


class _Expanding(numpyro_primitives.Messenger):
    """Makes the sample_shape of a latent site part of its batch shape, as plates do, and keeps NumPyro's notes of a
    trace (`infer`) out of the model's own dictionary, which may serve several sites and the next trace."""

    def process_message(self, msg: Message) -> None:
        """Copy the notes and expand the distribution."""
        if msg["type"] == "sample":
            msg["infer"] = {key: value for key, value in msg["infer"].items() if key != STEP or msg.get(IN_LOOP)}
        shape = msg["kwargs"]["sample_shape"] if msg["type"] == "sample" and not msg["is_observed"] else ()
        if not shape:
            return
        if msg["value"] is not None:
            raise ModelError(
                f"latent site {msg['name']!r} has sample_shape = {shape} inside scan or cond: use a plate there, or "
                "expand the distribution"
            )
        msg["kwargs"]["sample_shape"] = ()
        msg["fn"] = msg["fn"].expand((*shape, *msg["fn"].batch_shape))


def _within(handler: numpyro_primitives.Messenger, model: ModelFunction) -> ModelFunction:
    """The model run inside a handler."""

    def run(*args: Any, **data: Any) -> Any:
        with handler:
            return model(*args, **data)

    return run


def by_stored_name(sites: Mapping[str, Message]) -> dict[str, Message]:
    """The same sites by the names that results have. Raises ModelError where two of them share one."""
    found: dict[str, Message] = {}
    for name, site in sites.items():
        if site["type"] in ("plate", "param", "mutable"):
            continue
        if stored(name) in found:
            raise ModelError(f"sites {found[stored(name)]['name']!r} and {name!r} are both stored as {stored(name)!r}")
        found[stored(name)] = site
    return found
