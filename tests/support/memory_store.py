"""A store in memory: a second implementation of the store's two protocols, to show that they suffice."""

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import xarray

from ensemble.errors import StoreError, StoreMismatch
from ensemble.store.arviz_object import for_arviz
from ensemble.store.contents import Checkpoint, CoordinatorState, Layout

Draws = dict[tuple[str, int, str], list[np.ndarray]]
"""Pieces [n, shard_chains, *shape] by group, shard and variable."""


class MemoryStore:
    """A writer that can be closed and opened again; `reader` looks at what is committed."""

    def __init__(self, layout: Layout, attributes: Mapping[str, Any]) -> None:
        self.locator, self.layout = "memory", layout
        self._attributes, self._checkpoint = dict(attributes), None
        self._draws: Draws = {}
        self._appended: Draws = {}
        self._at_checkpoint: Draws = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def attributes(self) -> dict[str, Any]:
        return copy.deepcopy(self._attributes)

    @property
    def committed(self) -> dict[str, int]:
        return {
            group: sum(len(piece) for piece in self._draws.get((group, 0, next(iter(variables))), []))
            for group, variables in self.layout.groups.items()
        }

    def stop_asked(self) -> str | None:
        return None

    def require(self, expected: Mapping[str, Any]) -> None:
        if any(self._attributes.get(name) != value for name, value in expected.items()):
            raise StoreMismatch("the attributes are others")

    def append(self, shard: int, group: str, draws: Mapping[str, np.ndarray]) -> None:
        for name, values in draws.items():
            self._appended.setdefault((group, shard, name), []).append(np.array(values))

    def commit(self, checkpoint: Checkpoint | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        for key, pieces in self._appended.items():
            self._draws[key] = [*self._draws.get(key, []), *pieces]
        self._appended = {}
        self._attributes |= copy.deepcopy(dict(attributes or {}))
        if checkpoint is not None:
            self._checkpoint, self._at_checkpoint = copy.deepcopy(checkpoint), dict(self._draws)

    def load_checkpoint(self) -> Checkpoint:
        if self._checkpoint is None:
            raise StoreError("there is no checkpoint yet")
        return copy.deepcopy(self._checkpoint)

    def rewind(self) -> None:
        self._draws, self._appended = dict(self._at_checkpoint), {}

    def close(self) -> None:
        self._appended = {}

    def reader(self) -> "MemoryReader":
        """What is committed now."""
        return MemoryReader(copy.deepcopy(self))


class MemoryReader:
    """A reader of a store that nobody writes to any more."""

    def __init__(self, store: MemoryStore) -> None:
        self.locator, self.attributes, self._store = store.locator, store.attributes, store

    def groups(self) -> dict[str, xarray.Dataset]:
        return {group: self._dataset(group) for group in self._store.layout.groups}

    def arviz(self) -> Any:
        return for_arviz(self.groups(), self.attributes)

    def last_checkpoint(self) -> Checkpoint:
        return self._store.load_checkpoint()

    def coordinator_state(self) -> CoordinatorState | None:
        found = self._store._checkpoint
        return None if found is None else CoordinatorState(found.epoch, found.coordinator, found.info)

    def size(self) -> int:
        return sum(piece.nbytes for pieces in self._store._draws.values() for piece in pieces)

    def _dataset(self, group: str) -> xarray.Dataset:
        variables, shards = self._store.layout.groups[group], range(self._store.layout.shards)
        parts = {name: [self._store._draws[group, shard, name] for shard in shards] for name in variables}
        draws = {name: np.concatenate([np.concatenate(p) for p in part], axis=1) for name, part in parts.items()}
        values = {name: x.swapaxes(0, 1) for name, x in draws.items()}
        found = xarray.Dataset({name: (("chain", "draw", *variables[name].dims), x) for name, x in values.items()})
        return found.assign_coords({dim: np.arange(size) for dim, size in found.sizes.items()})
