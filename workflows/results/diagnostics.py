"""What the run itself computed of the convergence of every coordinate, with names and labels."""

from collections.abc import Mapping

import numpy as np
import xarray

from ensemble.store.protocol import RunReader

KINDS = ("ess", "rhat")


def diagnostics(reader: RunReader) -> xarray.Dataset:
    """ess_online and nested R-hat of every unconstrained coordinate at the last goal check, as <site>_ess and
    <site>_rhat, with the dims of the posterior variable where its shape is the site's. Empty before that check."""
    state = reader.coordinator_state()
    return xarray.Dataset() if state is None else labelled(state.arrays, reader.groups()["posterior"])


def labelled(arrays: Mapping[str, np.ndarray], posterior: xarray.Dataset) -> xarray.Dataset:
    """The diagnostics among the coordinator's arrays, labelled as the posterior is."""
    variables = {}
    for name, values in arrays.items():
        part, kind, site = (*name.split("/", 2), "", "")[:3]
        if part == "diagnostics" and kind in KINDS:
            variables[f"{site}_{kind}"] = (_dims(posterior, site, values), values)
    dims = {dim for names, _ in variables.values() for dim in names}
    return xarray.Dataset(variables, {dim: posterior.coords[dim] for dim in dims & set(posterior.coords)})


def _dims(posterior: xarray.Dataset, site: str, values: np.ndarray) -> tuple[str, ...]:
    """Names for the axes of a site: those of the posterior variable of its name, else made up."""
    if site in posterior and posterior[site].shape[2:] == values.shape:
        return tuple(str(dim) for dim in posterior[site].dims[2:])
    return tuple(f"{site}_dim_{axis}" for axis in range(values.ndim))
