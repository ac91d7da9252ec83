"""How a PyMC variable becomes a site: which of its axes are plates, and where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.structure.owners import Search, find_owners
from kernels.structure.probing import GLOBAL, Plan, Prober
from kernels.target import Site, Target
from kernels.types import Data, Position

BITS = 40
"""Group tests a point, as in the discovery of a run's structure."""
LETTERS = {"*": "x"}
"""What a plate's name must not have, and what stands there instead."""


@dataclass(frozen=True)
class Layout:
    """A variable's coordinates as PyMC has them against those of its site.

    name: of the variable. shape: in PyMC. order: axes of `shape` in the order of the site, plates first. plates: names
    of these.
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    plates: tuple[str, ...] = ()

    @property
    def site(self) -> Site:
        """The site."""
        return Site(self.name, tuple(self.shape[axis] for axis in self.order), self.plates)

    def pack(self, value: Any) -> jax.Array:
        """PyMC's coordinates -> the site's."""
        return jnp.transpose(value, self.order)

    def unpack(self, value: Any) -> jax.Array:
        """The site's coordinates -> PyMC's."""
        return jnp.transpose(value, tuple(self.order.index(axis) for axis in range(len(self.order))))


@dataclass(frozen=True)
class Named:
    """A variable as the model describes it. axes: the names of its batch axes, in order; None for those without."""

    name: str
    shape: tuple[int, ...]
    axes: tuple[str | None, ...]

    @property
    def candidates(self) -> tuple[int, ...]:
        """The axes that may be plates."""
        return tuple(axis for axis, name in enumerate(self.axes) if name is not None and self.shape[axis] > 1)

    def layout(self, plates: tuple[int, ...], suffix: str = "") -> Layout:
        """With these axes as plates."""
        rest = tuple(axis for axis in range(len(self.shape)) if axis not in plates)
        names = tuple(_plate(str(self.axes[axis])) + suffix for axis in plates)
        return Layout(self.name, self.shape, (*plates, *rest), names)

    def numbers(self, axes: Sequence[int]) -> np.ndarray:
        """Of every element, the number of its index along these axes, counted in their order."""
        index = np.indices(self.shape)
        return np.ravel_multi_index([index[axis] for axis in axes], [self.shape[axis] for axis in axes])


def layouts(variables: list[Named], target: Target, data: Data, position: Position) -> dict[str, Layout]:
    """The layout of every variable, from group tests of the target, whose sites have PyMC's shapes and no plates.

    A dim is a plate where no element of any term touches two of its indices; of several dims those that leave most
    blocks. A dim that ties all its indices together (a random walk in time, predictors of one regression) belongs to
    one block with whatever else it touches. Variables on equal plates are one level, unless they are tied across its
    indices (home and away teams of a match): then each has plates of its own. Raises StructureError as `discover`.
    """
    if not any(variable.candidates for variable in variables):
        return {variable.name: variable.layout(()) for variable in variables}
    prober = Prober(target, data, position)
    search = Search(prober, prober.depends(), np.random.default_rng(0), BITS, "join")
    plates = {v.name: _plates(search, v) if v.candidates else () for v in variables}
    found = {v.name: v.layout(plates[v.name]) for v in variables}
    levels: dict[frozenset[str], list[Named]] = {}
    for variable in variables:
        if plates[variable.name]:
            levels.setdefault(frozenset(found[variable.name].plates), []).append(variable)
    for together in levels.values():
        if len(together) > 1 and _tied(search, together, plates):
            found |= {v.name: v.layout(plates[v.name], f" of {v.name}") for v in together}
    return found


def _plates(search: Search, variable: Named) -> tuple[int, ...]:
    """The axes of a variable that are plates."""
    candidates = variable.candidates
    blocks = variable.numbers(candidates)
    labels = _labels(search, {variable.name: blocks}, int(blocks.max()) + 1)[variable.name]
    count = int(labels.max()) + 1
    sets = [axes for size in range(len(candidates), 0, -1) for axes in combinations(candidates, size)]
    whole = [axes for axes in sets if _apart(labels, variable.numbers(axes)) and _usable(variable, axes)]
    # Where every dim has ties but not all indices are tied (pairs of neighbours), the sampler joins those that are.
    rest = candidates if count > 1 else ()
    return max(whole, key=lambda axes: prod(variable.shape[axis] for axis in axes), default=rest)


def _labels(search: Search, block_of: dict[str, np.ndarray], blocks: int) -> dict[str, np.ndarray]:
    """Joined blocks of every element."""
    return dict(find_owners(search, Plan("*".join(block_of) + "*", blocks, block_of)).block_of)


def _apart(labels: np.ndarray, numbers: np.ndarray) -> bool:
    """Whether no joined block has elements of two numbers."""
    pairs = np.unique(np.stack([labels.ravel(), numbers.ravel()]), axis=1)
    return bool(np.unique(pairs[0]).size == pairs.shape[1])


def _usable(variable: Named, axes: tuple[int, ...]) -> bool:
    """Diagnostics have the labels of a variable where its shape is the site's: one turned round must not look so."""
    layout = variable.layout(axes)
    return layout.order == tuple(range(len(layout.order))) or layout.site.shape != layout.shape


def _tied(search: Search, together: list[Named], plates: dict[str, tuple[int, ...]]) -> bool:
    """Whether the blocks of a level are tied where those of each variable alone are not."""
    names = [together[0].axes[axis] for axis in plates[together[0].name]]
    block_of = {}
    for variable in together:
        ordered = sorted(plates[variable.name], key=lambda axis: names.index(variable.axes[axis]))
        block_of[variable.name] = variable.numbers(ordered)
    blocks = int(max(numbers.max() for numbers in block_of.values())) + 1
    joint = _labels(search, block_of, blocks)
    alone = [_labels(search, {name: numbers}, blocks)[name] for name, numbers in block_of.items()]
    return max(int(x.max()) for x in joint.values()) < max(int(x.max()) for x in alone)


def _plate(dim: str) -> str:
    """A dim as the name of a plate."""
    for letter, instead in LETTERS.items():
        dim = dim.replace(letter, instead)
    return f"{dim}_" if dim == GLOBAL else dim
