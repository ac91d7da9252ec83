"""A stored run as Python sees it: its path, numbers and draws."""

from pathlib import Path
from typing import Any

import xarray

from ensemble.store.opening import reader
from ensemble.store.protocol import RunReader
from workflows.results.diagnostics import diagnostics
from workflows.results.inspect import summary_of
from workflows.results.tables import own


class Run:
    """What `run`, `resume` and `open_run` return; reads the store anew at every call, so it follows a live run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.reader()

    def reader(self) -> RunReader:
        """The store as it is committed now. Raises StoreError, StoreDamaged or StoreVersion."""
        return reader(self.path)

    @property
    def attributes(self) -> dict[str, Any]:
        """The committed attributes: settings, seed, versions, fingerprint, summary."""
        return self.reader().attributes

    def data(self) -> Any:
        """The draws as the installed ArviZ wants them (InferenceData, or a DataTree with ArviZ 1)."""
        return self.reader().arviz()

    def summary(self) -> dict[str, Any]:
        """What `maxwell inspect --json` prints."""
        return summary_of(self.reader())

    def diagnostics(self) -> xarray.Dataset:
        """ess_online and nested R-hat of every unconstrained coordinate at the last goal check, as <site>_ess and
        <site>_rhat, with the dims of the posterior variable where its shape is the site's. Empty before that check."""
        return diagnostics(self.reader())

    def export(self, **choices: Any) -> Any:
        """The draws with log_likelihood, posterior_predictive and prior groups, by results.posterior."""
        from workflows.results.posterior.export import export  # builds the model

        return export(self, **choices)

    def report_lines(self) -> list[str]:
        """What the model itself has to say of its posterior: a table, or nothing."""
        return own.lines(self)
