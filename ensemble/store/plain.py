"""Attributes as JSON sees them: dictionaries, lists, strings, numbers, booleans and None."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ensemble.errors import StoreError


def plain(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A deep copy of `values` as it will be read back: tuples become lists, NumPy values Python's.

    Non-finite numbers stay (NaN, Infinity: Python's and Zarr's dialect of JSON). Raises StoreError for other objects.
    """
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(values), default=_numpy))
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{what} cannot be stored: {error}. Give strings, numbers, booleans, None, lists and dictionaries."
        ) from error
    return copy


def _numpy(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is a {type(value).__name__}")
