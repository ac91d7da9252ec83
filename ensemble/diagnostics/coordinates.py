"""Diagnostics of single coordinates: in one row, of the worst of them, and by site as a checkpoint keeps them."""

from collections.abc import Collection
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ensemble.diagnostics.convergence import Diagnostics
from ensemble.protocol.flat import under
from ensemble.protocol.plans import Arrays
from kernels.structure.levels import Level, Structure

KINDS = ("ess", "rhat", "furthest")
"""The fields of Diagnostics that every coordinate has."""

WORST = 10
"""How many of the slowest coordinates a summary names."""


class Coordinates(NamedTuple):
    """Diagnostics of coordinates in flat arrays.

    ess, rhat, furthest: as in convergence.Diagnostics.
    shared: whether it is of one of the shared sites.
    """

    ess: np.ndarray
    rhat: np.ndarray
    furthest: np.ndarray
    shared: np.ndarray


def every_coordinate(
    structure: Structure, diagnostics: Diagnostics, shared: Collection[str], auxiliary: Collection[str] = ()
) -> Coordinates:
    """Of every coordinate that is not of an auxiliary site, level by level and block by block."""
    parts = [_coordinates(level, diagnostics, shared, auxiliary) for level in _levels(structure, diagnostics)]
    return Coordinates(*(np.concatenate(kind) for kind in zip(*parts, strict=True)))


def _coordinates(
    level: Level, diagnostics: Diagnostics, shared: Collection[str], auxiliary: Collection[str]
) -> Coordinates:
    there = np.ones((level.width, level.n_blocks), bool) if level.mask is None else level.mask
    if auxiliary:
        there = there & ~_of_sites(level, auxiliary)
    ess, rhat, furthest = (getattr(diagnostics, kind)[level.name][there] for kind in KINDS)
    return Coordinates(ess, rhat, furthest, _of_sites(level, shared)[there])


def _of_sites(level: Level, sites: Collection[str]) -> np.ndarray:
    """Which of a level's coordinates [p, B] belong to one of the sites."""
    marks = {name: jnp.full(shape, name in sites) for name, shape in level.layout.shapes.items()}
    return np.asarray(level.gather(marks)).astype(bool)


def _levels(structure: Structure, diagnostics: Diagnostics) -> list[Level]:
    """The levels that the diagnostics know."""
    return [level for level in structure.levels if level.name in diagnostics.ess]


def worst(structure: Structure, diagnostics: Diagnostics, auxiliary: Collection[str] = ()) -> list[dict[str, Any]]:
    """The coordinates with the smallest ess_online, but for auxiliary ones: site, index in the site, ess, rhat."""
    rows: list[dict[str, Any]] = []
    for level in _levels(structure, diagnostics):
        kinds = (jnp.asarray(values[level.name]) for values in (diagnostics.ess, diagnostics.rhat))
        ess, rhat = (level.scatter({}, values) for values in kinds)
        for site in (site for site in level.sites if site not in auxiliary):
            flat, between = np.ravel(np.asarray(ess[site])), np.ravel(np.asarray(rhat[site]))
            for place in np.argsort(flat)[:WORST]:
                index = [int(i) for i in np.unravel_index(place, np.shape(ess[site]))]
                rows.append({"site": site, "index": index, "ess": float(flat[place]), "rhat": float(between[place])})
    return sorted(rows, key=lambda row: row["ess"])[:WORST]


def pack_by_site(diagnostics: Diagnostics | None, structure: Structure) -> Arrays:
    """ess/<site>, rhat/<site> and furthest/<site>, each in the site's own shape, for readers too, and rounds; nothing
    for None."""
    if diagnostics is None:
        return {}
    arrays = {"rounds": np.asarray(diagnostics.rounds)}
    for kind in KINDS:
        values = getattr(diagnostics, kind)
        for level in _levels(structure, diagnostics):
            sites = level.scatter({}, jnp.asarray(values[level.name]))
            arrays.update({f"{kind}/{site}": np.asarray(array) for site, array in sites.items()})
    return arrays


def unpack_by_site(arrays: Arrays, structure: Structure) -> Diagnostics | None:
    """The diagnostics that `pack_by_site` gave."""
    if not arrays:
        return None
    sites = ({name: jnp.asarray(array) for name, array in under(kind, arrays).items()} for kind in KINDS)
    levels = [level for level in structure.levels if f"ess/{level.sites[0]}" in arrays]
    kinds = ({level.name: np.asarray(level.gather(of)) for level in levels} for of in sites)
    return Diagnostics(int(arrays["rounds"]), *kinds)
