"""Finds the factor structure of a target: levels of blocks, and the one block of each level that a cell touches."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kernels.structure.layout import layout
from kernels.structure.levels import Level, Structure
from kernels.structure.owners import Couplings, Owned, Search, find_owners
from kernels.structure.probing import GLOBAL, Plan, Prober, StructureError
from kernels.structure.segments import Segments, segments
from kernels.target import Site, Target
from kernels.types import Data, Position

__all__ = ["StructureError", "discover"]


def discover(
    target: Target,
    data: Data,
    position: Position,
    *,
    key: jax.Array,
    bits: int = 40,
    couplings: Couplings = "join",
) -> Structure:
    """Find the structure of a target by tracing and by group tests around `position`.

    Levels follow the plates of the sites; a block is one plate index, on the global level one site. Blocks that an
    element of a term ties together are joined: on the global level by rule (mu and sd of one prior), on a plated level
    with a sentence in `joined`, or refused with couplings="refuse". What tests at finitely many points show is not
    proved: a coupling that no probe meets (inside a where) must be caught by recomputing terms while running.

    Raises StructureError: a site that is empty, of another shape than the position or on plates of differing sizes;
    a density that is not finite around the position; a coupling that is refused.
    """
    if couplings not in ("join", "refuse"):
        raise ValueError(f"couplings is {couplings!r}; allowed are 'join' and 'refuse'")
    _check(target, position)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    prober = Prober(target, data, position)
    depends = prober.depends()
    search = Search(prober, depends, rng, bits, couplings)
    found = [find_owners(search, plan) for plan in plans(target)]
    found.sort(key=lambda owned: (owned.name != GLOBAL, owned.blocks))
    return assemble(target, found, depends, {name: values.shape for name, values in search.point(0).terms.items()})


def plans(target: Target) -> list[Plan]:
    """The levels before joins, in order of appearance: a block is a plate index, on the global level a site."""
    groups: dict[frozenset[str], list[Site]] = {}
    for site in target.sites.values():
        groups.setdefault(frozenset(site.plates), []).append(site)
    return [_plated(sites) if plates else _global(sites) for plates, sites in groups.items()]


def _global(sites: list[Site]) -> Plan:
    return Plan(GLOBAL, len(sites), {site.name: np.full(site.shape, index) for index, site in enumerate(sites)})


def _plated(sites: list[Site]) -> Plan:
    """Blocks numbered along the plates in the order of the first site; a site may have them in another order."""
    plates = sites[0].plates
    lengths = sites[0].shape[: len(plates)]
    numbers = np.arange(int(np.prod(lengths))).reshape(lengths)
    block_of = {}
    for site in sites:
        own = numbers.transpose([plates.index(plate) for plate in site.plates])
        if own.shape != site.shape[: own.ndim]:
            raise StructureError(
                f"site {site.name!r} of shape {site.shape} on plates {site.plates} does not fit site {sites[0].name!r} "
                f"of shape {sites[0].shape} on plates {plates}: a plate has one size, and plates are the leading axes"
            )
        events = site.shape[own.ndim :]
        block_of[site.name] = np.broadcast_to(own.reshape(own.shape + (1,) * len(events)), site.shape)
    return Plan("*".join(plates), numbers.size, block_of)


def assemble(
    target: Target, found: list[Owned], depends: Mapping[str, frozenset[str]], shapes: Mapping[str, tuple[int, ...]]
) -> Structure:
    """The structure from the owners of the elements in each level, coarse to fine; `shapes` are those of the terms."""
    cells, owners = {}, {}
    for term, shape in shapes.items():
        numbers = [owned.owners.get(term, np.full(shape, -1, np.int32)).ravel() for owned in found]
        cells[term], owners[term] = _cells(numbers, [owned.blocks for owned in found], shape)
    levels = tuple(_level(target, found, index, owners) for index in range(len(found)))
    return Structure(levels, cells, depends, tuple(sentence for owned in found for sentence in owned.joined))


def _cells(numbers: list[np.ndarray], blocks: list[int], shape: tuple[int, ...]) -> tuple[Segments, list[np.ndarray]]:
    """Elements with equal owners in all levels make a cell: elements -> cells, and each level's owners of the cells.

    Cells are in order of the finest level's owners first, those without one last, so that a finest level that owns one
    cell a block owns them in order.
    """
    order = np.zeros(int(np.prod(shape)), np.int64)
    for owner, count in zip(reversed(numbers), reversed(blocks), strict=True):
        _, order = np.unique(order * (count + 1) + np.where(owner < 0, count, owner), return_inverse=True)
    _, first, cell = np.unique(order, return_index=True, return_inverse=True)
    return segments(cell.reshape(shape), first.size), [owner[first] for owner in numbers]


def _level(target: Target, found: list[Owned], index: int, owners: Mapping[str, list[np.ndarray]]) -> Level:
    """One level; owners: term -> for each level the owners of the term's cells."""
    owned = found[index]
    sites = tuple(owned.block_of)
    arranged = layout({site: target.sites[site].shape for site in sites}, owned.block_of)
    width = int(arranged.sizes.max())
    ragged = bool((arranged.sizes < width).any())
    shared = [[owners[term][index], other] for term in owned.owners for other in _others(owners[term], index)]
    return Level(
        name=owned.name,
        sites=sites,
        n_blocks=owned.blocks,
        width=width,
        sizes=arranged.sizes,
        terms=tuple(owned.owners),
        owners={term: segments(owners[term][index], owned.blocks) for term in owned.owners},
        leaf=not any(_contains(coarse, fine) for coarse, fine in shared),
        mask=np.arange(width)[:, None] < arranged.sizes if ragged else None,
        layout=arranged,
    )


def _others(owners: list[np.ndarray], index: int) -> list[np.ndarray]:
    return [owner for number, owner in enumerate(owners) if number != index]


def _contains(coarse: np.ndarray, fine: np.ndarray) -> bool:
    """Whether, in the cells of a term, the blocks `fine` lie inside the blocks `coarse`, several in one of them."""
    both = (coarse >= 0) & (fine >= 0)
    pairs = np.unique(np.stack([coarse[both], fine[both]]), axis=1)
    nested = np.unique(pairs[1]).size == pairs.shape[1]
    return nested and np.unique(pairs[0]).size < pairs.shape[1]


def _check(target: Target, position: Position) -> None:
    """Refuse sites that cannot be arranged in blocks."""
    missing = [name for name in target.sites if name not in position]
    if missing:
        raise StructureError(f"the position lacks site {missing[0]!r}; it must have {', '.join(target.sites)}")
    for name, site in target.sites.items():
        if jnp.shape(position[name]) != site.shape:
            raise StructureError(
                f"site {name!r} has shape {jnp.shape(position[name])} in the position, {site.shape} declared"
            )
        if 0 in site.shape:
            raise StructureError(
                f"site {name!r} has shape {site.shape}, without a coordinate: leave it out of the model"
            )
        if any(plate == GLOBAL or "*" in plate for plate in site.plates):
            raise StructureError(
                f"site {name!r} lies on plates {site.plates}: a plate is not called 'global', nor has a *"
            )
        if len(set(site.plates)) < len(site.plates) or len(site.plates) > len(site.shape):
            raise StructureError(
                f"site {name!r} of shape {site.shape} cannot lie on plates {site.plates}: one leading axis each"
            )
