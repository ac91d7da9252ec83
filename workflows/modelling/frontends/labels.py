"""Labels of dimensions as stores can hold them: numbers or text, whatever they are given as."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from workflows.modelling.errors import ModelError


def labels(coords: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """Labels by dimension: of lists, arrays, and pandas Index, Series or Categorical.

    Dates become text, as the shortest ISO 8601 that tells them (2024-05-01); other objects (periods, intervals) what
    str() says of them. Raises ModelError for labels that are no single row, and for missing ones.
    """
    return {dim: _labels(dim, given) for dim, given in (coords or {}).items()}


def _labels(dim: str, given: Any) -> np.ndarray:
    if isinstance(given, str):
        raise ModelError(f"coords of {dim!r} are the text {given!r}: give a list of labels")
    values = np.asarray(list(given) if isinstance(given, (set, dict, range)) or hasattr(given, "__next__") else given)
    if values.ndim != 1:
        raise ModelError(f"coords of {dim!r} have the shape {values.shape}: give one label for each element")
    if values.dtype.kind in "biufU":
        return values
    if values.dtype.kind == "M":
        return _dates(dim, values)
    if any(value is None or value != value for value in values):
        raise ModelError(f"coords of {dim!r} have missing labels: give one for each element")
    if all(isinstance(value, (int, float, np.number)) for value in values):
        return np.asarray(values.tolist())
    return np.asarray([str(value) for value in values])


def _dates(dim: str, values: np.ndarray) -> np.ndarray:
    """ISO 8601 text of dates, without a time of day where all have midnight."""
    if np.isnat(values).any():
        raise ModelError(f"coords of {dim!r} have missing labels: give one for each element")
    for unit in ("D", "s", "ms", "us"):
        if (values.astype(f"M8[{unit}]").astype(values.dtype) == values).all():
            return np.datetime_as_string(values, unit=unit)
    return np.datetime_as_string(values)
