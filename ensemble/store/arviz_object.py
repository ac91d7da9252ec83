"""Groups of datasets as one object of the installed ArviZ."""

import importlib
import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble.surroundings import set_environment, temporary_folder

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
    with warnings.catch_warnings(), _room_for_notes():
        # ArviZ 0.23 announces its successor on import; what it asks of its users is done here.
        warnings.filterwarnings("ignore", "\\s*ArviZ is undergoing a major refactor", FutureWarning)
        import arviz
    # Its own from_datatree would drop the warm-up groups.
    kept: dict[str, Any] = dict(groups)
    return arviz.InferenceData(**{"attrs": flat, "save_warmup": True, **kept})


def group_names(data: Any) -> list[str]:
    """Of such an object: both kinds have `groups`, a method of one and a property of the other."""
    return list(data.groups()) if callable(data.groups) else [name.strip("/") for name in data.groups if name != "/"]


@contextmanager
def _room_for_notes() -> Iterator[None]:
    """ArviZ 0.23 leaves a note in the user's cache folder as it is imported, and asks where the home folder is: in a
    container there may be neither. The note goes elsewhere; a user without a home gets one for that long."""
    if "arviz" in sys.modules:
        yield
        return
    # Matplotlib, which ArviZ imports, keeps its cache of fonts where it is.
    importlib.import_module("matplotlib.font_manager")
    folder = temporary_folder()
    given = {"XDG_CACHE_HOME": str(folder)}
    try:
        Path.home()
    except RuntimeError:
        given["HOME"] = str(folder)
    try:
        with set_environment(given):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _flat(name: str, value: Any) -> Any:
    """Nested values as JSON text, but for sample_dims: NetCDF holds a list of names, and ArviZ 1 takes it as it is."""
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if simple or name == SAMPLE_DIMS else json.dumps(value)
