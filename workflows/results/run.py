"""A stored run as Python sees it: its path, numbers and draws."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from ensemble.store import writer as stores
from workflows.results import tables as reports
from workflows.results.inspect import inspect_store
from workflows.results.run_text import as_html, as_text
from workflows.results.temporary import TemporaryFolder

if TYPE_CHECKING:
    from workflows.modelling.model import Model


class Run:
    """A stored run, finished or still going: reads the store anew at every call, so it follows a live run.

    given: the model where it was given as an object, which a store does not hold. folder: around a store that lives as
    long as this object.
    """

    def __init__(self, path: str | Path, given: "Model | None" = None, folder: TemporaryFolder | None = None) -> None:
        self.path = Path(path)
        self.given, self.folder = given, folder
        stores.read_attributes(self.path)

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
        return stores.read_attributes(self.path)

    @property
    def data(self) -> Any:
        """The draws as the installed ArviZ wants them (InferenceData, or a DataTree with ArviZ 1).

        Values are read from the store when they are used; those of a temporary store at once, to outlive it.
        """
        opened = stores.open(self.path)
        return opened.load() if self.is_temporary else opened

    def model(self) -> "Model":
        """The model, given or built anew. Raises ModelError where it is not the one that was recorded."""
        from workflows.modelling.given import recorded_model  # JAX takes a second

        return recorded_model(self.path, self.attributes, self.given)

    def summary(self) -> dict[str, Any]:
        """What `maxwell inspect --json` prints."""
        return inspect_store(self.path)

    def diagnostics(self) -> xarray.Dataset:
        """ess_online and nested R-hat of every unconstrained coordinate at the last goal check, as <site>_ess and
        <site>_rhat, with the dims of the posterior variable where its shape is the site's. Empty before that check."""
        checkpoints = self.attributes["maxwell"]["checkpoints"]
        path = self.path / "checkpoint" / str(checkpoints[-1]["epoch"]) / "coordinator.npz"
        with np.load(path, allow_pickle=False) as arrays:
            found = {name.split("/", 1)[1]: arrays[name] for name in arrays if name.startswith("diagnostics/")}
        posterior = self.data["posterior"]
        variables = {}
        for name, values in found.items():
            kind, _, site = name.partition("/")
            if kind in ("ess", "rhat"):
                variables[f"{site}_{kind}"] = (_dims(posterior, site, values), values)
        dims = {dim for names, _ in variables.values() for dim in names}
        return xarray.Dataset(variables, {dim: posterior.coords[dim] for dim in dims & set(posterior.coords)})

    def export(self, **choices: Any) -> Any:
        """The draws with log_likelihood, posterior_predictive and prior groups, by results.posterior."""
        from workflows.results.posterior.export import export  # builds the model

        return export(self, **choices)

    def report_lines(self) -> list[str]:
        """What the model itself has to say of its posterior: a table, or nothing."""
        return reports.lines(self)


def _dims(posterior: Any, site: str, values: np.ndarray) -> tuple[str, ...]:
    """Names for the axes of a site: those of the posterior variable of its name, else made up."""
    if site in posterior and posterior[site].shape[2:] == values.shape:
        return tuple(posterior[site].dims[2:])
    return tuple(f"{site}_dim_{axis}" for axis in range(values.ndim))
