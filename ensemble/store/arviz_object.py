"""Groups of datasets as one object of the installed ArviZ."""

import json
import warnings
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray

SAMPLE_DIMS = "sample_dims"


def for_arviz(groups: Mapping[str, "xarray.Dataset"], attributes: Mapping[str, Any]) -> Any:
    """InferenceData before ArviZ 1.0, a DataTree since. Attributes are kept as NetCDF can hold them."""
    import xarray

    flat = {name: _flat(name, value) for name, value in attributes.items()}
    # Decided by version: ArviZ 1 answers for the name InferenceData too, with xarray's DataTree.
    if int(metadata.version("arviz").partition(".")[0]) >= 1:
        return xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=flat), **groups})
    with warnings.catch_warnings():
        # ArviZ 0.23 announces its successor on import; what it asks of its users is done here.
        warnings.filterwarnings("ignore", "\\s*ArviZ is undergoing a major refactor", FutureWarning)
        import arviz
    # Its own from_datatree would drop the warm-up groups.
    kept: dict[str, Any] = dict(groups)
    return arviz.InferenceData(**{"attrs": flat, "save_warmup": True, **kept})


def _flat(name: str, value: Any) -> Any:
    """Nested values as JSON text, but for sample_dims: NetCDF holds a list of names, and ArviZ 1 takes it as it is."""
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if simple or name == SAMPLE_DIMS else json.dumps(value)
