"""The factor structure of a target: levels of blocks, and the one block of each level that a cell of a term touches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.metric import WIDEST_DENSE
from kernels.numerics.special import materialised
from kernels.structure.layout import Layout, layout
from kernels.structure.owners import Couplings, Owned, Search, find_owners
from kernels.structure.probing import GLOBAL, Plan, Prober, StructureError
from kernels.structure.segments import Segments, segments
from kernels.target import Site, Target
from kernels.types import Cells, Data, Position, Terms

__all__ = ["Interweaving", "Level", "Structure", "StructureError", "discover"]


class Interweaving(NamedTuple):
    """A group under which the prior of `child` is invariant: see find_interweavings.

    scale: parent += eps, child <- m + (child - m) e^eps with m the site `center` or 0. location: parent += eps,
    child += eps.
    """

    kind: Literal["scale", "location"]
    parent: str
    child: str
    center: str | None


class Move(NamedTuple):
    """How the blocks of a level are updated: the kernel, the scheme of its trajectories, the most doublings of a NUTS
    trajectory, and the form of the factor kept for its blocks (see metric; rank: directions of a low-rank one).

    pm_hmc, pm_nuts, pm_metropolis: with the auxiliary variables of a pseudo-marginal target, in one decision; refresh:
    these alone. correlation: of old and new ones with pm_metropolis; joint_turning: they have a say in where a pm_nuts
    trajectory ends."""

    kernel: Literal["metropolis", "hmc", "nuts", "pm_hmc", "pm_nuts", "pm_metropolis", "refresh"] = "metropolis"
    integrator: str = "leapfrog"
    max_depth: int = 10
    metric: Literal["auto", "dense", "diagonal", "low_rank"] = "auto"
    rank: int = 16
    correlation: float = 0.0
    joint_turning: bool = False

    @property
    def gradients(self) -> bool:
        """Whether the kernel follows the gradient."""
        return self.kernel in ("hmc", "nuts", "pm_hmc", "pm_nuts")

    @property
    def doubles(self) -> bool:
        """Whether trajectories double until they turn."""
        return self.kernel in ("nuts", "pm_nuts")

    @property
    def joint(self) -> bool:
        """Whether the auxiliary variables move along with the level."""
        return self.kernel in ("pm_hmc", "pm_nuts", "pm_metropolis")


METROPOLIS = Move()
"""What a level does unless it is told otherwise."""


@dataclass(frozen=True, eq=False)
class Level:
    """Sites updated together, in blocks that no term ties together.

    name: "global" or the plates joined with "*". n_blocks: B. width: p, coordinates of the largest block. sizes: [B]
    coordinates of each block. terms: those that depend on any of the sites. owners: term -> cells -> blocks.
    leaf: no finer level lies inside this one, so that its blocks may move alone. mask: [p, B], which entries of the
    gathered blocks are coordinates; None when all are. move: how the blocks are updated.
    """

    name: str
    sites: tuple[str, ...]
    n_blocks: int
    width: int
    sizes: np.ndarray
    terms: tuple[str, ...]
    owners: Mapping[str, Segments]
    leaf: bool
    mask: np.ndarray | None
    layout: Layout
    move: Move = METROPOLIS

    @property
    def metric(self) -> str:
        """The form of the factor: as `move` says; dense for narrow blocks and else diagonal where it is automatic."""
        if self.move.metric != "auto":
            return self.move.metric
        return "dense" if self.width <= WIDEST_DENSE else "diagonal"

    def gather(self, position: Position) -> jax.Array:
        """The level's coordinates [p, B], padded with 0."""
        return self.layout.gather(position)

    def scatter(self, position: Position, blocks: jax.Array) -> Position:
        """`position` with this level's sites taken from the blocks [p, B]."""
        return self.layout.scatter(position, blocks)


@dataclass(frozen=True, eq=False)
class Structure:
    """Levels, coarse to fine; cells: term -> elements -> cells; depends: term -> sites; joined: a sentence a join."""

    levels: tuple[Level, ...]
    cells: Mapping[str, Segments]
    depends: Mapping[str, frozenset[str]]
    joined: tuple[str, ...]

    def reduce(self, terms: Terms) -> Cells:
        """The given terms, each summed over the elements of its cells, float64.

        Terms are materialised, lest they be computed anew for every use of the cells (proposal, decision, cache).
        """
        return {name: self.cells[name].sum(materialised(v.astype(jnp.float64))) for name, v in terms.items()}

    def level(self, name: str) -> Level:
        """The level of this name."""
        for level in self.levels:
            if level.name == name:
                return level
        raise KeyError(f"no level {name!r}; there are {', '.join(level.name for level in self.levels)}")


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
