"""Ensembles of draws with one replica of all alone in a far mode of little mass."""

import numpy as np

from workflows.studies.posteriors.hard.hard import Draws, Hard
from workflows.studies.posteriors.hard.modes import Normals, mixture


def stray(name: str, weight: float, distance: float, dimension: int) -> Hard:
    """Two normals of sd 1, the minor one at that distance along the first coordinate."""
    normals = Normals(dimension, (1 - weight, weight), ((0,), (distance,)), (1, 1))

    def planted(rng: np.random.Generator, chains: int) -> Draws:
        return {"x": normals.draw(rng, (np.arange(chains) == chains - 1).astype(int))}

    note = f"one replica in a mode of mass {weight:g}, {distance:g} sds off, {dimension} dimensions"
    return mixture(name, note, normals)._replace(planted=planted)


STRAYS = (
    stray("stray_nothing", 1e-6, 12, 2),
    stray("stray_little", 1e-4, 8, 5),
    stray("stray_percent", 1e-2, 10, 10),
    stray("stray_many", 1e-3, 15, 100),
)
