"""What Zarr reads a store through: every chunk is checked when it is read, so that damage never passes for draws."""

import asyncio
import zipfile
from collections.abc import AsyncGenerator, Iterable

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import MemoryStore, WrapperStore

from ensemble.errors import StoreDamaged, StoreError
from ensemble.store.chunking.codec import gridded_as
from ensemble.store.chunking.grid import by_chunk
from ensemble.store.disk.packed import Place
from ensemble.store.integrity.checks import Checks, remedy
from ensemble.store.layout import ROOT
from ensemble.store.root import Root, encode_member, encode_root, read_root


class VerifiedSource(WrapperStore[MemoryStore]):
    """The store at `path` as its root says, whatever has been committed since.

    Every chunk of draws is shown as a file of its own, whichever file it is in: a run that goes on puts draws into
    larger ones. Reading raises StoreDamaged where a file is missing or not as written.
    """

    def __init__(self, path: Place, root: Root) -> None:
        super().__init__(MemoryStore(read_only=True))
        self._path, self._root, self._checks = path, root, Checks(root)
        growing = {f"{group}/{name}" for group, variables in root.variables().items() for name in variables}
        self._members = {path: by_chunk(told) if path in growing else told for path, told in root.members.items()}
        # All arrays but those of draws: a store of an old format tells no digests of their files, but has them.
        self._fixed = {path for path, told in root.members.items() if told["node_type"] == "array"} - growing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifiedSource) and (self._path, self._root) == (other._path, other._root)

    def __hash__(self) -> int:
        return hash(self._path)

    def _with_store(self, store: MemoryStore) -> "VerifiedSource":
        return type(self)(self._path, self._root)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """The bytes of a file: metadata from the root, all else checked."""
        if key == ROOT or key.endswith(f"/{ROOT}"):
            data = self._metadata(key)
        else:
            data = await asyncio.to_thread(self._sound, key)
        return None if data is None else prototype.buffer.from_bytes(_part(data, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Several of them."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for key, prototype, byte_range in requests:
            yield key, await self.get(key, prototype, byte_range)

    def _metadata(self, key: str) -> bytes | None:
        if key == ROOT:
            return encode_root(self._root._replace(members=self._members))
        member = self._members.get(key.removesuffix(f"/{ROOT}"))
        return None if member is None else encode_member(member)

    def _sound(self, key: str) -> bytes | None:
        """The bytes of a chunk, or of a file that never changes; None for what this state does not have."""
        if key not in self._checks.chunks and key.rpartition("/")[0] not in self._fixed:
            return None
        data, why = _looked_up(self._path, self._checks, key)
        if why:
            now = read_root(self._path)
            # The same draws may have been put into another file since.
            data, why = _looked_up(self._path, Checks(gridded_as(self._root, now)), key)
        if why:
            self._require_not_rewound(key, now)
            chunk = self._checks.chunks.get(key)
            file = key if chunk is None else self._checks.file_of(chunk)
            raise StoreDamaged(f"the file {self._path / file} is damaged: {why}. {remedy(self._path)}")
        return data

    def _require_not_rewound(self, key: str, now: Root) -> None:
        """What is not as this state has it may be as the present one has it: its writer has gone back since."""
        if now.record.digests == self._root.record.digests:
            return
        checks = Checks(now)
        present = key in checks.chunks or key.rpartition("/")[0] in self._fixed
        if not present or not _looked_up(self._path, checks, key)[1]:
            raise StoreError(
                f"the run in {self._path} went back to an earlier checkpoint after it was opened for reading, and "
                "draws that were read then are given up: open it again."
            )


def _looked_up(path: Place, checks: Checks, key: str) -> tuple[bytes, str]:
    """The bytes of a chunk, or of a file that never changes, and what is wrong with them."""
    chunk = checks.chunks.get(key)
    try:
        if chunk is None:
            data = (path / key).read_bytes()
            return data, checks.fixed_file(key, data)
        # One open file is one state of it, whatever replaces it meanwhile.
        with (path / checks.file_of(chunk)).open("rb") as file:
            data = checks.chunk_in(chunk, file)
        return data, checks.chunk(chunk, data)
    except FileNotFoundError:
        return b"", "it is missing"
    except OSError as error:
        return b"", f"it cannot be read ({error.strerror})"
    except (ValueError, zipfile.BadZipFile) as error:
        return b"", str(error)


def _part(data: bytes, wanted: ByteRequest | None) -> bytes:
    match wanted:
        case None:
            return data
        case RangeByteRequest():
            return data[wanted.start : wanted.end]
        case OffsetByteRequest():
            return data[wanted.offset :]
        case SuffixByteRequest():
            return data[max(0, len(data) - wanted.suffix) :]
    raise TypeError(f"{wanted!r} is no part of a file")
