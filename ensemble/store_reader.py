"""Reading a store, finished or still being written: no lock, and only what is committed."""

import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from ensemble import checkpoint as checkpoints
from ensemble.checkpoint import Checkpoint
from ensemble.errors import StoreError
from ensemble.store_chunks import require_chunks
from ensemble.store_layout import DRAW
from ensemble.store_root import RECORD, Root, read_root, record_as_json


def open(path: str | Path) -> Any:
    """The committed draws as the installed ArviZ wants them: InferenceData before ArviZ 1.0, a DataTree since.

    Values are read when used. Nested attributes (settings) come as JSON text, so that the result can be written as
    NetCDF. Raises StoreError, StoreDamaged or StoreVersion where there is nothing to open.
    """
    path = Path(path)
    root = read_root(path)
    require_chunks(path, root)
    return _for_arviz(_with_draws(xarray.open_datatree(path, engine="zarr", consolidated=True), root))


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


def _with_draws(tree: xarray.DataTree, root: Root) -> xarray.DataTree:
    """Number the draws of every recorded group: the store itself has no draw coordinate, so that none must grow."""
    datasets = {group: node.to_dataset() for group, node in tree.children.items()}
    for group in root.record.draws:
        datasets[group] = datasets[group].assign_coords({DRAW: np.arange(datasets[group].sizes[DRAW])})
    attributes = {name: _flat(value) for name, value in tree.attrs.items()}
    return xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=attributes), **datasets})


def _flat(value: Any) -> str | int | float:
    simple = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if simple else json.dumps(value)


def _for_arviz(tree: xarray.DataTree) -> Any:
    with warnings.catch_warnings():
        # ArviZ 0.23 announces its successor on import; what it asks of its users is done here.
        warnings.filterwarnings("ignore", "\\s*ArviZ is undergoing a major refactor", FutureWarning)
        import arviz
    if not hasattr(arviz, "InferenceData"):
        return tree
    # Its own from_datatree would drop the warm-up groups.
    groups: dict[str, Any] = {group: node.to_dataset() for group, node in tree.children.items()}
    return arviz.InferenceData(**{"attrs": tree.attrs, "save_warmup": True, **groups})
