"""Levels of a single block: what moves that take one decision for many coordinates (NUTS, the whole vector) need."""

from dataclasses import replace

import numpy as np

from kernels.structure.layout import layout
from kernels.structure.levels import Level, Structure
from kernels.structure.segments import Segments, segments
from kernels.target import Target

ALL_SITES = "whole"
"""The name of the level of all sites, in settings and stores."""


def level_of_all_sites(target: Target, structure: Structure) -> Level:
    """All sites in one block: a level whose moves are those of the whole vector."""
    everything = {term: np.zeros(cells.n, np.int32) for term, cells in structure.cells.items()}
    return _one_block(target, ALL_SITES, tuple(target.sites), everything, leaf=True)


def all_sites(target: Target, structure: Structure) -> Structure:
    """The structure with one level of one block: each term is one cell, for nothing tells its elements apart."""
    cells: dict[str, Segments] = {
        term: segments(np.zeros(kept.shape, np.int32), 1) for term, kept in structure.cells.items()
    }
    bare = Structure((), cells, structure.depends, structure.joined)
    return replace(bare, levels=(level_of_all_sites(target, bare),))


def joined(target: Target, structure: Structure, name: str) -> Structure:
    """The structure with all blocks of the level `name` in one."""
    level = structure.level(name)
    owners = {term: np.where(owned.owner < 0, -1, 0).astype(np.int32) for term, owned in level.owners.items()}
    block = _one_block(target, name, level.sites, owners, level.leaf)
    return replace(structure, levels=tuple(block if old is level else old for old in structure.levels))


def _one_block(target: Target, name: str, sites: tuple[str, ...], owners: dict[str, np.ndarray], leaf: bool) -> Level:
    shapes = {site: target.sites[site].shape for site in sites}
    arranged = layout(shapes, {site: np.zeros(shape, np.int64) for site, shape in shapes.items()})
    return Level(
        name=name,
        sites=sites,
        n_blocks=1,
        width=int(arranged.sizes[0]),
        sizes=arranged.sizes,
        terms=tuple(owners),
        owners={term: segments(owner, 1) for term, owner in owners.items()},
        leaf=leaf,
        mask=None,
        layout=arranged,
    )
