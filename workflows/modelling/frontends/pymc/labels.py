"""Names, dims and labels of a PyMC model as a store can hold them: as PyMC has them, with few exceptions.

Zarr has no names with a slash or a leading double underscore, and labels are numbers or text.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from workflows.modelling.errors import ModelError

Arrays = dict[str, np.ndarray]
Dims = dict[str, tuple[str, ...]]


def require_names(label: str, names: Iterable[str]) -> None:
    """Raise ModelError for names of variables that no store can have."""
    wrong = [name for name in names if name.startswith((".", "__"))]
    if wrong:
        raise ModelError(
            f"model {label!r}: variables cannot be stored by the names {wrong}, with a leading dot or double "
            "underscore: rename them (in Bambi with model.set_alias)"
        )


def dims_of(model: Any, axes: Mapping[str, int]) -> Dims:
    """Dims of variables with so many axes: the model's, and `<name>_dim_<i>` where it has none."""
    dims = {}
    for name, count in axes.items():
        given = list(model.named_vars_to_dims.get(name) or ())[:count]
        given += [None] * (count - len(given))
        dims[name] = tuple(f"{name}_dim_{i}" if dim is None else stored(dim) for i, dim in enumerate(given))
    return dims


def stored(dim: str) -> str:
    """A dim by the name that it has in a store: `__obs__` of Bambi is `obs`."""
    return (dim.strip("_") or "dim") if dim.startswith("__") else dim.replace("/", "_")


def labels(model: Any) -> Arrays:
    """The labels of the model's dims."""
    return {stored(dim): _plain(values) for dim, values in model.coords.items() if values is not None}


def _plain(values: Any) -> np.ndarray:
    """Labels as numbers or text: dates in ISO form, whatever else as Python shows it."""
    array = np.asarray(values) if np.ndim(values) == 1 else _objects(values)
    if array.dtype.kind in "biufU":
        return array
    return np.asarray([str(value) for value in array])


def _objects(values: Any) -> np.ndarray:
    """One object each of labels that are tuples."""
    found = np.empty(len(values), object)
    found[:] = list(values)
    return found
