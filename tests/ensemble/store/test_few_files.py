"""A store has few files, however long its run, and draws are the same wherever they are put."""

import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray

from ensemble.store import opening as stores
from ensemble.store.chunking import condensing
from ensemble.store.chunking.condensing import GROWTH, MOST_FILES, Growing, crowded
from ensemble.store.chunking.grid import Grid, Place
from ensemble.store.chunking.sharded import join, split
from ensemble.store.contents import Checkpoint, Layout, Variable
from ensemble.store.writer import ZarrStore
from tests.support.faulty_filesystem import Crash, FaultyFilesystem, snapshot

SHARDS, CHAINS = 2, 2
GROUPS = {
    "posterior": {"mu": Variable("float64"), "a": Variable("float32", ("gene",), (300,))},
    "sample_stats": {"lp": Variable("float64")},
}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def draw(name: str, shard: int, number: int) -> np.ndarray:
    """Draw `number` [1, CHAINS, *shape] of a variable: values that tell where they belong, and what noise is not."""
    variable = next(variables[name] for variables in GROUPS.values() if name in variables)
    noise = np.random.default_rng([number, shard, len(name)]).normal(size=(1, CHAINS, *variable.shape))
    return (number + noise / 100).astype(variable.dtype)


def add(store: ZarrStore, numbers: range, checkpoint: Checkpoint | None = None) -> None:
    for group, shard, number in itertools.product(GROUPS, range(SHARDS), numbers):
        store.append(shard, group, {name: draw(name, shard, number) for name in GROUPS[group]})
    store.commit(checkpoint, {"summary": {"draws": numbers.stop}})


def files(path: Path) -> int:
    return sum(file.is_file() for file in path.rglob("*"))


def assert_holds(tree, count: int) -> None:
    for group, name in ((group, name) for group, variables in GROUPS.items() for name in variables):
        found = tree[group][name].values
        assert found.shape[:2] == (SHARDS * CHAINS, count)
        shards = [
            np.concatenate([draw(name, shard, n) for n in range(count)]).swapaxes(0, 1) for shard in range(SHARDS)
        ]
        assert found.tobytes() == np.concatenate(shards).tobytes()


@pytest.mark.slow
def test_a_long_run_has_few_files(tmp_path: Path) -> None:
    """1,500 commits of a draw each; each was a file in every array."""
    path, most, sizes = tmp_path / "run.zarr", 0, set()
    with stores.create(path, Layout(GROUPS, CHAINS, SHARDS, chunk_draws=1), {}) as store:
        for number in range(1500):
            add(store, range(number, number + 1), Checkpoint(number, [{"x": np.ones(3)}] * 20, {}, {}))
            most = max(most, files(path))
            sizes.add(len(list((path / "posterior" / "a").iterdir())))
    assert most < 400
    assert len(sizes) > 50, "nothing was put into larger files"
    assert_holds(stores.reader(path).groups(), 1500)
    assert_holds(xarray.open_datatree(path, engine="zarr"), 1500)
    assert not stores.verify(path).damaged
    assert len(list((path / "checkpoint" / "1499").iterdir())) <= 10
    assert len(stores.reader(path).last_checkpoint().shards) == 20


@pytest.fixture
def crowded_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are too many soon."""
    monkeypatch.setattr(condensing, "MOST_FILES", 5)
    monkeypatch.setattr(condensing, "LEAST_EACH", 1)


def names(path: Path) -> set[str]:
    return {file.name for file in (path / "posterior" / "a").iterdir()} - {"zarr.json"}


@pytest.mark.usefixtures("crowded_soon")
def test_readers_from_before_see_the_same(tmp_path: Path) -> None:
    """One that has opened the draws and one that has read the root only; also in a store put together by two runs."""
    path = tmp_path / "run.zarr"
    layout = Layout(GROUPS, CHAINS, SHARDS, chunk_draws=14)
    with stores.create(path, layout, {}) as store:
        add(store, range(30))
        early, opened = stores.reader(path), stores.reader(path).groups()
        before = names(path)
        add(store, range(30, 200))
        add(store, range(200, 201))
    with stores.reopen(path) as store:
        add(store, range(201, 400))
    assert names(path).isdisjoint(before) or len(names(path)) < 400 // 14
    assert_holds(opened, 30)
    assert_holds(early.groups(), 30)
    assert_holds(stores.reader(path).groups(), 400)
    assert not stores.verify(path).damaged


@pytest.mark.usefixtures("crowded_soon")
def test_a_lost_root_is_made_up_for_after_draws_were_moved(tmp_path: Path) -> None:
    """The root of the commit before, which a manifest keeps, names the files of then."""
    path = tmp_path / "run.zarr"
    repaired = []
    with stores.create(path, Layout(GROUPS, CHAINS, SHARDS, chunk_draws=14), {}) as store:
        for number in range(30):
            was = names(path)
            add(store, range(14 * number, 14 * number + 14), Checkpoint(number, [{"x": np.ones(3)}] * SHARDS, {}, {}))
            if number and not was <= names(path):
                copy = tmp_path / f"copy-{number}"
                shutil.copytree(path, copy)
                (copy / "zarr.json").write_bytes(b"")
                assert stores.repair(copy) == ("what was committed last, with zarr.json",)
                assert not stores.verify(copy).damaged
                assert_holds(stores.reader(copy).groups(), 14 * number)
                repaired.append(number)
    assert len(repaired) >= 2


@pytest.mark.parametrize("power", ["stays", pytest.param("cut", marks=pytest.mark.slow), "flickers"])
@pytest.mark.usefixtures("crowded_soon")
def test_a_crash_anywhere_as_draws_move_leaves_them_all(
    tmp_path: Path, power: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into files sixteen times as large, at once."""
    monkeypatch.setattr(condensing, "MOST_FILES", 3)
    base = tmp_path / "base.zarr"
    with stores.create(base, Layout(GROUPS, CHAINS, SHARDS, chunk_draws=14), {}) as store:
        add(store, range(14))
    whole = tmp_path / "whole.zarr"
    shutil.copytree(base, whole)
    number = range(14, 8 * 14)
    with stores.reopen(whole) as store:
        assert names(whole) == {"c.0.0.0"}
        add(store, number)
    # Of 16 chunks; under the old name it would have taken the place of draws before the commit.
    assert names(whole) == {"0.0.0"}
    outcomes = set()
    for limit in itertools.count():
        path, fs = tmp_path / f"{limit}.zarr", FaultyFilesystem(limit, power, seed=limit)
        shutil.copytree(base, path)
        try:
            add(stores.reopen(path, fs), number)
        except Crash:
            pass
        else:
            fs.die()
            break
        assert not stores.verify(path).damaged
        count = stores.reader(path).groups()["posterior"].sizes["draw"]
        assert count in (number.start, number.stop)
        assert_holds(stores.reader(path).groups(), count)
        assert_holds(xarray.open_datatree(path, engine="zarr"), count)
        outcomes.add((count, names(path) == names(whole)))
        with stores.reopen(path) as store:
            if count == number.start:
                add(store, number)
        assert snapshot(path) == snapshot(whole)
        shutil.rmtree(path)
    # Whether the last operation, a removal, was done before the crash is the power's choice.
    assert outcomes >= {(number.start, False), (number.stop, False)}


@pytest.mark.parametrize("cut", [1, 200, 4000])
def test_draws_before_the_damage_in_a_file_are_kept(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "run.zarr"
    with stores.create(path, Layout(GROUPS, CHAINS, SHARDS, chunk_draws=2), {}) as store:
        add(store, range(15))
    (file,) = (path / "posterior" / "mu").glob("c.*")
    file.write_bytes(file.read_bytes()[:-cut])
    stores.repair(path)
    kept = stores.reader(path).groups()["posterior"].sizes["draw"]
    assert kept == 14 if cut == 1 else kept < 14
    assert (kept > 0) == (cut < 4000)
    if kept:
        assert_holds({g: d.isel(draw=slice(kept)) for g, d in stores.reader(path).groups().items()}, kept)
    assert not stores.verify(path).damaged


def arrays(draws: int, sizes: list[int]) -> dict[str, Growing]:
    return {str(n): Growing(Grid((4, 10), (4, 10), True, "c."), 4, draws, size) for n, size in enumerate(sizes)}


@pytest.mark.parametrize("sizes", [[8] * 26, [8] * 10 + [8000] * 3, [4] * 400])
def test_copies_are_less_than_twice_the_draws(sizes: list[int]) -> None:
    """Draws grow a chunk at a time; every copy of an array writes all its draws."""
    now, copied = arrays(0, sizes), 0
    for draws in range(10, 20000, 10):
        now = {name: array._replace(draws=draws) for name, array in now.items()}
        for name, times in crowded(now).items():
            grid = now[name].grid
            file = (grid.file[0], GROWTH**times * grid.file[1])
            now[name] = now[name]._replace(grid=grid._replace(file=file))
            copied += draws * now[name].itemsize
        assert sum(array.files for array in now.values()) <= max(MOST_FILES, GROWTH * len(sizes))
    assert 0 < copied < 2 * 20000 * sum(sizes)


def test_chunks_come_back_from_a_file_and_from_what_is_left_of_it() -> None:
    grid = Grid((2, 3, 5), (4, 12, 5), True, "c.")
    chunks = {Place(row, chunk): bytes([row, chunk]) * (5 + chunk) for row in range(2) for chunk in range(3)}
    data = join(chunks, grid)
    assert split(data, grid) == chunks
    assert split(data[:-1], grid) == {place: part for place, part in chunks.items() if place != Place(1, 2)}
    with pytest.raises(ValueError, match="index"):
        split(b"\1" + data[1:], grid)
    with pytest.raises(ValueError, match="index"):
        split(data[:20], grid)
