"""The last sound commit of a store that is damaged, and what is lost by going back to it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ensemble.errors import StoreDamaged, StoreError
from ensemble.store import checkpoint as checkpoints
from ensemble.store.checkpoint import Reference
from ensemble.store.chunking.grid import coarsened, with_grid
from ensemble.store.contents import Damage
from ensemble.store.disk.digests import group_of
from ensemble.store.disk.filesystem import Filesystem
from ensemble.store.integrity.checks import Checks, bytes_of, is_foreign
from ensemble.store.integrity.verification import checkpoint_files, files_of
from ensemble.store.layout import ROOT
from ensemble.store.root import Record, Root, encode_member, encode_root, parse_root, read_root

SUMMARY = "summary"
"""The attribute of a run that counts its draws: where a commit's own attributes are gone, it would tell too many."""


class Recovery(NamedTuple):
    """A state to go back to.

    root: it.
    lost: sentences on what is given up; empty where all that is damaged can be written anew.
    mended: files that can be written anew, and their bytes.
    """

    root: Root
    lost: tuple[str, ...]
    mended: dict[str, bytes]


def last_sound(path: Path) -> Recovery:
    """The last state that is whole, or can be made so. StoreError where there is none."""
    root, lost = _root(path)
    mended, damaged = _mended(path, root)
    if irreplaceable := [damage for damage in damaged if damage.file in Checks(root).fixed]:
        raise StoreError(
            f"{path / irreplaceable[0].file} is damaged ({irreplaceable[0].why}) and nothing in the store says what "
            "was in it: restore it from a copy of the store. The draws can be read by zarr or xarray."
        )
    for state in _states(path, root, {damage.file for damage in damaged}):
        return Recovery(state, (*lost, *_losses(root.record, state.record)), mended)
    raise AssertionError("the state without draws is always sound")


def _root(path: Path) -> tuple[Root, tuple[str, ...]]:
    """The store's root, or where it is damaged the latest that a manifest keeps, and what is lost by that."""
    try:
        root = read_root(path)
        if is_foreign(path, root):
            raise StoreDamaged(f"{path / ROOT} is that of another store: restore it from a copy of this one.")
    except StoreDamaged:
        for earlier in _earlier_roots(path):
            if not is_foreign(path, earlier):
                return _without_pruned(path, _in_files_since(path, earlier)), (f"what was committed last, with {ROOT}",)
        raise
    return root, ()


def _without_pruned(path: Path, root: Root) -> Root:
    """An earlier root without the checkpoints that the commit after it removed."""
    kept = (named for named in root.record.checkpoints if (path / checkpoints.FOLDER / str(named.epoch)).is_dir())
    return root._replace(record=root.record._replace(checkpoints=tuple(kept)))


def _in_files_since(path: Path, root: Root) -> Root:
    """An earlier root with its draws in the files that they were put into since, as the arrays' own metadata tell."""
    members = dict(root.members)
    for group, variables in root.variables().items():
        for name in variables:
            array = f"{group}/{name}"
            with suppress(ValueError, KeyError, TypeError):
                told = json.loads(bytes_of(path / array / ROOT))
                if coarsened(root.members[array], told):
                    members[array] = with_grid(root.members[array], told)
    return root._replace(members=members)


def mend(path: Path, fs: Filesystem, recovery: Recovery) -> None:
    """Write durably what can be written anew, and then the root of the state to go back to."""
    folders = {path / member for member in recovery.root.members} | {path / checkpoints.FOLDER}
    for folder in sorted(folders):
        if not folder.is_dir():
            fs.make_folder(folder)
            fs.sync_folder(folder.parent)
    for file, data in recovery.mended.items():
        fs.write(path / file, data)
    for folder in sorted({(path / file).parent for file in recovery.mended}):
        fs.sync_folder(folder)
    fs.write(path / ROOT, encode_root(recovery.root))
    fs.sync_folder(path)


def _earlier_roots(path: Path) -> Iterator[Root]:
    for data in checkpoints.roots_before(path):
        try:
            yield parse_root(path, data)
        except StoreError:
            continue


def _mended(path: Path, root: Root) -> tuple[dict[str, bytes], list[Damage]]:
    """Files that can be written anew: metadata, of which the root has a copy, and coordinates that another group has
    too. And the damage that stays."""
    checks, mended, stays = Checks(root), {}, []
    wrong = [Damage(file, why) for file, _, why in (*files_of(path, root), *checkpoint_files(path, root)) if why]
    bad = {damage.file for damage in wrong}
    for damage in wrong:
        member = damage.file.removesuffix(f"/{ROOT}")
        same = [file for file, digest in checks.fixed.items() if digest == checks.fixed.get(damage.file)]
        if member in root.members:
            mended[damage.file] = encode_member(root.members[member])
        elif whole := [file for file in same if file not in bad]:
            mended[damage.file] = (path / whole[0]).read_bytes()
        else:
            stays.append(damage)
    return mended, stays


def _states(path: Path, root: Root, damaged: set[str]) -> Iterator[Root]:
    """Sound states, the latest first: that of the root, those of its checkpoints, and draws without a checkpoint."""
    record = root.record
    whole = [named for named in record.checkpoints if not _damaged_checkpoint(named.epoch, damaged)]
    if not _damaged_draws(path, root, damaged) and (not record.checkpoints or record.checkpoints[-1] in whole):
        yield root.at(root.attributes, record._replace(checkpoints=tuple(whole)))
    for named in reversed(whole):
        back = record.back_at(named)
        state = _as_committed(path, root, back._replace(checkpoints=tuple(c for c in whole if c.epoch <= named.epoch)))
        if not _damaged_draws(path, state, damaged):
            yield state
    yield _before_the_damage(path, root, damaged, whole)


def _as_committed(path: Path, root: Root, record: Record) -> Root:
    """The state of an earlier commit with its own attributes, where a manifest still has them."""
    for earlier in _earlier_roots(path):
        same = earlier.record.draws == record.draws and earlier.record.checkpoints[-1:] == record.checkpoints[-1:]
        if same:
            return root.at(earlier.attributes, record)
    return root.at(_uncounted(root), record)


def _before_the_damage(path: Path, root: Root, damaged: set[str], whole: list[Reference]) -> Root:
    """All full chunks before the first damaged one, in it and in all groups that grow along with it, and the last
    checkpoint that is whole: the run goes on from there, after a gap."""
    record = root.record.back_at(whole[-1]) if whole else root.record
    checks = Checks(root)
    sound = [(file, checks.sound_draws(file, bytes_of(path / file))) for file in damaged if file in checks.files]
    draws = dict(record.draws)
    for group, committed in record.draws.items():
        alike = [count for file, count in sound if record.draws[group_of(file)] == committed]
        draws[group] = min([committed, *alike])
    tails = record.digests.tails(record.draws, record.chunk_draws) if record.digests else {}
    kept = {array: tail for array, tail in tails.items() if draws[group_of(array)] == record.draws[group_of(array)]}
    named = (whole[-1]._replace(draws=draws, tails=kept),) if whole else ()
    attributes = root.attributes if draws == root.record.draws else _uncounted(root)
    return root.at(attributes, record.cut(draws, kept)._replace(checkpoints=named))


def _uncounted(root: Root) -> dict[str, object]:
    return {name: value for name, value in root.attributes.items() if name != SUMMARY}


def _damaged_checkpoint(epoch: int, damaged: set[str]) -> bool:
    return any(file.startswith(f"{checkpoints.FOLDER}/{epoch}/") for file in damaged)


def _damaged_draws(path: Path, root: Root, damaged: set[str]) -> bool:
    """Whether draws of this state are damaged: a file has those of many states."""
    checks = Checks(root)
    return any(checks.draws_file(file, bytes_of(path / file)) for file in damaged.intersection(checks.files))


def _losses(before: Record, after: Record) -> Iterator[str]:
    for group, draws in before.draws.items():
        if after.draws[group] < draws:
            yield f"draws {after.draws[group]} to {draws - 1} of each chain of {group}"
    for named in before.checkpoints:
        if named.epoch not in {c.epoch for c in after.checkpoints}:
            yield f"the checkpoint of epoch {named.epoch}"
    if after.checkpoints and after.checkpoints[-1] not in before.checkpoints:
        yield (
            f"and with them the law that draws are those of one uninterrupted run: resumed, it goes on from its "
            f"checkpoint of epoch {after.checkpoints[-1].epoch}, after a gap"
        )
