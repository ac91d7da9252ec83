"""Reading a store, finished or still being written: no lock, and only what is committed."""

import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from ensemble.errors import StoreError
from ensemble.store import checkpoint as checkpoints
from ensemble.store.checkpoint import Checkpoint
from ensemble.store.chunks import require_chunks
from ensemble.store.layout import DRAW
from ensemble.store.root import RECORD, read_root, record_as_json


def open(path: str | Path) -> Any:
    """The committed draws as the installed ArviZ wants them: InferenceData before ArviZ 1.0, a DataTree since.

    Values are read when used. Nested attributes (settings) come as JSON text, so that the result can be written as
    NetCDF. Raises StoreError, StoreDamaged or StoreVersion where there is nothing to open.
    """
    return for_arviz(*_read(Path(path)))


def datasets(path: str | Path) -> dict[str, xarray.Dataset]:
    """The groups of `open`, whatever ArviZ is installed."""
    return _read(Path(path))[0]


def read_attributes(path: str | Path) -> dict[str, Any]:
    """The attributes of the run, and under "maxwell" the store's own: draws by group, checkpoints, writer, version."""
    root = read_root(Path(path))
    return {**root.attributes, RECORD: record_as_json(root.record)}


def last_checkpoint(path: str | Path) -> Checkpoint:
    """The last committed checkpoint, every hash verified, without the lock. StoreError where there is none yet,
    StoreDamaged."""
    named = read_root(Path(path)).record.checkpoints
    if not named:
        raise StoreError(f"{path} has no checkpoint yet: let its run begin, or name another one.")
    return checkpoints.read(Path(path), named[-1])


def store_bytes(path: str | Path) -> int:
    """The size of all files of the store, in bytes."""
    read_root(Path(path))
    total = 0
    for file in Path(path).rglob("*"):
        # A writer replaces and prunes files meanwhile.
        with suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _read(path: Path) -> tuple[dict[str, xarray.Dataset], dict[str, Any]]:
    """The groups, and the attributes as ArviZ's files take them. The draws of every recorded group are numbered: the
    store itself has no draw coordinate, so that none must grow."""
    root = read_root(path)
    require_chunks(path, root)
    tree = xarray.open_datatree(path, engine="zarr", consolidated=True)
    groups = {group: node.to_dataset() for group, node in tree.children.items()}
    for group in root.record.draws:
        groups[group] = groups[group].assign_coords({DRAW: np.arange(groups[group].sizes[DRAW])})
    return groups, {str(name): _flat(value) for name, value in tree.attrs.items()}


def _flat(value: Any) -> str | int | float:
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if simple else json.dumps(value)


def for_arviz(groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> Any:
    """The groups as the installed ArviZ wants them."""
    # Decided by version: ArviZ 1 answers for the name InferenceData too, with xarray's DataTree.
    if int(metadata.version("arviz").partition(".")[0]) >= 1:
        return xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=attributes), **groups})
    with warnings.catch_warnings():
        # ArviZ 0.23 announces its successor on import; what it asks of its users is done here.
        warnings.filterwarnings("ignore", "\\s*ArviZ is undergoing a major refactor", FutureWarning)
        import arviz
    # Its own from_datatree would drop the warm-up groups.
    kept: dict[str, Any] = dict(groups)
    return arviz.InferenceData(**{"attrs": dict(attributes), "save_warmup": True, **kept})
