"""Whether a store is as it was written, and back to what is sound where it is not."""

from pathlib import Path
from typing import NamedTuple

from ensemble.store import opening as stores
from ensemble.store.contents import Damage


class Verified(NamedTuple):
    """What was found in a store, and what was done.

    path: of the store.
    files: looked at.
    bytes: in them.
    damaged: files that were not as they were written, each with what was wrong with it.
    digests: whether the store has digests; one of an earlier version has none, and only what cannot be read is found.
    lost: sentences on what a repair gave up; None where none was asked for, or needed.
    """

    path: Path
    files: int
    bytes: int
    damaged: tuple[Damage, ...]
    digests: bool
    lost: tuple[str, ...] | None

    @property
    def sound(self) -> bool:
        """Whether everything is as it was written, now."""
        return not self.damaged or self.lost is not None

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def verify(store: str | Path, *, repair: bool = False) -> Verified:
    """Look at every file of a store, also while its run goes on, and say which are damaged.

    repair: go back to the last sound commit: what the store knows twice is written anew, and draws and checkpoints from
    the first damaged one on are given up. Raises StoreError where there is no store, StoreLocked where one to be
    repaired is being written, and StoreError where only a copy of the store helps.
    """
    found = stores.verify(store)
    lost = stores.repair(store) if repair and found.damaged else None
    return Verified(Path(store), found.files, found.bytes, found.damaged, found.digests, lost)


def _lines(found: Verified) -> list[str]:
    head = f"{found.path}: {found.files:,} files, {found.bytes / 1e6:,.1f} MB"
    if not found.digests:
        head += (
            "\nIt was begun by a version that kept no digests of draws: what can be read at all is sound as far as can "
            "be told, and cannot be verified."
        )
    if not found.damaged:
        return [head, "All are as they were written." if found.digests else "All can be read."]
    lines = [head, f"{len(found.damaged)} damaged:", *(f"  {damage.file}: {damage.why}" for damage in found.damaged)]
    if found.lost is None:
        if found.path.is_file():
            return [*lines, stores.FROM_A_COPY]
        return [
            *lines,
            "Restore them from a copy of the store, or go back to the last sound commit: "
            f"`{stores.repair_command(found.path)}`.",
        ]
    if not found.lost:
        return [*lines, "Repaired: all of that was known twice, and nothing is lost."]
    return [*lines, "Repaired: the store stands at its last sound commit. Lost:", *(f"  {loss}" for loss in found.lost)]
