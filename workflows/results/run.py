"""A stored run as Python sees it: its path, numbers and draws."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble.store.opening import reader
from ensemble.store.protocol import RunReader
from workflows.results.diagnostics import diagnostics
from workflows.results.inspect import summary_of
from workflows.results.run_text import as_html, as_text
from workflows.results.tables import own
from workflows.results.temporary import TemporaryFolder

if TYPE_CHECKING:
    import pandas
    import xarray

    from workflows.modelling.model import Model
    from workflows.results.fit.check import Fit


class Run:
    """A stored run, finished or still going: reads the store anew at every call, so it follows a live run.

    given: the model where it was given as an object, which a store does not hold. folder: around a store that lives as
    long as this object.
    """

    def __init__(self, path: str | Path, given: "Model | None" = None, folder: TemporaryFolder | None = None) -> None:
        self.path = Path(path)
        self.given, self.folder = given, folder
        self.reader()

    def reader(self) -> RunReader:
        """The store as it is committed now. Raises StoreError, StoreDamaged or StoreVersion."""
        return reader(self.path)

    def __repr__(self) -> str:
        return as_text(self.summary(), self.is_temporary)

    def _repr_html_(self) -> str:
        return as_html(self.summary(), self.is_temporary)

    @property
    def is_temporary(self) -> bool:
        """Whether the store is removed with this object."""
        return self.folder is not None

    @property
    def attributes(self) -> dict[str, Any]:
        """The committed attributes: settings, seed, versions, fingerprint, summary."""
        return self.reader().attributes

    @property
    def data(self) -> Any:
        """The draws as the installed ArviZ wants them (InferenceData, or a DataTree with ArviZ 1).

        Values are read from the store when they are used; those of a temporary store at once, to outlive it.
        """
        opened = self.reader().arviz()
        return opened.load() if self.is_temporary else opened

    def model(self) -> "Model":
        """The model, given or built anew. Raises ModelError where it is not the one that was recorded."""
        from workflows.modelling.given import recorded_model  # JAX takes a second

        return recorded_model(self.path, self.attributes, self.given)

    def summary(self) -> dict[str, Any]:
        """What `maxwell inspect --json` prints."""
        return summary_of(self.reader())

    def diagnostics(self) -> "xarray.Dataset":
        """ess_online and nested R-hat of every unconstrained coordinate at the last goal check, as <site>_ess and
        <site>_rhat, with the dims of the posterior variable where its shape is the site's. Empty before that check."""
        return diagnostics(self.reader())

    def export(self, **choices: Any) -> Any:
        """The draws with log_likelihood, posterior_predictive and prior groups, by results.posterior."""
        from workflows.results.posterior.export import export  # builds the model

        return export(self, **choices)

    def table(self) -> "pandas.DataFrame":
        """The model's whole table, which `maxwell table --out` writes. Raises TableError for a model without one."""
        from workflows.results.tables.write import frame  # pandas takes a second

        return frame(self)

    def check(self) -> "Fit":
        """Whether the model fits, by data sets from its posterior. Raises FitError for a model that draws none."""
        from workflows.results.fit.check import check  # builds the model

        return check(self)

    def fit_lines(self) -> list[str]:
        """The verdicts on the fit, where they are soon had. Raises as `check`."""
        from workflows.results.fit.text import closing

        return closing(self)

    def report_lines(self) -> list[str]:
        """What the model itself has to say of its posterior: a table, or nothing."""
        return own.lines(self)
