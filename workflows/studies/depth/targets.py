"""The five targets of the depth benchmark with their reference moments: `depth_target("german_credit")`.

b2 is measured on the unconstrained coordinates, which are those of the sampler. (The literature transforms some of
them first: its scales are natural, ours logarithms. Figures compare within one run here, not across.)
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from kernels.target import Target
from kernels.types import Position
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model
from workflows.studies.depth import brownian, gaussian, german_credit, item_response, stochastic_volatility
from workflows.studies.depth.bias import Moments
from workflows.studies.depth.chunks import chunked

BUILDERS: Mapping[str, Callable[[], Model]] = {
    "icg": gaussian.build,
    "german_credit": german_credit.build,
    "brownian": brownian.build,
    "item_response": item_response.build,
    "stochastic_volatility": stochastic_volatility.build,
}
EXACT: Mapping[str, Callable[[], Moments]] = {"icg": gaussian.moments, "brownian": brownian.moments}
"""Targets whose moments need no sampling."""

REFERENCES = Path(__file__).resolve().parents[3] / "tests" / "references"
"""Where a checkout keeps the moments of the others."""

CACHED_TERMS = 160_000
"""Terms of all chains that are computed at once: their intermediate arrays fit the cache of a processor core."""


class Start(NamedTuple):
    """One position of a target, and its log density there: what recognises the density of a stored reference."""

    position: Position
    log_density: float


@dataclass(frozen=True)
class DepthTarget:
    """A density to be sampled, its data and its known moments.

    Flat vectors list the sites in alphabetical order, as jax.flatten_util does; so do the moments.
    """

    model: Model
    reference: Moments

    @property
    def name(self) -> str:
        """Name in BUILDERS."""
        return self.model.name

    @property
    def target(self) -> Target:
        """Sites, terms and starts."""
        return self.model.target

    @property
    def data(self) -> dict[str, Any]:
        """What the functions of the target take beside the position."""
        return self.model.data

    @property
    def dimension(self) -> int:
        """Number of coordinates, d."""
        return self.target.dimension

    def log_density(self) -> Callable[[jax.Array], jax.Array]:
        """A function of a flat position [d] that closes over the data, as samplers outside this project want it."""
        return flat_log_density(self.model)

    def starts(self, key: jax.Array, chains: int) -> Position:
        """Dispersed positions, sites [chains, ...]."""
        keys = jax.random.split(key, chains)
        return jax.vmap(self.target.initial, in_axes=(0, None))(keys, jax.tree.map(jnp.asarray, self.data))

    def flatten(self, position: Mapping[str, Any]) -> Any:
        """Sites [..., *shape] as one array [..., d]; NumPy in, NumPy out."""
        return flatten(self.target, position)


def build(name: str) -> Model:
    """The model of that name. Raises ModelError for a name that is none of BUILDERS."""
    if name not in BUILDERS:
        raise ModelError(f"no depth target is called {name!r}: choose one of {', '.join(BUILDERS)}")
    return BUILDERS[name]()


def depth_target(name: str, references: Path = REFERENCES) -> DepthTarget:
    """The target of that name with its moments: exact ones, or those stored in `references`.

    Raises ModelError for an unknown name, a missing reference, and one that belongs to another density.
    """
    model = build(name)
    return DepthTarget(model, EXACT[name]() if name in EXACT else _stored_moments(model, references))


def reference_file(name: str) -> str:
    """Name of the file that holds the moments of a target."""
    return f"depth_{name}.npz"


def flatten(target: Target, position: Mapping[str, Any]) -> Any:
    """Sites [..., *shape] in alphabetical order as one array [..., d]; NumPy in, NumPy out."""
    parts = []
    for name in sorted(target.sites):
        value, length = position[name], len(target.sites[name].shape)
        parts.append(value.reshape(*value.shape[: value.ndim - length], -1))
    numpy = isinstance(parts[0], np.ndarray)
    return np.concatenate(parts, axis=-1) if numpy else jnp.concatenate(parts, axis=-1)


def flat_log_density(model: Model) -> Callable[[jax.Array], jax.Array]:
    """log density of a flat position [d], the data closed over; under jax.vmap, some chains at a time."""
    target, data = model.target, jax.tree.map(jnp.asarray, model.data)
    example = {name: jnp.zeros(site.shape) for name, site in target.sites.items()}
    _, unflatten = ravel_pytree(example)
    terms = jax.eval_shape(target.log_terms, example, data)
    numbers = sum(term.size for term in terms.values())

    def log_density(flat: jax.Array) -> jax.Array:
        terms = target.log_terms(unflatten(flat), data)
        return sum((term.sum() for term in terms.values()), jnp.zeros(()))

    return chunked(log_density, max(1, CACHED_TERMS // numbers))


def probe(model: Model) -> Start:
    """A fixed position and the log density there."""
    position = model.target.initial(jax.random.key(0), jax.tree.map(jnp.asarray, model.data))
    return Start(position, float(flat_log_density(model)(flatten(model.target, position))))


def _stored_moments(model: Model, references: Path) -> Moments:
    """The moments in the reference file of this model."""
    path = references / reference_file(model.name)
    command = f"python -m workflows.studies.depth.references {model.name} --out {references}"
    if not path.exists():
        raise ModelError(f"target {model.name!r} has no reference at {path}: make it with `{command}`")
    with np.load(path, allow_pickle=False) as stored:
        recorded = json.loads(str(stored["provenance"]))["log_density_at_probe"]
        moments = Moments(*(stored[field] for field in Moments._fields))
    present = probe(model).log_density
    if abs(present - recorded) > 1e-9 * abs(recorded):
        raise ModelError(
            f"the reference at {path} is of another density: at the probe log density is {present!r} now and was "
            f"{recorded!r}. Make it again with `{command}`"
        )
    return moments
