"""A run with its predictive groups as one ArviZ object or file."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray

from ensemble.store.arviz_object import for_arviz, group_names
from ensemble.store.arviz_schema import now, schema_attributes
from ensemble.surroundings import why_not_made
from workflows.results.posterior.groups import Posterior, PosteriorError
from workflows.results.protocol import StoredRun

SUFFIXES = (".nc", ".zarr")

_DRAWN = ("posterior", "sample_stats")
"""Groups whose draws are thinned; predictions go with these draws."""


def export(
    run: StoredRun, *, draws: int | None = 100, prior: int = 0, predictive: bool = True, integrate: bool = True
) -> Any:
    """The run's groups with log_likelihood, posterior_predictive and, where `prior` draws are asked for, the prior's.

    Where the model imputes what was never observed or sums out discrete variables, these are the group predictions.
    A model that observes nothing (its likelihood is a numpyro.factor) has neither log_likelihood nor predictive groups,
    and one with discrete variables in NumPyro's scan no posterior_predictive, for which they would have to be drawn.

    draws: of each chain, evenly spaced, None for all. As the installed ArviZ wants it (InferenceData, or a DataTree
    with ArviZ 1). The model is built anew and must be the recorded one. Raises PosteriorError and ModelError.
    """
    if (draws is not None and draws < 1) or prior < 0:
        raise PosteriorError(f"draws = {draws} and prior = {prior} were given: take 1 draw a chain or more, 0 or more")
    reader = run.reader()
    attributes = reader.attributes
    model = run.model()
    groups = reader.groups()
    stored = set(groups)
    kept = _spaced(groups["posterior"].sizes.get("draw", 0), draws)
    groups = {name: group.isel(draw=kept) if name in _DRAWN else group for name, group in groups.items()}
    posterior = Posterior(model, groups["posterior"], attributes["seed"])
    if posterior.observes:
        groups["log_likelihood"] = posterior.log_likelihood(integrate=integrate)
    if predictive:
        if posterior.predicts:
            groups["posterior_predictive"] = posterior.predictive()
        if (imputed := posterior.predictions()) is not None:
            groups["predictions"] = imputed
    if prior:
        groups |= {name: group for name, group in posterior.prior(prior).items() if group.data_vars}
    made = schema_attributes(attributes, now(), sampled=True)
    groups = {name: group if name in stored else group.assign_attrs(made) for name, group in groups.items()}
    return for_arviz(groups, {"source": reader.locator, "model": model.name, **made})


def require_new(path: Path) -> None:
    """Raise PosteriorError unless `write` can write there: for another ending, where there is something already, and
    for a folder that is not there."""
    if path.suffix not in SUFFIXES:
        raise PosteriorError(f"{path} was given; the file must end in {' or '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise PosteriorError(f"{path} was given, but there is no folder {path.absolute().parent}: make it first")
    if (why := why_not_made(path)) is not None:
        raise PosteriorError(f"{path} cannot be written: {why}. Name a file in a folder you may write to")
    if path.exists():
        raise PosteriorError(f"{path} exists already: remove it or name another file")


def write(data: Any, path: Path) -> None:
    """Write what `export` gave as .nc (az.from_netcdf reads it) or .zarr (xarray.open_datatree does).

    Raises PosteriorError as require_new.
    """
    require_new(path)
    if path.suffix == ".zarr":
        _tree(data).to_zarr(path)
    elif isinstance(data, xarray.DataTree):
        data.to_netcdf(path)
    else:
        data.to_netcdf(str(path))


def _spaced(available: int, wanted: int | None) -> np.ndarray:
    """Numbers of so many draws, evenly spaced, the last among them."""
    if wanted is None or wanted >= available:
        return np.arange(available)
    return np.round(np.linspace(0, available - 1, wanted)).astype(int)


def _tree(data: Any) -> xarray.DataTree:
    """A DataTree of either kind of ArviZ object, its labels as Zarr keeps them: text of any length."""
    groups = {name: data[name] for name in group_names(data)}
    groups = {name: g.to_dataset() if isinstance(g, xarray.DataTree) else g for name, g in groups.items()}
    return xarray.DataTree.from_dict(
        {"/": xarray.Dataset(attrs=data.attrs), **{name: _unbounded(group) for name, group in groups.items()}}
    )


def _unbounded(group: xarray.Dataset) -> xarray.Dataset:
    """Text of fixed width as objects."""
    text = {name: x.astype(object) for name, x in group.variables.items() if x.dtype.kind == "U"}
    return group.assign(text)
