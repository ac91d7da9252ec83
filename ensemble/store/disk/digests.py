"""Digests by which committed bytes are known again: of draws as they are, and of files that never change.

Draws are what is digested, and not the files that hold them: a file also holds draws that are not committed yet, as a
writer goes on while others read, and what a crash left behind.
"""

import hashlib
from typing import NamedTuple

import numpy as np

WIDTH = 32
"""Hexadecimal digits of a digest: the first half of a SHA-256."""


def of_bytes(data: bytes | bytearray | memoryview) -> str:
    """The digest of some bytes."""
    return hashlib.sha256(data).hexdigest()[:WIDTH]


def of_draws(block: np.ndarray, count: int) -> str:
    """The digest of the first `count` draws of a chunk [chains, draws, ...], little-endian."""
    return of_bytes(np.ascontiguousarray(block[:, :count], block.dtype.newbyteorder("<")).view(np.uint8).data)


class Digests(NamedTuple):
    """Of every committed file, but for metadata, which the root repeats, and checkpoints, which have a manifest.

    fixed: of the files of coordinates and static arrays, by their paths in the store.
    chunks: of the committed draws in chunks; by array, for every row of chunks the digests in order, in one text.
    """

    fixed: dict[str, str]
    chunks: dict[str, list[str]]

    def of_chunk(self, array: str, row: int, chunk: int) -> str:
        """Of the committed draws in one chunk."""
        return self.chunks[array][row][WIDTH * chunk : WIDTH * (chunk + 1)]

    def tails(self, draws: dict[str, int], chunk_draws: int) -> dict[str, str]:
        """Of the chunks that are not full: by array, for every row in one text."""
        return {
            array: "".join(row[-WIDTH:] for row in rows)
            for array, rows in self.chunks.items()
            if draws[group_of(array)] % chunk_draws
        }

    def cut(self, draws: dict[str, int], chunk_draws: int, tails: dict[str, str]) -> "Digests":
        """Those at fewer draws, whose chunks that are not full have `tails`."""
        chunks = {}
        for array, rows in self.chunks.items():
            full, tail = WIDTH * (draws[group_of(array)] // chunk_draws), tails.get(array, "")
            chunks[array] = [row[:full] + tail[WIDTH * i : WIDTH * (i + 1)] for i, row in enumerate(rows)]
        return self._replace(chunks=chunks)


class DigestBook:
    """The digests of a store that is being written. A store that began without them goes on without."""

    def __init__(self, digests: Digests | None) -> None:
        """Stand at the committed digests."""
        self._fixed = None if digests is None else digests.fixed
        chunks = {} if digests is None else digests.chunks
        self._chunks = {array: [_split(row) for row in rows] for array, rows in chunks.items()}

    def note(self, array: str, row: int, chunk: int, block: np.ndarray, count: int) -> None:
        """A chunk holds `count` draws now; chunks of a row come in order, the last one again and again."""
        if self._fixed is not None:
            self._chunks[array][row][chunk:] = [of_draws(block, count)]

    def digests(self) -> Digests | None:
        """Those of all chunks noted."""
        if self._fixed is None:
            return None
        return Digests(self._fixed, {array: ["".join(row) for row in rows] for array, rows in self._chunks.items()})


def _split(text: str) -> list[str]:
    return [text[i : i + WIDTH] for i in range(0, len(text), WIDTH)]


def group_of(array: str) -> str:
    """The group of an array, by its path in the store."""
    return array.partition("/")[0]
