"""Diagnostics of single coordinates: in one row, of the worst of them, and by site as a checkpoint keeps them."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ensemble.diagnostics.convergence import Diagnostics
from ensemble.protocol.flat import under
from ensemble.protocol.plans import Arrays
from kernels.structure.levels import Level, Structure

KINDS = ("ess", "rhat", "furthest", "drift", "superchain")
"""The fields of Diagnostics that every coordinate has."""

OF_SOME = ("tail_ess", "tail_rhat", "positive")
"""Those that the coordinates of some levels have."""

WORST = 10
"""How many of the slowest coordinates a summary names."""


class Coordinates(NamedTuple):
    """Diagnostics of coordinates in flat arrays.

    ess, rhat, furthest, drift: as in convergence.Diagnostics.
    tail_ess, tail_rhat: likewise; NaN where tails are not looked at.
    shared: whether it is of one of the shared sites.
    """

    ess: np.ndarray
    rhat: np.ndarray
    furthest: np.ndarray
    drift: np.ndarray
    tail_ess: np.ndarray
    tail_rhat: np.ndarray
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
    unknown = np.full(there.shape, np.nan)
    kinds = (getattr(diagnostics, kind).get(level.name, unknown)[there] for kind in Coordinates._fields[:-1])
    return Coordinates._make((*kinds, _of_sites(level, shared)[there]))


def _of_sites(level: Level, sites: Collection[str]) -> np.ndarray:
    """Which of a level's coordinates [p, B] belong to one of the sites."""
    marks = {name: jnp.full(shape, name in sites) for name, shape in level.layout.shapes.items()}
    return np.asarray(level.gather(marks)).astype(bool)


def _levels(structure: Structure, diagnostics: Diagnostics) -> list[Level]:
    """The levels that the diagnostics know."""
    return [level for level in structure.levels if level.name in diagnostics.ess]


def worst(
    structure: Structure, diagnostics: Diagnostics, auxiliary: Collection[str] = (), *, by: str = "ess"
) -> list[dict[str, Any]]:
    """The coordinates with the smallest ess_online, but for auxiliary ones: site, index in the site, ess, rhat, and the
    superchain furthest from the others. by: "rhat" for those with the largest nested R-hat."""
    rows: list[dict[str, Any]] = []
    for level in _levels(structure, diagnostics):
        kinds = {kind: level.scatter({}, jnp.asarray(getattr(diagnostics, kind)[level.name])) for kind in KINDS}
        for site in (site for site in level.sites if site not in auxiliary):
            of_site = {kind: np.asarray(arrays[site]) for kind, arrays in kinds.items()}
            order = np.argsort(_badness(of_site, by), axis=None)[::-1]
            for place in order[:WORST]:
                where = np.unravel_index(place, of_site["ess"].shape)
                row: dict[str, Any] = {"site": site, "index": [int(i) for i in where]}
                row |= {kind: float(of_site[kind][where]) for kind in ("ess", "rhat")}
                rows.append(row | {"superchain": int(of_site["superchain"][where])})
    return sorted(rows, key=lambda row: -_badness(row, by))[:WORST]


def _badness(kinds: Mapping[str, Any], by: str) -> Any:
    """What is largest for the worst coordinate; NaN is the worst of all."""
    value = np.asarray(kinds["rhat"] if by == "rhat" else -np.asarray(kinds["ess"]), float)
    return np.where(np.isnan(value), np.inf, value)


def pack_by_site(diagnostics: Diagnostics | None, structure: Structure) -> Arrays:
    """<kind>/<site> of each kind, each in the site's own shape, for readers too; rounds, states. Nothing for None."""
    if diagnostics is None:
        return {}
    arrays = {"rounds": np.asarray(diagnostics.rounds), "states": np.asarray(diagnostics.states)}
    for kind in (*KINDS, *OF_SOME):
        values = getattr(diagnostics, kind)
        for level in (level for level in structure.levels if level.name in values):
            sites = level.scatter({}, jnp.asarray(values[level.name]))
            arrays.update({f"{kind}/{site}": np.asarray(array) for site, array in sites.items()})
    return arrays


def unpack_by_site(arrays: Arrays, structure: Structure) -> Diagnostics | None:
    """The diagnostics that `pack_by_site` gave."""
    if not arrays:
        return None
    kinds: dict[str, Any] = {}
    for kind in (*KINDS, *OF_SOME):
        sites = {name: jnp.asarray(array) for name, array in under(kind, arrays).items()}
        levels = [level for level in structure.levels if level.sites[0] in sites]
        kinds[kind] = {level.name: np.asarray(level.gather(sites)) for level in levels}
    return Diagnostics(int(arrays["rounds"]), int(arrays["states"]), **kinds)
