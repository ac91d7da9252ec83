"""What Zarr reads a store through: every chunk is checked when it is read, so that damage never passes for draws."""

from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from ensemble.errors import StoreDamaged, StoreError
from ensemble.store.integrity.checks import Checks, remedy
from ensemble.store.layout import ROOT
from ensemble.store.root import Root, encode_member, encode_root, read_root


class VerifiedSource(WrapperStore[LocalStore]):
    """The store at `path` as its root says, whatever has been committed since.

    Reading raises StoreDamaged where a file is missing or not as written.
    """

    def __init__(self, path: Path, root: Root) -> None:
        super().__init__(LocalStore(path, read_only=True))
        self._path, self._root, self._checks = path, root, Checks(root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifiedSource) and (self._path, self._root) == (other._path, other._root)

    def __hash__(self) -> int:
        return hash(self._path)

    def _with_store(self, store: LocalStore) -> "VerifiedSource":
        return type(self)(self._path, self._root)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """The bytes of a file: metadata from the root, all else checked."""
        if key == ROOT or key.endswith(f"/{ROOT}"):
            data = self._metadata(key)
            return None if data is None or byte_range is not None else prototype.buffer.from_bytes(data)
        found = await self._store.get(key, prototype, None)
        self._check(key, None if found is None else found.to_bytes())
        return found if byte_range is None else await self._store.get(key, prototype, byte_range)

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
            return encode_root(self._root)
        member = self._root.members.get(key.removesuffix(f"/{ROOT}"))
        return None if member is None else encode_member(member)

    def _check(self, key: str, data: bytes | None) -> None:
        if why := _wrong(self._checks, key, data):
            self._require_not_rewound(key, data)
            raise StoreDamaged(f"the file {self._path / key} is damaged: {why}. {remedy(self._path)}")

    def _require_not_rewound(self, key: str, data: bytes | None) -> None:
        """What is not as this state has it may be as the present one has it: its writer has gone back since."""
        now = read_root(self._path)
        if now.record.digests != self._root.record.digests and not _wrong(Checks(now), key, data):
            raise StoreError(
                f"the run in {self._path} went back to an earlier checkpoint after it was opened for reading, and "
                "draws that were read then are given up: open it again."
            )


def _wrong(checks: Checks, key: str, data: bytes | None) -> str:
    """What is wrong with a file; empty for one that a state does not have."""
    kind: Any = checks.chunk if key in checks.chunks else checks.fixed_file if key in checks.fixed else None
    if kind is None:
        return ""
    return "it is missing" if data is None else str(kind(key, data))
