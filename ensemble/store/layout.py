"""The empty Zarr hierarchy built from a layout, and the layouts that no reader could open."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from zarr.abc.buffer import Buffer
from zarr.codecs import ZstdCodec
from zarr.core.array import ShardsConfigParam
from zarr.storage import MemoryStore

from ensemble.errors import StoreError
from ensemble.store.arviz_schema import schema_attributes
from ensemble.store.contents import Layout, Variable

INDEX_LOCATION: Any = "start"
"""Of the index of a file's chunks. Zarr's releases differ in its type, not in its value."""
ROOT = "zarr.json"
CHAIN, DRAW = "chain", "draw"
RESERVED_GROUPS = ("checkpoint",)

SMALL_CHUNK = 1 << 20
"""Bytes of a chunk (not compressed) up to which it has the chains of all shards."""
FIRST_FILE = 1 << 16
"""Bytes of draws (not compressed) up to which a file has those of several chunks from the beginning: it is written over
by every commit until it is full."""
WIDE_FILE = 1 << 26
"""Bytes up to which a file has the chunks of several shards."""

# A flat folder per array: one folder sync makes all its new chunks durable.
CHUNK_KEYS: dict[str, Any] = {"name": "default", "separator": "."}


def build(layout: Layout, attributes: Mapping[str, Any], created_at: str) -> dict[str, bytes]:
    """Every key of the empty store (metadata, coordinates, static arrays), but for the root's metadata.

    attributes: of the run; ArviZ's attributes of every group are derived from them.
    """
    check(layout)
    keys: dict[str, Buffer] = {}
    root = zarr.create_group(MemoryStore(keys))
    for name, variables in layout.groups.items():
        group = root.create_group(name, attributes=schema_attributes(attributes, created_at, sampled=True))
        for variable_name, variable in variables.items():
            _create_growing(group, variable_name, variable, layout)
        _create_coordinates(group, _sizes(name, layout), layout)
    for name, arrays in layout.static.items():
        group = root.create_group(name, attributes=schema_attributes(attributes, created_at, sampled=False))
        for array_name, (dims, values) in arrays.items():
            _create_filled(group, array_name, dims, np.asarray(values))
        _create_coordinates(group, _sizes(name, layout), layout)
    return {key: buffer.to_bytes() for key, buffer in keys.items() if key != ROOT}


def fill_value(dtype: np.dtype[Any]) -> Any:
    """What stands in a chunk where no draw is yet."""
    return dtype.type("nan") if dtype.kind == "f" else dtype.type(0)


def _create_growing(group: zarr.Group, name: str, variable: Variable, layout: Layout) -> None:
    dtype = np.dtype(variable.dtype)
    group.create_array(
        name,
        shape=(layout.shards * layout.shard_chains, 0, *variable.shape),
        chunks=(_chunk_chains(layout, variable), layout.chunk_draws, *variable.shape),
        shards=ShardsConfigParam(shape=_file_shape(layout, variable), index_location=INDEX_LOCATION),
        dtype=dtype,
        fill_value=fill_value(dtype),
        compressors=ZstdCodec(level=1, checksum=True),
        chunk_key_encoding=CHUNK_KEYS,
        dimension_names=(CHAIN, DRAW, *variable.dims),
    )


def _chunk_chains(layout: Layout, variable: Variable) -> int:
    """The chains in one chunk: all of them where that is a small chunk still, so that a commit encodes few."""
    chains = layout.shards * layout.shard_chains
    return chains if _bytes(layout, variable, chains) <= SMALL_CHUNK else layout.shard_chains


def _file_shape(layout: Layout, variable: Variable) -> tuple[int, ...]:
    """The shape of a file: all chains but for the largest, and several chunks of draws of the smallest."""
    chains = _chunk_chains(layout, variable)
    size = _bytes(layout, variable, chains)
    repeats = layout.shards * layout.shard_chains // chains
    wide = max((n for n in range(1, repeats + 1) if repeats % n == 0 and n * size <= WIDE_FILE), default=1)
    return chains * wide, layout.chunk_draws * max(1, FIRST_FILE // (wide * size)), *variable.shape


def _bytes(layout: Layout, variable: Variable, chains: int) -> int:
    """Of a chunk with so many chains."""
    return chains * layout.chunk_draws * int(np.prod(variable.shape)) * np.dtype(variable.dtype).itemsize


def _create_coordinates(group: zarr.Group, sizes: Mapping[str, int], layout: Layout) -> None:
    """A coordinate of every dimension but draw, which grows: readers number it."""
    for dim, size in sizes.items():
        _create_filled(group, dim, (dim,), np.asarray(layout.coords.get(dim, np.arange(size))))


def _create_filled(group: zarr.Group, name: str, dims: tuple[str, ...], values: np.ndarray) -> None:
    text = values.dtype.kind in "UO"
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=values.shape,
        dtype=str if text else values.dtype,
        compressors=ZstdCodec(level=1, checksum=True),
        chunk_key_encoding=CHUNK_KEYS,
        dimension_names=dims,
        config={"write_empty_chunks": True},
    )
    array[...] = values


def check(layout: Layout) -> None:
    """Refuse a layout that Zarr, xarray or ArviZ could not read back, naming what is wrong."""
    for what in ("shards", "shard_chains", "chunk_draws"):
        _require(getattr(layout, what) >= 1, f"{what} is {getattr(layout, what)}: give 1 or more")
    both = set(layout.groups) & set(layout.static)
    _require(not both, f"groups {sorted(both)} are both growing and static: use two names")
    for group in (*layout.groups, *layout.static):
        _check_name(group, "group")
        _require(group not in RESERVED_GROUPS, f"the group name {group!r} is reserved: use another")
    for group, variables in layout.groups.items():
        _require(bool(variables), f"group {group!r} has no variables: leave it out")
        for name, variable in variables.items():
            _check_variable(f"{group}/{name}", variable)
    for group, arrays in layout.static.items():
        for name, (dims, values) in arrays.items():
            _check_static(f"{group}/{name}", dims, np.asarray(values))
    _check_dimensions(layout)


def _check_dimensions(layout: Layout) -> None:
    known: set[str] = set()
    for group in (*layout.groups, *layout.static):
        sizes = _sizes(group, layout)
        clash = set(sizes) & set(layout.groups.get(group, layout.static.get(group, {})))
        _require(not clash, f"group {group!r} has variables named like dimensions, {sorted(clash)}: rename either")
        known |= set(sizes)
        for dim in set(sizes) & set(layout.coords):
            _check_coordinate(dim, np.asarray(layout.coords[dim]), sizes[dim], group)
    unknown = set(layout.coords) - known
    _require(not unknown, f"coordinates {sorted(unknown)} belong to no variable: remove them or name the dimensions so")


def _sizes(group: str, layout: Layout) -> dict[str, int]:
    """The size of every fixed dimension of a group; one name has one size."""
    chains = {CHAIN: layout.shards * layout.shard_chains} if group in layout.groups else {}
    growing = [(v.dims, v.shape) for v in layout.groups.get(group, {}).values()]
    static = [(dims, np.shape(values)) for dims, values in layout.static.get(group, {}).values()]
    sizes: dict[str, int] = dict(chains)
    for dims, shape in growing + static:
        for dim, size in zip(dims, shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise StoreError(
                    f"dimension {dim!r} of group {group!r} has the sizes {sizes[dim]} and {size}: use two names"
                )
    return sizes


def _check_name(name: str, what: str) -> None:
    good = bool(name) and "/" not in name and "\0" not in name and not name.startswith((".", "__")) and name != ROOT
    _require(good, f"{what} name {name!r} is not allowed: no slash, no leading dot or double underscore, not {ROOT}")


def _check_variable(name: str, variable: Variable) -> None:
    _check_dims(name, variable.dims, variable.shape)
    kind = np.dtype(variable.dtype).kind
    _require(kind in "biuf", f"{name} has dtype {variable.dtype}: booleans, integers and floats can be recorded")
    reserved = {CHAIN, DRAW} & set(variable.dims)
    _require(not reserved, f"{name} has the dimensions {sorted(reserved)} of its own: the store adds chain and draw")


def _check_static(name: str, dims: tuple[str, ...], values: np.ndarray) -> None:
    _check_dims(name, dims, values.shape)
    _require(
        values.dtype.kind in "biufU" or _is_text(values), f"{name} has dtype {values.dtype}: give numbers or strings"
    )


def _check_dims(name: str, dims: tuple[str, ...], shape: tuple[int, ...]) -> None:
    _check_name(name.split("/", 1)[1], "variable")
    for dim in dims:
        _check_name(dim, "dimension")
    _require(len(dims) == len(shape), f"{name} has {len(dims)} dimension names {dims} for the shape {shape}")
    _require(len(set(dims)) == len(dims), f"{name} has a dimension twice, {dims}: xarray needs different names")
    _require(all(size >= 1 for size in shape), f"{name} has the shape {shape}: every size must be 1 or more")


def _check_coordinate(dim: str, values: np.ndarray, size: int, group: str) -> None:
    _require(dim != DRAW, "the draw coordinate counts the stored draws: remove it from coords")
    good = values.shape == (size,)
    _require(
        good, f"coordinate {dim!r} has the shape {values.shape}, dimension {dim!r} of group {group!r} the size {size}"
    )
    _require(values.dtype.kind in "biufU" or _is_text(values), f"coordinate {dim!r} must hold numbers or strings")


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StoreError(f"the layout cannot be stored: {message}.")
