"""What the run itself computed of the convergence of every coordinate, with names and labels."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ensemble.store.protocol import RunReader

if TYPE_CHECKING:
    import xarray

KINDS = ("ess", "rhat", "positive")


def diagnostics(reader: RunReader) -> "xarray.Dataset":
    """ess_online and nested R-hat of every unconstrained coordinate at the last goal check, as <site>_ess and
    <site>_rhat, with the dims of the posterior variable where its shape is the site's; and <site>_positive, the share
    of all sweeps of all chains, `states` of the attributes, in which it was above zero. Empty before that check."""
    import xarray  # a second with pandas: for those who read, not for runs

    state = reader.coordinator_state()
    return xarray.Dataset() if state is None else labelled(state.arrays, reader.groups()["posterior"])


def labelled(arrays: Mapping[str, np.ndarray], posterior: "xarray.Dataset") -> "xarray.Dataset":
    """The diagnostics among the coordinator's arrays, labelled as the posterior is."""
    import xarray

    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    labels = {}
    for name, values in arrays.items():
        part, kind, site = (*name.split("/", 2), "", "")[:3]
        if part != "diagnostics" or kind not in KINDS:
            continue
        # A site of constrained values (a simplex) has fewer coordinates than its posterior variable has values.
        if site in posterior and posterior[site].shape[2:] == values.shape:
            dims = tuple(str(dim) for dim in posterior[site].dims[2:])
            labels.update({dim: posterior.coords[dim] for dim in dims})
        else:
            dims = tuple(f"{site}_dim_{axis}" for axis in range(values.ndim))
        variables[f"{site}_{kind}"] = dims, values
    states = {"states": int(arrays["diagnostics/states"])} if "diagnostics/states" in arrays else {}
    return xarray.Dataset(variables, labels, attrs=states)
