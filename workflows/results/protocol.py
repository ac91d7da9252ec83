"""What a model's table, and an export, need of a run; `workflows.results.run.Run` is one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ensemble.store.protocol import RunReader

if TYPE_CHECKING:
    from workflows.modelling.model import Model


class StoredRun(Protocol):
    """A run that is stored.

    path: where.
    """

    path: Path

    @property
    def attributes(self) -> dict[str, Any]:
        """The committed attributes: settings, seed, versions, fingerprint, summary."""

    def reader(self) -> RunReader:
        """The store as it is committed now."""

    def model(self) -> "Model":
        """The model that was sampled, given or built anew."""

    @property
    def data(self) -> Any:
        """The draws as the installed ArviZ wants them (InferenceData, or a DataTree with ArviZ 1)."""
