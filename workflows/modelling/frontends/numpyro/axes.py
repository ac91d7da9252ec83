"""How the axes of a NumPyro value map to those of a site: plates first, then event axes, without padding axes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp


@dataclass(frozen=True)
class Layout:
    """Axes of a site against those of NumPyro's value.

    full: NumPyro's shape, batch axes and event axes. order: axes of `full` in the order of the site, padding axes of
    length 1 (which belong to no plate) left out. shape: the site's shape. plates: names of its leading axes.
    """

    full: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    plates: tuple[str, ...]

    def pack(self, value: Any) -> Any:
        """NumPyro's value [full] -> the site's [shape]."""
        return jnp.transpose(jnp.broadcast_to(value, self.full), self._permutation()).reshape(self.shape)

    def unpack(self, value: Any) -> Any:
        """The site's value [shape] -> NumPyro's [full]."""
        permutation = self._permutation()
        ordered = jnp.reshape(value, tuple(self.full[axis] for axis in permutation))
        return jnp.transpose(ordered, tuple(permutation.index(axis) for axis in range(len(self.full))))

    def _permutation(self) -> tuple[int, ...]:
        """All axes of `full`: the padding axes, then those of the site in order."""
        return tuple(axis for axis in range(len(self.full)) if axis not in self.order) + self.order


def layout_of(batch: tuple[int, ...], event: tuple[int, ...], plates: Mapping[int, str]) -> Layout:
    """Layout of a value of batch and event shape, with plates at batch axes counted from the right (-1, -2, ...)."""
    named = {len(batch) + dim: plate for dim, plate in plates.items() if len(batch) + dim >= 0}
    plated = tuple(sorted(named))
    blocks = tuple(axis for axis in range(len(batch)) if axis not in named and batch[axis] != 1)
    full = tuple(batch) + tuple(event)
    order = plated + blocks + tuple(range(len(batch), len(full)))
    return Layout(full, order, tuple(full[axis] for axis in order), tuple(named[axis] for axis in plated))
