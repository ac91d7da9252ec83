"""The bytes of a file of draws: an index of its chunks, and the chunks, as Zarr's sharding codec has them.

The index [rows, chunks, 2] of little-endian 64-bit numbers has the offset and the length of every chunk in the file, of
absent ones the largest number, and a CRC-32C after it. It stands first: a file that was cut short keeps it.
"""

from collections.abc import Mapping
from typing import IO

import google_crc32c
import numpy as np

from ensemble.store.chunking.grid import Grid, Place

NUMBER = np.dtype("<u8")
ABSENT = np.iinfo(NUMBER).max
CHECKSUM = 4
"""Bytes of the index's checksum."""


def join(chunks: Mapping[Place, bytes], grid: Grid) -> bytes:
    """The file with the encoded chunks, in the order of draws: those of a file that fills stay where they are."""
    if not grid.sharded:
        (only,) = chunks.values()
        return only
    index = np.full((grid.rows, grid.chunks, 2), ABSENT, NUMBER)
    offset, parts = index.nbytes + CHECKSUM, []
    for place in sorted(chunks, key=lambda place: (place.chunk, place.row)):
        index[place] = offset, len(chunks[place])
        offset += len(chunks[place])
        parts.append(chunks[place])
    head = index.tobytes()
    return b"".join([head, _checksum(head), *parts])


def split(data: bytes, grid: Grid) -> dict[Place, bytes]:
    """The encoded chunks of a file, where it was cut short those that are whole. ValueError where the index is not as
    it was written."""
    if not grid.sharded:
        return {Place(0, 0): data}
    index, found = _index(data[: _head(grid)], grid), {}
    for row, chunk in np.argwhere(index[..., 0] != ABSENT).tolist():
        offset, length = index[row, chunk].tolist()
        if offset + length <= len(data):
            found[Place(row, chunk)] = data[offset : offset + length]
    return found


def read_chunk(file: IO[bytes], grid: Grid, place: Place) -> bytes:
    """One encoded chunk of an open file. ValueError where it is not there or the index is not as it was written."""
    if not grid.sharded:
        return file.read()
    offset, length = _index(file.read(_head(grid)), grid)[place].tolist()
    if offset == ABSENT:
        raise ValueError("its index lacks draws that were committed")
    file.seek(offset)
    return file.read(length)


def _head(grid: Grid) -> int:
    return 2 * NUMBER.itemsize * grid.rows * grid.chunks + CHECKSUM


def _index(head: bytes, grid: Grid) -> np.ndarray:
    if len(head) < _head(grid) or _checksum(head[:-CHECKSUM]) != head[-CHECKSUM:]:
        raise ValueError("its index is not as it was written")
    return np.frombuffer(head[:-CHECKSUM], NUMBER).reshape(grid.rows, grid.chunks, 2)


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(CHECKSUM, "little")
