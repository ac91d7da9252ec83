"""A stored run as Python sees it: its path, numbers and draws."""

from pathlib import Path
from typing import Any

from ensemble import store as stores
from workflows import reports
from workflows.inspect import inspect_store


class Run:
    """What `run`, `resume` and `open_run` return; reads the store anew at every call, so it follows a live run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        stores.read_attributes(self.path)

    @property
    def attributes(self) -> dict[str, Any]:
        """The committed attributes: settings, seed, versions, fingerprint, summary."""
        return stores.read_attributes(self.path)

    def data(self) -> Any:
        """The draws as the installed ArviZ wants them (InferenceData, or a DataTree with ArviZ 1)."""
        return stores.open(self.path)

    def summary(self) -> dict[str, Any]:
        """What `maxwell inspect --json` prints."""
        return inspect_store(self.path)

    def report_lines(self) -> list[str]:
        """What the model itself has to say of its posterior: a table, or nothing."""
        return reports.lines(self)
