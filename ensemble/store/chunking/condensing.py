"""When draws are put into larger files: a store has few, however long its run."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ensemble.store.chunking.grid import GROWTH, Grid

MOST_FILES = 300
"""Files of draws in a store, but for one of very many variables."""
LEAST_EACH = GROWTH
"""Files that every array may have, so that stores of very many variables do not condense at every turn."""


class Growing(NamedTuple):
    """An array as far as it matters here.

    grid: its grid.
    chains, draws: committed.
    itemsize: bytes of a number.
    """

    grid: Grid
    chains: int
    draws: int
    itemsize: int

    @property
    def columns(self) -> int:
        """Files along draws."""
        return -(-self.draws // self.grid.file[1])

    @property
    def files(self) -> int:
        """All files."""
        return self.columns * (self.chains // self.grid.file[0])

    @property
    def bytes(self) -> int:
        """Of a full file."""
        return int(np.prod(self.grid.file)) * self.itemsize


def crowded(arrays: Mapping[str, Growing]) -> dict[str, int]:
    """Arrays to be put into larger files, and how many times GROWTH; none while there are few files.

    Those with the smallest files go first, until half of what is allowed is free again, so that files of all arrays
    become about as large. Files double in number between two turns: all copies in the life of arrays that grow together
    write less than twice their draws, and one that grows no more is copied once for each GROWTH-fold of its files.
    """
    most = max(MOST_FILES, LEAST_EACH * len(arrays))
    now, times = dict(arrays), dict.fromkeys(arrays, 0)
    if sum(array.files for array in now.values()) <= most:
        return {}
    while sum(array.files for array in now.values()) > most // 2:
        several = [name for name, array in now.items() if array.columns > 1 and array.grid.sharded]
        if not several:
            break
        name = min(several, key=lambda name: (now[name].bytes, name))
        file = now[name].grid.file
        larger = now[name].grid._replace(file=(file[0], GROWTH * file[1], *file[2:]))
        now[name] = now[name]._replace(grid=larger)
        times[name] += 1
    return {name: count for name, count in times.items() if count}
