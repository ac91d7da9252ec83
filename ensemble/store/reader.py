"""Reading a store, finished or still being written: no lock, and only what is committed."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble.errors import StoreError
from ensemble.store import checkpoint as checkpoints
from ensemble.store.arviz_object import for_arviz
from ensemble.store.arviz_schema import sampling_time
from ensemble.store.chunking.codec import require_files
from ensemble.store.contents import Checkpoint, CoordinatorState
from ensemble.store.disk.packed import Packed
from ensemble.store.integrity.verification import read_verified_root
from ensemble.store.layout import DRAW
from ensemble.store.plain import plain
from ensemble.store.root import readable, told_attributes

if TYPE_CHECKING:
    import xarray


class ZarrReader:
    """A `RunReader` of a store in a folder or packed into a file: the root is read once, when it is made, and says all
    that is committed."""

    def __init__(self, path: str | Path) -> None:
        """Raises StoreError, StoreDamaged or StoreVersion where there is nothing to read."""
        self._path = readable(path)
        self._root = read_verified_root(self._path)

    @property
    def locator(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the run, those of ArviZ's schema, and under "maxwell" the store's own (a copy)."""
        return plain(told_attributes(self._root), "attributes")

    def groups(self) -> "dict[str, xarray.Dataset]":
        """The committed groups, every dimension with a coordinate. Values are read, and checked, when used.

        The store itself has no draw coordinate, so that none must grow, and the sampling time at its root only. Raises
        StoreDamaged where committed draws are missing, or coordinates damaged; so does a damaged chunk when it is used.
        """
        import xarray  # a second with pandas: for those who read draws, not for runs

        from ensemble.store.integrity.source import VerifiedSource

        require_files(self._path, self._root)
        source: Any = VerifiedSource(self._path, self._root)  # xarray takes stores of Zarr, and does not say so
        tree = xarray.open_datatree(source, engine="zarr", consolidated=True)
        found = {group: node.to_dataset() for group, node in tree.children.items()}
        for group in self._root.record.draws:
            dataset = found[group]
            numbered = dataset.assign_coords({DRAW: np.arange(dataset.sizes[DRAW])})
            found[group] = numbered.assign_attrs(sampling_time(self._root.attributes))
        return found

    def arviz(self) -> Any:
        """The groups as the installed ArviZ wants them: InferenceData before ArviZ 1.0, a DataTree since.

        Nested attributes (settings) come as JSON text, so that the result can be written as NetCDF.
        """
        return for_arviz(self.groups(), self.attributes)

    def last_checkpoint(self) -> Checkpoint:
        """The last checkpoint, every hash verified. StoreError where there is none yet, StoreDamaged."""
        named = self._root.record.checkpoints
        if not named:
            raise StoreError(f"{self._path} has no checkpoint yet: let its run begin, or name another one.")
        with checkpoints.with_remedy(self._path, named) as last:
            return checkpoints.read(self._path, last)

    def coordinator_state(self) -> CoordinatorState | None:
        """The coordinator's part of the last checkpoint, verified; None where there is none yet. StoreDamaged."""
        named = self._root.record.checkpoints
        if not named:
            return None
        with checkpoints.with_remedy(self._path, named) as last:
            return checkpoints.read_coordinator(self._path, last)

    def size(self) -> int:
        """The size of all files of the store now, in bytes."""
        if isinstance(self._path, Packed):
            return self._path.archive_size()
        total = 0
        for file in self._path.rglob("*"):
            # A writer replaces and prunes files meanwhile.
            with suppress(FileNotFoundError):
                total += file.stat().st_size if file.is_file() else 0
        return total
