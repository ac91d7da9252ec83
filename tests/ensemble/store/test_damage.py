"""Damage to a store: of every file, in every way, it is refused by name, or makes no difference; and it is repaired."""

import itertools
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.errors import StoreDamaged, StoreError
from ensemble.store import layout as layouts
from ensemble.store import opening as stores
from ensemble.store.contents import Checkpoint, Layout, Variable
from tests.support.store_roots import as_before_digests, edit_root

SHARDS, CHAINS = 2, 2
LAYOUT = Layout(
    {
        "posterior": {"mu": Variable("float64"), "a": Variable("float32", ("gene",), (3,))},
        "warmup_sample_stats": {"lp": Variable("float64")},
    },
    CHAINS,
    SHARDS,
    chunk_draws=3,
    coords={"gene": np.array(["x", "y", "z"])},
    static={"observed_data": {"y": (("gene",), np.arange(3.0))}},
)
DRAWS = {"posterior": 2, "warmup_sample_stats": 3}
"""Draws in every commit."""
COMMITS = 4


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def made(path: Path, seed: int, commits: int = COMMITS) -> Path:
    """A store of some commits, whose chunks are of one shard (`a`) and of all."""
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "SMALL_CHUNK", 100)
        patch.setattr(layouts, "FIRST_FILE", 200)
        with stores.create(path, LAYOUT, {"seed": seed, "settings": {"x": seed}}) as store:
            for epoch in range(commits):
                for group, shard in itertools.product(DRAWS, range(SHARDS)):
                    shapes = {name: (DRAWS[group], CHAINS, *v.shape) for name, v in LAYOUT.groups[group].items()}
                    drawn = {name: rng.normal(size=shape) for name, shape in shapes.items()}
                    store.append(shard, group, {n: x.astype(LAYOUT.groups[group][n].dtype) for n, x in drawn.items()})
                shards = [{"x": rng.normal(size=4)} for _ in range(SHARDS)]
                store.commit(
                    Checkpoint(epoch, shards, {"c": rng.normal(size=2)}, {"e": epoch}), {"summary": {"n": epoch}}
                )
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("sound") / "run.zarr", 1)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another run with files of the same names."""
    return made(tmp_path_factory.mktemp("other") / "run.zarr", 2)


def truncated(file: Path, _: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file: Path, _: Path) -> None:
    file.write_bytes(b"")


def deleted(file: Path, _: Path) -> None:
    file.unlink()


def flipped(file: Path, _: Path) -> None:
    data = bytearray(file.read_bytes())
    # The place follows from the file's name: another one in every file, the same in every run.
    place = random.Random(file.name + file.parent.name).randrange(8 * len(data))
    data[place // 8] ^= 1 << place % 8
    file.write_bytes(data)


def swapped(file: Path, theirs: Path) -> None:
    shutil.copyfile(theirs, file)


DAMAGES = [truncated, emptied, deleted, flipped, swapped]


def values(groups: Any) -> dict[str, Any]:
    return {
        f"{group}/{name}": (x.dims, x.values.tolist() if x.dtype.kind in "OU" else x.values.tobytes())
        for group, dataset in groups.items()
        for name, x in dataset.variables.items()
    }


def checkpoint(found: Checkpoint) -> Any:
    return (
        found.epoch,
        repr(found.info),
        [[x.tobytes() for x in p.values()] for p in (*found.shards, found.coordinator)],
    )


def state(path: Path) -> Any:
    found = stores.reader(path).coordinator_state()
    return None if found is None else (found.epoch, repr(found.info), [x.tobytes() for x in found.arrays.values()])


def gone_on(path: Path) -> Any:
    """What a resumed run stands at; of a copy, for going on changes a store."""
    copy = path.with_name(f"{path.name}.resumed")
    shutil.copytree(path, copy)
    try:
        with stores.reopen(copy) as store:
            return store.committed, repr(store.attributes), checkpoint(store.load_checkpoint())
    finally:
        shutil.rmtree(copy)


READERS: dict[str, Callable[[Path], Any]] = {
    "inspect": lambda path: {k: v for k, v in stores.reader(path).attributes.items() if k != "maxwell"},
    "draws": lambda path: values(stores.reader(path).groups()),
    "diagnostics": state,
    "start": lambda path: checkpoint(stores.reader(path).last_checkpoint()),
    "resume": gone_on,
}


def files(path: Path) -> list[str]:
    return sorted(str(f.relative_to(path)) for f in path.rglob("*") if f.is_file() and f.name != ".lock")


def damaged_copies(
    sound: Path, other: Path, folder: Path, damage: Callable[[Path, Path], None]
) -> Iterator[tuple[str, Path]]:
    """A store for every file, damaged there."""
    for number, file in enumerate(files(sound)):
        copy = folder / str(number)
        shutil.copytree(sound, copy)
        damage(copy / file, other / file)
        if not (copy / file).exists() or (copy / file).read_bytes() != (sound / file).read_bytes():
            yield file, copy
        shutil.rmtree(copy)


def outcome(read: Callable[[Path], Any], path: Path) -> Any:
    """What was read, or the error that says why not; any other exception is a traceback."""
    try:
        return read(path)
    except StoreError as error:
        return error


def told(error: Any, file: str) -> bool:
    """Whether this is an error that names the file, by its path or by its folder and name, and says what to do."""
    if not isinstance(error, StoreError):
        return False
    folder, _, name = file.rpartition("/")
    text = str(error)
    return folder in text and name in text and any(word in text for word in ("estore", "--repair", "Give the path"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_by_name_or_makes_no_difference(sound: Path, other: Path, tmp_path: Path, damage) -> None:
    before = {name: read(sound) for name, read in READERS.items()}
    damaged, refused = [], []
    for file, copy in damaged_copies(sound, other, tmp_path, damage):
        outcomes = {name: outcome(read, copy) for name, read in READERS.items()}
        for name, found in outcomes.items():
            same = not isinstance(found, StoreError) and found == before[name]
            assert same or told(found, file), f"{name} of a store with {file} {damage.__name__}: {found}"
        assert [found.file for found in stores.verify(copy).damaged] == [file]
        damaged.append(file)
        refused += [file] if any(isinstance(found, StoreError) for found in outcomes.values()) else []
    # Whatever a reader uses is looked at: all but the checkpoint before the last.
    assert refused == [file for file in damaged if not file.startswith(f"checkpoint/{COMMITS - 2}/")]
    assert len(refused) > 12


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_repair_goes_back_to_what_is_sound_and_keeps_that_bit_for_bit(
    sound: Path, other: Path, tmp_path: Path, damage
) -> None:
    before = stores.reader(sound).groups()
    for file, copy in damaged_copies(sound, other, tmp_path, damage):
        lost = outcome(stores.repair, copy)
        if file.startswith("observed_data/y/c"):
            # What no other file of the store knows.
            assert isinstance(lost, StoreError)
            assert "restore it from a copy" in str(lost)
            continue
        assert not stores.verify(copy).damaged, file
        after = stores.reader(copy).groups()
        for group, dataset in after.items():
            kept = before[group].isel(draw=slice(dataset.sizes["draw"])) if "draw" in dataset.dims else before[group]
            assert values({group: dataset}) == values({group: kept}), file
        shorter = any(after[group].sizes["draw"] < before[group].sizes["draw"] for group in DRAWS)
        fewer = len(stores.reader(copy).attributes["maxwell"]["checkpoints"]) < 2
        assert bool(lost) == (shorter or fewer or file == "zarr.json"), (file, lost)


def test_a_sound_store_is_left_alone_and_counted(sound: Path) -> None:
    found = stores.verify(sound)
    present = [sound / file for file in files(sound)]
    assert (found.files, found.bytes) == (len(present), sum(file.stat().st_size for file in present))
    assert (found.damaged, found.digests) == ((), True)
    before = {file: file.read_bytes() for file in present}
    assert stores.repair(sound) == ()
    assert before == {file: file.read_bytes() for file in present}


def flip(file: Path) -> None:
    flipped(file, file)


def test_a_damaged_checkpoint_costs_what_came_after_the_one_before(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    shutil.copytree(sound, path)
    flip(path / "checkpoint" / "3" / "shard-1.npz")
    lost = stores.repair(path)
    assert lost == (
        "draws 6 to 7 of each chain of posterior",
        "draws 9 to 11 of each chain of warmup_sample_stats",
        "the checkpoint of epoch 3",
    )
    # The attributes are those of that commit too.
    assert stores.reader(path).attributes["summary"] == {"n": 2}
    with stores.reopen(path) as store:
        assert store.load_checkpoint().epoch == 2
        assert store.committed == {"posterior": 6, "warmup_sample_stats": 9}


def test_a_lost_root_costs_the_last_commit(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    shutil.copytree(sound, path)
    (path / "zarr.json").unlink()
    assert stores.repair(path) == ("what was committed last, with zarr.json",)
    assert stores.reader(path).attributes["summary"] == {"n": 2}
    with stores.reopen(path) as store:
        assert store.load_checkpoint().epoch == 2


@pytest.mark.parametrize("kind", [deleted, flipped])
def test_damage_before_both_checkpoints_leaves_the_draws_before_it_and_the_run_goes_on_after_a_gap(
    sound: Path, tmp_path: Path, kind
) -> None:
    path = tmp_path / "run.zarr"
    shutil.copytree(sound, path)
    kind(path / "posterior" / "a" / "c.0.1.0", path)
    *lost, gap = stores.repair(path)
    assert lost == ["draws 3 to 7 of each chain of posterior", "the checkpoint of epoch 2"]
    assert "goes on from its checkpoint of epoch 3, after a gap" in gap
    # What counted the draws that are gone is gone too.
    assert "summary" not in stores.reader(path).attributes
    with stores.reopen(path) as store:
        assert store.load_checkpoint().epoch == 3
        store.rewind()
        assert store.committed == {"posterior": 3, "warmup_sample_stats": 12}
        for shard in range(SHARDS):
            store.append(shard, "posterior", {"mu": np.ones((1, CHAINS)), "a": np.ones((1, CHAINS, 3), np.float32)})
        store.commit()
    after, before = stores.reader(path).groups()["posterior"], stores.reader(sound).groups()["posterior"]
    np.testing.assert_array_equal(after["a"][:, :3], before["a"][:, :3])
    assert (after["a"][:, 3] == 1).all()


def test_without_any_whole_checkpoint_the_draws_stay(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    shutil.copytree(sound, path)
    shutil.rmtree(path / "checkpoint")
    assert stores.repair(path) == ("the checkpoint of epoch 2", "the checkpoint of epoch 3")
    assert values(stores.reader(path).groups()) == values(stores.reader(sound).groups())
    with stores.reopen(path) as store, pytest.raises(StoreError, match="no checkpoint to go on from"):
        store.load_checkpoint()


def test_a_store_without_digests_is_read_as_before_and_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    shutil.unpack_archive(Path(__file__).parents[2] / "data" / "store_format_3.zip", path)
    before = values(stores.reader(path).groups())
    edit_root(path, lambda document: as_before_digests(document, 2))
    assert values(stores.reader(path).groups()) == before
    assert not stores.verify(path).digests
    with stores.reopen(path) as store:
        assert store.load_checkpoint().epoch == 1
        store.commit(None, {"more": 1})
    assert not stores.verify(path).digests
    truncated(path / "posterior" / "a" / "c.0.0.0", path)
    assert [damage.file for damage in stores.verify(path).damaged] == ["posterior/a/c.0.0.0"]
    with pytest.raises(StoreDamaged, match=r"c\.0\.0\.0 is damaged: it cannot be decoded"):
        _ = stores.reader(path).groups()["posterior"]["a"].values


def test_a_reader_from_before_a_rewind_is_told_to_open_again(tmp_path: Path) -> None:
    path = made(tmp_path / "run.zarr", 1)
    shape = {"mu": np.ones((4, CHAINS)), "a": np.ones((4, CHAINS, 3), np.float32)}
    with stores.reopen(path) as store:
        for shard in range(SHARDS):
            store.append(shard, "posterior", shape)
        store.commit()
        early = stores.reader(path).groups()
        store.rewind()
        for shard in range(SHARDS):
            store.append(shard, "posterior", {name: 2 * x for name, x in shape.items()})
        store.commit()
        with pytest.raises(StoreError, match="went back to an earlier checkpoint"):
            _ = early["posterior"]["mu"].values


def test_what_a_run_adds_meanwhile_is_no_damage(tmp_path: Path) -> None:
    """A reader of an early state reads it from chunks that have been written over since."""
    path = made(tmp_path / "run.zarr", 1, commits=1)
    before = values(stores.reader(path).groups())
    early = stores.reader(path)
    with stores.reopen(path) as store:
        for number in range(5):
            for shard in range(SHARDS):
                drawn = {"mu": np.full((1, CHAINS), number), "a": np.full((1, CHAINS, 3), number, np.float32)}
                store.append(shard, "posterior", drawn)
            store.commit()
            assert values(early.groups()) == before
            assert not stores.verify(path).damaged


@pytest.mark.slow
def test_random_damage(sound: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """2,000 stores with one to three files damaged at random."""
    before = {name: read(sound) for name, read in READERS.items()}
    rng, refused = random.Random(18), 0
    for number in range(2000):
        copy = tmp_path / str(number)
        shutil.copytree(sound, copy)
        for file in rng.sample(files(sound), rng.choice([1, 1, 2, 3])):
            data = bytearray((copy / file).read_bytes())
            kind = rng.randrange(7)
            if kind < 3:
                for _ in range(rng.choice([1, 1, 8])):
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                (copy / file).write_bytes(data)
            elif kind == 3:
                (copy / file).write_bytes(data[: rng.randrange(len(data))])
            elif kind == 4:
                (copy / file).write_bytes(rng.randbytes(len(data)))
            else:
                (deleted if kind == 5 else swapped)(copy / file, other / file)
        name = rng.choice(list(READERS))
        found = outcome(READERS[name], copy)
        refused += isinstance(found, StoreError)
        assert isinstance(found, StoreError) or found == before[name], (number, name)
        shutil.rmtree(copy)
    with capsys.disabled():
        sys.stdout.write(
            f"\n2,000 damaged stores: {refused} refused, {2000 - refused} read as they were; 0 silent differences\n"
        )
