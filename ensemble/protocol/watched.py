"""In which coordinates every replica is looked at: those of small levels, numbered level by level and row by row.

A replica moves as a whole, and a block of a large level comes home on its own: of 20,000 blocks with heavy tails some
are far out in every replica, and nothing is wrong with it.
"""

import jax.numpy as jnp
import numpy as np

from ensemble.protocol.events import has_tails
from kernels.structure.levels import Level, Structure


def watched_levels(structure: Structure) -> tuple[Level, ...]:
    """The levels whose coordinates are looked at: those whose tails are."""
    return tuple(level for level in structure.levels if has_tails(level))


def there(level: Level) -> np.ndarray:
    """Which entries of a level's blocks [p, B] are coordinates."""
    return np.ones((level.width, level.n_blocks), bool) if level.mask is None else level.mask


def coordinate_name(structure: Structure, number: int) -> str:
    """The site of a watched coordinate, with its index there."""
    for level in watched_levels(structure):
        count = int(there(level).sum())
        if number < count:
            marks = np.zeros((level.width, level.n_blocks))
            marks[there(level)] = np.arange(count) == number
            by_site = level.scatter({}, jnp.asarray(marks))
            for site in level.sites:
                for index in np.argwhere(np.asarray(by_site[site]) > 0).tolist():
                    return f"{site}{index or ''}"
        number -= count
    raise IndexError(f"no watched coordinate has the number {number} beyond the last one")
