"""The store: what goes in comes out bit for bit, readers see what is committed, and errors say what to do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

from ensemble.errors import MaxwellError, StoreDamaged, StoreError, StoreLocked, StoreMismatch, StoreVersion
from ensemble.store import arviz_object
from ensemble.store import layout as layouts
from ensemble.store import opening as stores
from ensemble.store.checkpoint import FORMAT_VERSION
from ensemble.store.chunking.codec import Codec
from ensemble.store.chunking.grid import Place, of_member
from ensemble.store.chunking.sharded import split
from ensemble.store.contents import Checkpoint, Layout, Variable
from ensemble.store.writer import ZarrStore
from tests.support.store_roots import as_before_digests, edit_root

DATA = Path(__file__).parents[2] / "data"
SHARDS, CHAINS = 3, 2
LAYOUT = Layout(
    groups={
        "posterior": {
            "mu": Variable("float32"),
            "a": Variable("float32", ("gene",), (4,)),
            "L": Variable("float32", ("gene", "axis"), (4, 2)),
        },
        "sample_stats": {
            "lp": Variable("float64"),
            "diverging": Variable("bool"),
            "replica": Variable("int32"),
        },
        "warmup_sample_stats": {"lp": Variable("float64")},
    },
    shard_chains=CHAINS,
    shards=SHARDS,
    chunk_draws=4,
    coords={"gene": np.array(["DUSP1", "KLF15", "PER1", "β-actin"]), "axis": np.array([0.5, 1.5])},
    static={
        "observed_data": {"y": (("gene", "sample"), np.arange(12).reshape(4, 3))},
        "constant_data": {
            "treated": (("sample",), np.array([True, False, True])),
            "cell": (("sample",), np.array(["p", "q", "r"])),
        },
    },
)
ATTRIBUTES = {"seed": 7, "settings": {"goals": {"ess": 400.0}, "levels": ["gene"]}, "stage": "initialise"}


def draws(group: str, shard: int, start: int, count: int) -> dict[str, np.ndarray]:
    """The draws start to start + count of one shard, the same however they are cut into pieces."""
    out = {}
    for number, (name, variable) in enumerate(LAYOUT.groups[group].items()):
        values = np.empty((count, CHAINS, *variable.shape), variable.dtype)
        for i in range(count):
            key = [len(group), number, shard, start + i]
            values[i] = 100 * np.random.default_rng(key).normal(size=values.shape[1:])
        values.flags.writeable = False
        out[name] = values
    return out


def append(store: ZarrStore, counts: dict[str, int]) -> None:
    """Add draws to every shard after those committed."""
    for group, count in counts.items():
        for shard in range(SHARDS):
            store.append(shard, group, draws(group, shard, store.committed[group], count))


def expected(group: str, count: int) -> dict[str, np.ndarray]:
    """The stored arrays [chain, draw, ...] of a group after `count` draws."""
    shards = [draws(group, shard, 0, count) for shard in range(SHARDS)]
    return {name: np.concatenate([np.swapaxes(s[name], 0, 1) for s in shards]) for name in shards[0]}


def assert_holds(tree, counts: dict[str, int]) -> None:
    for group, count in counts.items():
        for name, values in expected(group, count).items():
            found = tree[group][name].values
            assert found.dtype == values.dtype
            assert found.shape == values.shape
            assert found.tobytes() == values.tobytes()


def checkpoint(epoch: int) -> Checkpoint:
    rng = np.random.default_rng(epoch)
    shards = [
        {"position/a": rng.normal(size=(5, 3)), "key": rng.integers(9, size=2, dtype=np.uint32)} for _ in range(2)
    ]
    coordinator = {
        "file": np.array(2.5),
        "flag": np.array([True]),
        "names": np.array(["x", "yy"]),
        "empty": np.empty(0),
    }
    return Checkpoint(epoch, shards, coordinator, {"stage": "sample", "rate": float(rng.normal()), "none": None})


def assert_same(a: Checkpoint, b: Checkpoint) -> None:
    assert (a.epoch, a.info) == (b.epoch, b.info)
    assert len(a.shards) == len(b.shards)
    for x, y in zip([*a.shards, a.coordinator], [*b.shards, b.coordinator], strict=True):
        assert list(x) == list(y)
        for name in x:
            assert (x[name].dtype, x[name].shape) == (y[name].dtype, y[name].shape)
            assert x[name].tobytes() == y[name].tobytes()


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut leaves is simulated in test_store_crash; the rest need not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module", autouse=True)
def both_kinds_of_chunks() -> Iterator[None]:
    """The chunks of `a` and `L` have one shard's chains, those of scalars all chains, each in a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "SMALL_CHUNK", 200)
        patch.setattr(layouts, "FIRST_FILE", 0)
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.zarr"


@pytest.fixture
def store(path: Path):
    with stores.create(path, LAYOUT, ATTRIBUTES) as created:
        yield created


def test_round_trip_through_every_reader(store: ZarrStore) -> None:
    counts = {"posterior": 0, "sample_stats": 0, "warmup_sample_stats": 0}
    for epoch, step in enumerate([3, 1, 9, 2]):  # inside a chunk, to its end, over several, inside again
        append(store, {"posterior": step, "sample_stats": step, "warmup_sample_stats": 2 * step})
        counts = {group: n + (2 if group.startswith("warmup") else 1) * step for group, n in counts.items()}
        store.commit(checkpoint(epoch), {"stage": "sample", "epoch": epoch})
        assert store.committed == counts
    assert_holds(stores.reader(store.path).arviz(), counts)
    assert_holds(xarray.open_datatree(store.path, engine="zarr"), counts)
    assert store.attributes == {**ATTRIBUTES, "stage": "sample", "epoch": 3}


def test_readers_that_pass_over_the_consolidated_metadata_see_the_same(store: ZarrStore) -> None:
    append(store, {"posterior": 5})
    store.commit()
    for name, values in expected("posterior", 5).items():
        found = zarr.open_array(store.path / "posterior" / name, mode="r")[...]
        assert found.tobytes() == values.tobytes()


def test_coordinates_static_groups_and_dimensions(store: ZarrStore) -> None:
    append(store, {"posterior": 2})
    store.commit()
    data = stores.reader(store.path).arviz()
    assert data.posterior["L"].dims == ("chain", "draw", "gene", "axis")
    assert list(data.posterior["gene"].values) == ["DUSP1", "KLF15", "PER1", "β-actin"]
    assert data.posterior["a"].sel(gene="PER1").shape == (SHARDS * CHAINS, 2)
    assert data.posterior["axis"].values.tolist() == [0.5, 1.5]
    assert data.posterior["chain"].values.tolist() == list(range(6))
    assert data.posterior["draw"].values.tolist() == [0, 1]
    assert data.observed_data["y"].values.tolist() == np.arange(12).reshape(4, 3).tolist()
    assert data.constant_data["treated"].values.tolist() == [True, False, True]
    assert list(data.constant_data["cell"].values) == ["p", "q", "r"]
    assert list(data.observed_data["gene"].values) == ["DUSP1", "KLF15", "PER1", "β-actin"]


def test_an_empty_store_opens(store: ZarrStore) -> None:
    data = stores.reader(store.path).arviz()
    assert data.posterior["a"].shape == (SHARDS * CHAINS, 0, 4)
    assert data.posterior["draw"].size == 0
    assert data.warmup_sample_stats["lp"].shape == (SHARDS * CHAINS, 0)
    assert store.committed == {"posterior": 0, "sample_stats": 0, "warmup_sample_stats": 0}


def test_arviz_computes_and_copies(store: ZarrStore, tmp_path: Path) -> None:
    append(store, {"posterior": 8, "sample_stats": 8})
    store.commit()
    data = stores.reader(store.path).arviz()
    expected_type = "InferenceData" if version("arviz").startswith("0.") else "DataTree"
    assert type(data).__name__ == expected_type
    assert json.loads(data.attrs["settings"]) == ATTRIBUTES["settings"]
    assert data.attrs["seed"] == 7
    # Nested attributes would have stopped NetCDF; a list of names does not (test_arviz_schema writes one).
    assert data.attrs.pop("sample_dims") == ["chain", "draw"]
    assert all(isinstance(value, str | int | float) for value in data.attrs.values())
    mean = data.posterior["a"].mean(("chain", "draw")).values
    np.testing.assert_allclose(mean, expected("posterior", 8)["a"].mean((0, 1)), rtol=1e-5)


def test_a_later_arviz_gets_a_data_tree(store: ZarrStore, monkeypatch: pytest.MonkeyPatch) -> None:
    append(store, {"posterior": 1})
    store.commit()
    monkeypatch.setattr(arviz_object.metadata, "version", {"arviz": "1.3.0"}.__getitem__)
    tree = stores.reader(store.path).arviz()
    assert isinstance(tree, xarray.DataTree)
    assert_holds(tree, {"posterior": 1})
    assert tree["posterior"]["draw"].values.tolist() == [0]


def test_a_live_reader_sees_whole_commits_only(store: ZarrStore) -> None:
    append(store, {"posterior": 3, "sample_stats": 3})
    store.commit()
    early = xarray.open_datatree(store.path, engine="zarr")
    append(store, {"posterior": 6, "sample_stats": 6})  # a finished chunk is on the disk already
    assert_holds(stores.reader(store.path).arviz(), {"posterior": 3, "sample_stats": 3})
    store.commit()
    assert_holds(early, {"posterior": 3, "sample_stats": 3})
    assert_holds(stores.reader(store.path).arviz(), {"posterior": 9, "sample_stats": 9})


def test_chunks_of_fill_values_are_stored(store: ZarrStore) -> None:
    """Zarr drops chunks that hold fill values only; a dropped chunk could not be told from a lost one."""
    zeros = {
        "lp": np.full((4, CHAINS), np.nan),
        "diverging": np.zeros((4, CHAINS), bool),
        "replica": np.zeros((4, CHAINS), int),
    }
    zeros["replica"] = zeros["replica"].astype(np.int32)
    for shard in range(SHARDS):
        store.append(shard, "sample_stats", zeros)
    store.commit()
    assert (store.path / "sample_stats" / "diverging" / "c.0.0").exists()
    assert np.isnan(stores.reader(store.path).arviz().sample_stats["lp"].values).all()


def test_values_are_copied_and_floats_narrowed(store: ZarrStore) -> None:
    wide = {name: values.astype(np.float64) for name, values in draws("posterior", 0, 0, 1).items()}
    for shard in range(SHARDS):
        store.append(shard, "posterior", wide)
    for values in wide.values():
        values[...] = -1.0
    store.commit()
    found = stores.reader(store.path).arviz().posterior["a"].values[:CHAINS, 0]
    assert found.tobytes() == draws("posterior", 0, 0, 1)["a"][0].tobytes()


@pytest.mark.parametrize(
    ("shard", "group", "change", "message"),
    [
        (3, "posterior", {}, "no shard 3"),
        (0, "prior", {}, "group 'prior'"),
        (0, "posterior", {"mu": None}, "all its variables at once"),
        (0, "posterior", {"nu": np.zeros((1, CHAINS), np.float32)}, "all its variables at once"),
        (0, "posterior", {"mu": np.zeros((1, CHAINS + 1), np.float32)}, "of shape \\(draws, 2\\)"),
        (0, "posterior", {"mu": np.zeros((2, CHAINS), np.float32)}, "different numbers of draws"),
        (0, "posterior", {"mu": np.zeros((1, CHAINS), complex)}, "was given complex128"),
        (0, "posterior", {"mu": np.zeros((), np.float32)}, "of shape \\(\\)"),
    ],
)
def test_draws_that_do_not_fit_are_refused_whole(store: ZarrStore, shard, group, change, message) -> None:
    given = {**draws("posterior", 0, 0, 1), **change}
    with pytest.raises(StoreError, match=message):
        store.append(shard, group, {name: values for name, values in given.items() if values is not None})
    append(store, {"posterior": 1})
    store.commit()
    assert_holds(stores.reader(store.path).arviz(), {"posterior": 1})


def test_integers_are_not_narrowed(store: ZarrStore) -> None:
    given = {**draws("sample_stats", 0, 0, 1), "replica": np.full((1, CHAINS), 2**40)}
    with pytest.raises(StoreError, match="was given int64"):
        store.append(0, "sample_stats", given)


def test_shards_must_agree_at_a_commit(store: ZarrStore) -> None:
    store.append(1, "posterior", draws("posterior", 1, 0, 1))
    with pytest.raises(StoreError, match=r"have \[0, 1, 0\] draws"):
        store.commit()
    for shard in (0, 2):
        store.append(shard, "posterior", draws("posterior", shard, 0, 1))
    store.commit()
    assert_holds(stores.reader(store.path).arviz(), {"posterior": 1})


def test_resume_inside_a_chunk_goes_on_bit_for_bit(path: Path) -> None:
    with stores.create(path, LAYOUT, ATTRIBUTES) as store:
        append(store, {"posterior": 6})
        store.commit(checkpoint(0))
        append(store, {"posterior": 5})  # never committed
    with stores.reopen(path) as store:
        assert store.committed["posterior"] == 6
        assert store.layout == Layout(LAYOUT.groups, CHAINS, SHARDS, 4)
        assert store.attributes == ATTRIBUTES
        assert_same(store.load_checkpoint(), checkpoint(0))
        append(store, {"posterior": 1})
        store.commit(checkpoint(1))
        append(store, {"posterior": 4})
        store.commit(checkpoint(2))
    assert_holds(stores.reader(path).arviz(), {"posterior": 11})


def test_small_chunks_have_the_chains_of_all_shards(store: ZarrStore) -> None:
    append(store, {"posterior": 6, "sample_stats": 3})
    store.commit()
    folders = {name: store.path / "posterior" / name for name in ("mu", "a")}
    assert sorted(file.name for file in folders["mu"].glob("c.*")) == ["c.0.0", "c.0.1"]
    assert sorted(file.name for file in folders["a"].glob("c.*")) == ["c.0.0.0", "c.0.1.0"]
    chunks = split(
        (folders["a"] / "c.0.0.0").read_bytes(), of_member(json.loads((folders["a"] / "zarr.json").read_text()))
    )
    assert set(chunks) == {Place(shard, 0) for shard in range(SHARDS)}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_store_of_an_earlier_format_is_gone_on_with(path: Path, version: int) -> None:
    """Each of its chunks was a file, in the first format of one shard each; 1 and 2 had no digests."""
    shutil.unpack_archive(DATA / f"store_format_{1 if version == 1 else 3}.zip", path)
    if version == 2:
        edit_root(path, lambda d: as_before_digests(d, 2))
    counts = {"posterior": 6, "sample_stats": 4, "warmup_sample_stats": 4}
    assert_holds(stores.reader(path).groups(), counts)
    assert stores.reader(path).groups()["constant_data"]["cell"].values.tolist() == ["p", "q", "r"]
    assert not stores.verify(path).damaged
    assert_same(stores.reader(path).last_checkpoint(), checkpoint(1))
    with stores.reopen(path) as store:
        assert_same(store.load_checkpoint(), checkpoint(1))
        append(store, {"posterior": 7, "sample_stats": 2})
        store.commit(checkpoint(2))
    counts |= {"posterior": 13, "sample_stats": 6}
    assert_holds(stores.reader(path).groups(), counts)
    assert_holds(xarray.open_datatree(path, engine="zarr"), counts)
    assert not stores.verify(path).damaged
    assert (path / "posterior" / "mu" / ("c.2.3" if version == 1 else "c.0.3")).exists()


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "float32", "float64"])
def test_chunks_are_the_bytes_that_zarr_writes(dtype: str, tmp_path: Path) -> None:
    values = (100 * np.random.default_rng(0).normal(size=(6, 4, 3))).astype(dtype)
    only = Layout({"posterior": {"x": Variable(dtype, ("gene",), (3,))}}, CHAINS, SHARDS, chunk_draws=4)
    with stores.create(tmp_path / "run.zarr", only, {}) as store:
        for shard in range(SHARDS):
            store.append(shard, "posterior", {"x": values[CHAINS * shard : CHAINS * (shard + 1)].swapaxes(0, 1)})
        store.commit()
    array = zarr.open_array(tmp_path / "run.zarr" / "posterior" / "x", mode="r+")
    own = {file.name: file.read_bytes() for file in array.store.root.glob("c.*")}
    codec = Codec(member := array.metadata.to_dict() | {"data_type": dtype})
    np.testing.assert_array_equal(array[...], values)
    array[...] = values
    assert own == {file.name: file.read_bytes() for file in array.store.root.glob("c.*")}
    first = split(own["c.0.0.0"], of_member(member))[Place(0, 0)]
    assert codec.encode(codec.decode(first)) == first


def test_checkpoints_come_back_and_two_are_kept(store: ZarrStore) -> None:
    with pytest.raises(StoreError, match="no checkpoint to go on from"):
        store.load_checkpoint()
    for epoch in (3, 5, 9):
        store.commit(checkpoint(epoch))
        assert_same(store.load_checkpoint(), checkpoint(epoch))
    assert sorted(p.name for p in (store.path / "checkpoint").iterdir()) == ["5", "9"]
    manifest = json.loads((store.path / "checkpoint" / "9" / "manifest.json").read_text())
    assert set(manifest["sha256"]) == {"shard-0.npz", "shard-1.npz", "coordinator.npz"}
    with np.load(store.path / "checkpoint" / "9" / "shard-1.npz", allow_pickle=False) as archive:
        assert archive["key"].dtype == np.uint32
    store.commit(None, {"stage": "done"})
    assert_same(store.load_checkpoint(), checkpoint(9))


def test_a_committed_checkpoint_is_never_written_over(store: ZarrStore) -> None:
    store.commit(checkpoint(3))
    store.commit(checkpoint(3), {"stage": "again"})
    for epoch, seed in ((3, 4), (2, 2)):
        with pytest.raises(StoreError, match="epochs must grow"):
            store.commit(checkpoint(seed)._replace(epoch=epoch))
    assert_same(store.load_checkpoint(), checkpoint(3))
    assert store.attributes["stage"] == "again"


def test_objects_are_refused_before_anything_is_written(store: ZarrStore) -> None:
    bad = checkpoint(0)._replace(coordinator={"x": np.array([None, {}])})
    with pytest.raises(StoreError, match=r"'x' of coordinator\.npz has dtype object"):
        store.commit(bad)
    with pytest.raises(StoreError, match="the checkpoint's info cannot be stored"):
        store.commit(checkpoint(0)._replace(info={"x": object()}))
    with pytest.raises(StoreError, match="attributes of the run cannot be stored"):
        store.commit(None, {"x": {1, 2}})
    with pytest.raises(StoreError, match="the store's own"):
        store.commit(None, {"maxwell": 1})
    store.commit(checkpoint(0), {"x": np.float32(0.5), "y": np.arange(2), "z": (1, 2)})
    assert {name: store.attributes[name] for name in "xyz"} == {"x": 0.5, "y": [0, 1], "z": [1, 2]}


def test_draws_beyond_the_checkpoint_are_given_up_only_when_asked(path: Path) -> None:
    with stores.create(path, LAYOUT, {}) as store:
        append(store, {"posterior": 3})
        store.commit(checkpoint(0))
        append(store, {"posterior": 6, "sample_stats": 2})
        store.commit()
    with stores.reopen(path) as store:
        assert store.committed == {"posterior": 9, "sample_stats": 2, "warmup_sample_stats": 0}
        with pytest.raises(StoreError, match="call rewind"):
            append(store, {"posterior": 1})
        store.rewind()
        assert store.committed == {"posterior": 3, "sample_stats": 0, "warmup_sample_stats": 0}
        assert_holds(stores.reader(path).arviz(), {"posterior": 3, "sample_stats": 0})
        append(store, {"posterior": 2})
        store.commit(checkpoint(1))
    assert_holds(stores.reader(path).arviz(), {"posterior": 5})


def test_the_consolidated_metadata_are_those_of_zarr(store: ZarrStore) -> None:
    """Consolidated metadata are outside the Zarr v3 specification: this pins the form that the installed Zarr reads."""
    append(store, {"posterior": 5})
    store.commit(checkpoint(0), {"stage": "sample"})
    ours = json.loads((store.path / "zarr.json").read_text())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        warnings.filterwarnings("ignore", "Object at")  # the checkpoints are no part of the hierarchy
        zarr.consolidate_metadata(store.path)
    theirs = json.loads((store.path / "zarr.json").read_text())
    assert ours == theirs
    assert ours["consolidated_metadata"]["metadata"]["posterior/a"]["shape"] == [6, 5, 4]


def test_the_consolidated_lengths_are_what_readers_go_by(store: ZarrStore) -> None:
    """A crash between the resizes and the root leaves arrays that are ahead: no reader may follow them."""
    append(store, {"posterior": 2})
    store.commit()
    for name in LAYOUT.groups["posterior"]:
        file = store.path / "posterior" / name / "zarr.json"
        metadata = json.loads(file.read_text())
        metadata["shape"][1] = 4
        file.write_text(json.dumps(metadata))
    assert_holds(stores.reader(store.path).arviz(), {"posterior": 2})
    assert_holds(xarray.open_datatree(store.path, engine="zarr"), {"posterior": 2})


def test_attributes_are_read_without_the_lock(store: ZarrStore) -> None:
    append(store, {"posterior": 2})
    store.commit(checkpoint(4), {"stage": "sample"})
    found = stores.reader(store.path).attributes
    assert found["stage"] == "sample"
    assert found["settings"] == ATTRIBUTES["settings"]
    assert found["maxwell"]["draws"]["posterior"] == 2
    assert [c["epoch"] for c in found["maxwell"]["checkpoints"]] == [4]
    assert found["maxwell"]["writer"]["process"] == os.getpid()
    assert stores.reader(store.path).size() == sum(f.stat().st_size for f in store.path.rglob("*") if f.is_file())


def test_a_second_writer_is_refused(store: ZarrStore) -> None:
    with pytest.raises(StoreLocked, match=f"process {os.getpid()} on host"):
        stores.reopen(store.path)
    store.close()
    with stores.reopen(store.path) as second:
        assert second.committed["posterior"] == 0
        with pytest.raises(StoreError, match="is closed"):
            store.commit()


def test_a_writer_that_was_taken_over_refuses_to_commit(store: ZarrStore) -> None:
    """Where the lock does not reach (another machine on some file systems) the token in the root decides."""
    append(store, {"posterior": 1})
    (store.path / ".lock").unlink()  # two files are two locks
    with stores.reopen(store.path) as second:
        append(store, {"sample_stats": 1})
        with pytest.raises(StoreLocked, match="taken over"):
            store.commit(None, {"stage": "stale"})
        assert second.committed["posterior"] == 0
        append(second, {"posterior": 2})
        second.commit()
    assert_holds(stores.reader(store.path).arviz(), {"posterior": 2, "sample_stats": 0})
    with pytest.raises(StoreError, match="reopen it"):
        store.commit()


def test_expected_attributes(store: ZarrStore) -> None:
    store.require({"seed": 7, "settings": ATTRIBUTES["settings"]})
    with pytest.raises(StoreMismatch, match="seed = 7, but this run has seed = 8"):
        store.require({"seed": 8})


def test_an_existing_path_is_left_alone(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        stores.create(path, LAYOUT, {})
    assert [p.name for p in path.iterdir()] == ["thesis.txt"]
    assert [p.name for p in path.parent.iterdir()] == ["run.zarr"]


def test_missing_parents_are_made(tmp_path: Path) -> None:
    with stores.create(tmp_path / "a" / "b" / "run", LAYOUT, {}) as store:
        assert store.path.is_dir()


READERS = [stores.reader, stores.reopen]


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_store_is_said_so(reader, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        reader(tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        reader(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="not a maxwell store"):
        reader(tmp_path / "folder")
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="not a maxwell store"):
        reader(tmp_path / "other.zarr")
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == []


@pytest.fixture
def finished(store: ZarrStore) -> Path:
    """A closed store of 6 draws and two checkpoints, the earlier after 3 draws."""
    for epoch in (1, 2):
        append(store, {"posterior": 3})
        store.commit(checkpoint(epoch))
    store.close()
    return store.path


def test_a_checkpoint_of_another_version_is_not_gone_on_from(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ensemble.store.checkpoint.FORMAT_VERSION", 99)
    monkeypatch.setattr("ensemble.store.checkpoint.READABLE", (99,))
    with (
        pytest.raises(
            StoreVersion, match=rf"has format {FORMAT_VERSION} and this version goes on from format 99: resume with"
        ),
        stores.reopen(finished) as store,
    ):
        store.load_checkpoint()
    monkeypatch.undo()
    with stores.reopen(finished) as store:
        assert store.load_checkpoint().epoch == 2


@pytest.mark.parametrize("reader", READERS)
def test_a_newer_format_is_said_so(reader, finished: Path) -> None:
    edit_root(finished, lambda d: d["attributes"]["maxwell"].update(format_version=99))
    with pytest.raises(StoreVersion, match="format 99; this program reads formats up to 4: update maxwell"):
        reader(finished)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "zarr.json").write_bytes((path / "zarr.json").read_bytes()[:500]),
        lambda path: (path / "zarr.json").write_bytes(b""),
        lambda path: (path / "zarr.json").write_bytes(b"\xff\xfe"),
        lambda path: (path / "zarr.json").write_text("[]"),
        lambda path: (path / "zarr.json").unlink(),
        lambda path: edit_root(path, lambda d: d["attributes"]["maxwell"].pop("draws")),
        lambda path: edit_root(path, lambda d: d["attributes"]["maxwell"].pop("format_version")),
        lambda path: edit_root(path, lambda d: d["attributes"].update(maxwell=3)),
        lambda path: edit_root(path, lambda d: d["attributes"]["maxwell"]["draws"].update(posterior=2)),
        lambda path: edit_root(path, lambda d: d.pop("consolidated_metadata")),
    ],
)
def test_a_damaged_root_is_said_so(reader, damage, finished: Path) -> None:
    damage(finished)
    with pytest.raises(StoreDamaged, match=r"zarr\.json are damaged: .* Restore that one file"):
        reader(finished)


@pytest.mark.parametrize("reader", [lambda path: stores.reader(path).groups(), stores.reopen])
def test_lost_draws_are_said_so(reader, finished: Path) -> None:
    (finished / "posterior" / "a" / "c.0.0.0").unlink()
    with pytest.raises(
        StoreDamaged, match=r"1 files with committed draws are missing from .*/a, the first is c\.0\.0\.0"
    ):
        reader(finished)


def test_changed_draws_are_noticed(finished: Path) -> None:
    file = finished / "posterior" / "a" / "c.0.1.0"
    data = bytearray(file.read_bytes())
    data[-6] ^= 1
    file.write_bytes(data)
    with pytest.raises(StoreDamaged, match=r"c\.0\.1\.0 is damaged: it cannot be decoded.*verify .* --repair"):
        stores.reopen(finished)
    with pytest.raises(StoreDamaged, match=r"c\.0\.1\.0 is damaged"):
        _ = stores.reader(finished).arviz().posterior["a"].values


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["shard-0.npz", "shard-1.npz", "coordinator.npz", "manifest.json"])
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_damaged_checkpoint_is_never_passed_over_in_silence(file, damage, finished: Path) -> None:
    damage(finished / "checkpoint" / "2" / file)
    with pytest.raises(
        StoreDamaged, match=f"2/{file} .* epoch 1, which is intact: .* --previous-checkpoint.*keeps 3 draws"
    ):
        stores.reopen(finished)
    assert_holds(stores.reader(finished).arviz(), {"posterior": 6})
    with stores.reopen(finished, previous_checkpoint=True) as store:
        assert_same(store.load_checkpoint(), checkpoint(1))
        assert store.committed["posterior"] == 3
        append(store, {"posterior": 3})
        store.commit(checkpoint(2))
        assert_same(store.load_checkpoint(), checkpoint(2))
    assert_holds(stores.reader(finished).arviz(), {"posterior": 6})


def test_draws_are_not_given_up_for_nothing(finished: Path) -> None:
    with pytest.raises(StoreError, match="of epoch 2, is intact: go on from it, without previous_checkpoint"):
        stores.reopen(finished, previous_checkpoint=True)
    assert_holds(stores.reader(finished).arviz(), {"posterior": 6})


def test_a_store_that_is_held_is_others_to_read_and_not_changed(finished: Path) -> None:
    before = {file: file.read_bytes() for file in finished.rglob("*") if file.is_file() and file.name != ".lock"}
    with stores.hold(finished) as take_over:
        with pytest.raises(StoreLocked):
            stores.reopen(finished)
        assert {file: file.read_bytes() for file in before} == before
        with take_over() as store:
            append(store, {"posterior": 3})
            store.commit(checkpoint(3))
    assert_holds(stores.reader(finished).arviz(), {"posterior": 9})
    stores.reopen(finished).close()


def test_no_intact_checkpoint(finished: Path) -> None:
    flip(finished / "checkpoint" / "1" / "shard-0.npz")
    flip(finished / "checkpoint" / "2" / "shard-0.npz")
    with pytest.raises(StoreDamaged, match="the checkpoint before it, of epoch 1, is damaged too"):
        stores.reopen(finished)
    with pytest.raises(StoreDamaged, match=r"1/shard-0\.npz is damaged"):
        stores.reopen(finished, previous_checkpoint=True)


def test_the_only_checkpoint_damaged(store: ZarrStore) -> None:
    store.commit(checkpoint(1))
    flip(store.path / "checkpoint" / "1" / "shard-0.npz")
    store.close()
    with pytest.raises(StoreDamaged, match="there is no earlier checkpoint"):
        stores.reopen(store.path)
    with pytest.raises(StoreError, match="no checkpoint before the last"):
        stores.reopen(store.path, previous_checkpoint=True)


def changed(**changes) -> Layout:
    return LAYOUT._replace(**changes)


def with_variable(name: str, *variable) -> Layout:
    return changed(groups={"posterior": {name: Variable(*variable)}}, coords={}, static={})


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (changed(shards=0), "shards is 0"),
        (changed(chunk_draws=0), "chunk_draws is 0"),
        (changed(static={"posterior": {}}), "both growing and static"),
        (changed(groups={"checkpoint": LAYOUT.groups["posterior"]}), "reserved"),
        (changed(groups={"posterior": {}}), "no variables"),
        (with_variable("outer/inner", "float32"), "no slash"),
        (with_variable("", "float32"), "not allowed"),
        (with_variable("x", "complex64"), "complex64"),
        (with_variable("x", "float32", ("gene",), ()), "1 dimension names"),
        (with_variable("x", "float32", ("k", "k"), (2, 2)), "twice"),
        (with_variable("x", "float32", ("draw",), (2,)), "store adds chain and draw"),
        (with_variable("x", "float32", ("x",), (2,)), "named like dimensions"),
        (with_variable("x", "float32", ("k",), (0,)), "1 or more"),
        (changed(coords={"gene": np.arange(3)}), r"shape \(3,\)"),
        (changed(coords={"jean": np.arange(3)}), r"\['jean'\] belong to no variable"),
        (changed(coords={"gene": np.array([None] * 4)}), "numbers or strings"),
        (changed(static={"d": {"y": (("gene",), np.array([{}, {}]))}}), "dtype object"),
        (changed(static={"d": {"y": (("k",), np.zeros(2)), "z": (("k",), np.zeros(3))}}), "sizes 2 and 3"),
    ],
)
def test_layouts_that_no_reader_could_open_are_refused(layout: Layout, message: str, path: Path) -> None:
    with pytest.raises(StoreError, match=message):
        stores.create(path, layout, {})
    assert list(path.parent.iterdir()) == []


def test_all_store_errors_are_for_people() -> None:
    for kind in (StoreError, StoreLocked, StoreDamaged, StoreVersion, StoreMismatch):
        assert issubclass(kind, MaxwellError)


KILLED = """
import itertools, sys
sys.path[:0] = sys.argv[2:]
from tests.ensemble.store.test_store import ATTRIBUTES, LAYOUT, append, checkpoint
from ensemble.store import opening as stores
with stores.create(sys.argv[1], LAYOUT, ATTRIBUTES) as store:
    for epoch in itertools.count():
        append(store, {"posterior": 3, "sample_stats": 3})
        store.commit(checkpoint(epoch))
        print(epoch, flush=True)
"""


def test_a_killed_writer_loses_nothing_and_its_lock_goes_with_it(path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(path), str(Path(__file__).resolve().parents[3])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            for _ in range(5):
                said = int(writer.stdout.readline())
                data = stores.reader(path).arviz()  # while it writes
                count = data.posterior.sizes["draw"]
                assert count >= 3 * (said + 1)
                assert_holds(data, {"posterior": count})
            with pytest.raises(StoreLocked, match=f"process {writer.pid} on host"):
                stores.reopen(path)
        finally:
            writer.send_signal(signal.SIGKILL)
    with stores.reopen(path) as store:
        count = store.committed["posterior"]
        assert count == 3 * (store.load_checkpoint().epoch + 1) >= 15
        append(store, {"posterior": 2, "sample_stats": 2})
        store.commit()
    assert_holds(stores.reader(path).arviz(), {"posterior": count + 2, "sample_stats": count + 2})
