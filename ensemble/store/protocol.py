"""What the rest of the program knows of a store: `RunStore` for the one writer, `RunReader` for everybody else.

A backend is one class of each in this package; `opening` chooses it. Nothing outside asks where a store keeps what.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from ensemble.store.contents import Checkpoint, CoordinatorState, Layout

if TYPE_CHECKING:
    import xarray


class RunStore(Protocol):
    """A store open for writing. One process has it at a time; what it adds counts from the next commit on.

    Every method raises StoreError where the store cannot be written, and StoreLocked where another took it over.
    """

    @property
    def locator(self) -> str:
        """Where the store is, as it was given: for messages, and to open it again."""

    @property
    def attributes(self) -> dict[str, Any]:
        """The committed attributes of the run (a copy)."""

    @property
    def committed(self) -> dict[str, int]:
        """The committed number of draws of every group."""

    @property
    def layout(self) -> Layout:
        """The recorded variables and the shape of the shards, without coordinates and static arrays."""

    def stop_asked(self) -> str | None:
        """Who asked this writer to stop, as user@host; None while nobody did. Cheap: asked in every round."""

    def require(self, expected: Mapping[str, Any]) -> None:
        """StoreMismatch where an attribute of the run (its model's fingerprint, say) is not as expected."""

    def append(self, shard: int, group: str, draws: Mapping[str, np.ndarray]) -> None:
        """Add draws of one shard to a group: {variable: [n, shard_chains, *shape]}, all variables at once, copied."""

    def commit(self, checkpoint: Checkpoint | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        """Make all appended draws, a checkpoint and changed attributes count, all of them or none.

        Every shard must have as many draws as the others. Checkpoints have growing epochs; the last two are kept.
        attributes: merged into those committed; `summary` with its `wall_seconds` gives ArviZ's sampling_time.
        """

    def load_checkpoint(self) -> Checkpoint:
        """The last committed checkpoint. StoreError where there is none, StoreDamaged where it is not as written."""

    def rewind(self) -> None:
        """Give up all draws, committed or not, that were added after the last checkpoint."""

    def close(self) -> None:
        """Let the next writer in; draws that were not committed are given up. Closing twice is allowed."""

    def __enter__(self) -> Self:
        """The store itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class RunReader(Protocol):
    """One committed state of a store, finished or still being written. It needs no lock.

    A run that goes on leaves it behind: draws stay as they were, but a checkpoint is gone after two more of them; take
    a new reader then.
    """

    @property
    def locator(self) -> str:
        """Where the store is, as it was given: for messages, and to open it again."""

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the run, those of ArviZ's schema, and under "maxwell" the store's own (a copy).

        The store's own are shards, shard_chains, chunk_draws, draws (by group), checkpoints, writer, format_version.
        """

    def groups(self) -> "dict[str, xarray.Dataset]":
        """The committed groups, every dimension with a coordinate. Values are read, and checked, when used.

        StoreDamaged where committed draws are missing, and, when they are used, where they are damaged.
        """

    def arviz(self) -> Any:
        """The groups as the installed ArviZ wants them: InferenceData before ArviZ 1.0, a DataTree since.

        Nested attributes (settings) come as JSON text, so that the result can be written as NetCDF.
        """

    def last_checkpoint(self) -> Checkpoint:
        """The last checkpoint, verified. StoreError where there is none yet, StoreDamaged."""

    def coordinator_state(self) -> CoordinatorState | None:
        """The coordinator's part of the last checkpoint, verified; None where there is none yet. StoreDamaged."""

    def size(self) -> int:
        """The size of the whole store now, in bytes."""
