"""What is sampled: a model, its structure with a kernel for each level, its interweaving moves; found once a run."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.shard.calling_model import calling_model
from ensemble.shard.starts.kinds import uniform_start
from kernels.structure.discovery import StructureError, discover
from kernels.structure.interweaving_discovery import find_interweavings
from kernels.structure.joining import ALL_SITES
from kernels.structure.levels import Structure
from kernels.types import Position, Start
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model
from workflows.modelling.registry import build
from workflows.sampling.level_kernels import JOINT, WIDEST_JOINT, with_kernels
from workflows.sampling.starts import require_gradient
from workflows.settings.loading import Settings, SettingsError

STARTS = 32
"""Starts tried before a model is refused."""
PROBE = 0
"""Seed of the structure's probes: the structure belongs to the model, not to the run's seed."""


class Problem(NamedTuple):
    """What is sampled.

    model: the target with its data and the names that results have.
    spec: what a sweep over it is composed of: structure, the kernel of each level, interweaving moves.
    """

    model: Model
    spec: SweepSpec

    @property
    def shared(self) -> tuple[str, ...]:
        """The sites without plates."""
        return tuple(name for name, site in self.model.target.sites.items() if not site.plates)


def named_problem(settings: Settings) -> Problem:
    """`find_problem` for the model that the settings name."""
    return find_problem(build(settings.model.name, settings.model.keys), settings)


def find_problem(model: Model, settings: Settings) -> Problem:
    """Probe the model for its structure, and choose kernels and interweaving moves as the settings say.

    Raises ModelError for a density without a finite start or a structure to work with, PrecisionError where 64-bit
    numbers were turned off, SettingsError and KernelError for settings that the model cannot follow.
    """
    with calling_model(model.name):
        return _found(model, settings)


def _found(model: Model, settings: Settings) -> Problem:
    require_gradient(settings.start.kind, model)
    _require_likelihood(settings, model)
    key = jax.random.key(PROBE)
    position = _finite_start(model, key, settings.start.radius)
    found = _discover(model, position, key, settings.structure.couplings)
    needs_blocks = len(settings.tempering.ladder()) > 1 and settings.tempering.swaps == "blocks"
    spec = with_kernels(
        model.target,
        found,
        settings.kernels,
        settings.ensemble.replicas,
        needs_blocks=needs_blocks,
        hidden=settings.surrogate.hidden,
    )
    if settings.equilibrate.interweaving:
        spec = spec._replace(interweavings=find_interweavings(model.target, found, model.data, position, key))
    return Problem(model, spec)


def without_structure(settings: Settings, given: Model | None) -> Settings | None:
    """The settings with which the model is sampled as one block, for when the structure that was found does not hold;
    None where the kernels were chosen by the user, or one block would be too wide, or has no gradient to follow."""
    target = (build(settings.model.name, settings.model.keys) if given is None else given).target
    fits = target.has_gradient and not target.auxiliary and target.dimension <= WIDEST_JOINT
    if settings.kernels.levels or settings.start.store is not None or not fits:
        return None
    return in_one_block(settings)


def in_one_block(settings: Settings) -> Settings:
    """The settings with all parameters in one block, moved by the gradient."""
    kernels = settings.kernels.model_copy(update={"levels": {ALL_SITES: JOINT}})
    return settings.model_copy(update={"kernels": kernels})


def _require_likelihood(settings: Settings, model: Model) -> None:
    """Raise SettingsError where the likelihood alone is to be tempered and the model does not tell it apart."""
    if settings.tempering.tempers == "likelihood" and "likelihood" not in model.target.term_kinds.values():
        raise SettingsError(
            "the settings",
            [
                f"tempering.tempers: given likelihood, but no term of model {model.name!r} is one: use density, or say "
                "which of the model's terms are (function_model has likelihood=...)"
            ],
        )


def _finite_start(model: Model, key: jax.Array, radius: float) -> Position:
    """A start where every term is finite, for the probes to be taken around: of the prior, or in a box about 0."""

    box = uniform_start(model.target, radius)

    def attempt(start: Start, key: jax.Array, data: Any) -> tuple[Position, dict[str, jax.Array]]:
        position = start(key, data)
        terms = model.target.log_terms(position, data)
        return position, {name: jnp.all(jnp.isfinite(values)) for name, values in terms.items()}

    drawn, in_box = jax.jit(partial(attempt, model.target.initial)), jax.jit(partial(attempt, box))
    for number in range(2 * STARTS):
        compiled = drawn if number < STARTS else in_box
        position, finite = compiled(jax.random.fold_in(key, number), model.data)
        if all(bool(good) for good in finite.values()):
            return position
    wrong = ", ".join(name for name, good in finite.items() if not bool(good))
    raise ModelError(
        f"model {model.name!r}: the log density is NaN or infinite at {STARTS} draws of the prior and as many "
        f"points of a box about 0; at the last one in these terms: {wrong}. Check them and the supports of their "
        "sites, or give starts inside the support."
    )


def _discover(model: Model, position: Position, key: jax.Array, couplings: Any) -> Structure:
    """The model's structure. Raises ModelError where it has none to work with."""
    try:
        return discover(model.target, model.data, position, key=key, couplings=couplings)
    except StructureError as error:
        raise ModelError(f"model {model.name!r}: {error}") from error
