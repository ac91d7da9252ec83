"""A packed store: read as it is, noticed where it is damaged, and made a folder again to the last byte."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr

from ensemble.errors import StoreDamaged, StoreError, StoreLocked
from ensemble.store import opening as stores
from ensemble.store.contents import Checkpoint, Layout, Variable

DATA = Path(__file__).parents[2] / "data"
GROUPS = {"posterior": {"mu": Variable("float64"), "a": Variable("float32", ("gene",), (3,))}}
LAYOUT = Layout(GROUPS, 2, 2, 3, {"gene": np.array(["x", "y", "z"])}, {"observed_data": {"y": (("gene",), np.ones(3))}})


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def add(store, number: int) -> None:
    rng = np.random.default_rng(number)
    for shard in range(2):
        draws = {"mu": rng.normal(size=(4, 2)), "a": rng.normal(size=(4, 2, 3)).astype(np.float32)}
        store.append(shard, "posterior", draws)
    store.commit(Checkpoint(number, [{"x": rng.normal(size=4)}] * 2, {"c": rng.normal(size=2)}, {"e": number}))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with stores.create(tmp_path / "run.zarr", LAYOUT, {"seed": 1}) as made:
        for number in range(3):
            add(made, number)
    return tmp_path / "run.zarr"


def read(path: Path) -> dict[str, bytes]:
    reader = stores.reader(path)
    found = {f"{g}/{n}": x.values.tobytes() for g, d in reader.groups().items() for n, x in d.items()}
    return found | {
        "attributes": repr(reader.attributes).encode(),
        "checkpoint": repr(reader.last_checkpoint()).encode(),
    }


def outcome(path: Path) -> dict[str, bytes] | StoreError:
    try:
        return read(path)
    except StoreError as error:
        return error


def content(path: Path) -> dict[str, bytes]:
    files = {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}
    return {name: data for name, data in files.items() if name != ".lock"}


def test_a_packed_store_is_read_as_the_folder(store: Path) -> None:
    packed = stores.pack(store)
    assert packed == store.with_name("run.zarr.zip")
    assert read(packed) == read(store)
    assert not stores.verify(packed).damaged
    assert stores.verify(packed).files == stores.verify(store).files
    assert stores.reader(packed).size() == packed.stat().st_size
    assert stores.reader(packed).coordinator_state() is not None


def test_zarr_itself_reads_a_packed_store(store: Path) -> None:
    with zarr.storage.ZipStore(stores.pack(store), mode="r") as packed:
        tree = xarray.open_datatree(packed, engine="zarr")
        assert (
            tree["posterior"]["a"].values.tobytes() == stores.reader(store).groups()["posterior"]["a"].values.tobytes()
        )


def test_an_unpacked_store_is_the_same_files_and_goes_on(store: Path, tmp_path: Path) -> None:
    packed = stores.pack(store, tmp_path / "archive")
    back = stores.unpack(packed, tmp_path / "back.zarr")
    assert content(back) == content(store)
    for path in (store, back):
        with stores.reopen(path) as writer:
            add(writer, 3)
    assert {name: data for name, data in read(back).items() if name != "attributes"} == {
        name: data for name, data in read(store).items() if name != "attributes"
    }


def test_what_is_not_committed_is_not_packed_and_the_same_store_gives_the_same_bytes(
    store: Path, tmp_path: Path
) -> None:
    first = stores.pack(store, tmp_path / "1.zip").read_bytes()
    (store / ".x.partial").write_bytes(b"x")
    (store / "posterior" / "mu" / "c.0.99").write_bytes(b"x")
    assert stores.pack(store, tmp_path / "2.zip").read_bytes() == first


@pytest.mark.parametrize("version", [1, 3])
def test_stores_of_earlier_formats_are_packed_too(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.zarr"
    shutil.unpack_archive(DATA / f"store_format_{version}.zip", path)
    packed = stores.pack(path)
    assert read(packed) == read(path)
    assert content(stores.unpack(packed, tmp_path / "back")) == content(path)


def test_every_damaged_byte_of_an_archive_is_refused_or_makes_no_difference(store: Path, tmp_path: Path) -> None:
    before, whole = read(packed := stores.pack(store)), packed.read_bytes()
    refused = 0
    for place in np.random.default_rng(0).permutation(len(whole))[:300]:
        data = bytearray(whole)
        data[place] ^= 1 << int(place) % 8
        packed.write_bytes(data)
        found = outcome(packed)
        assert found == before or (isinstance(found, StoreError) and str(packed) in str(found)), place
        refused += isinstance(found, StoreError)
    assert refused > 30
    for length in range(0, len(whole), len(whole) // 40):
        packed.write_bytes(whole[:length])
        with pytest.raises(StoreError):
            read(packed)
        with pytest.raises(StoreError):
            stores.unpack(packed, tmp_path / "back")
        assert not (tmp_path / "back").exists()


def test_what_cannot_be_packed_is_said(store: Path, tmp_path: Path) -> None:
    with stores.reopen(store), pytest.raises(StoreLocked, match="is being written"):
        stores.pack(store)
    packed = stores.pack(store)
    with pytest.raises(StoreError, match="exists already"):
        stores.pack(store)
    with pytest.raises(StoreError, match="exists already"):
        stores.unpack(packed)
    with pytest.raises(StoreError, match=r"is a packed store, .*: `maxwell pack .*run\.zarr\.zip --unpack`"):
        stores.reopen(packed)
    with pytest.raises(StoreError, match="is a packed store"):
        stores.pack(packed, tmp_path / "again.zip")
    with pytest.raises(StoreError, match="is no packed store"):
        stores.unpack(store, tmp_path / "x")
    with pytest.raises(StoreError, match="there is no store"):
        stores.pack(tmp_path / "none")
    (store / "posterior" / "mu" / "c.0.0").write_bytes(b"x")
    with pytest.raises(StoreDamaged, match=r"mu/c\.0\.0 is damaged"):
        stores.pack(store, tmp_path / "damaged.zip")
    assert not list(tmp_path.glob("*damaged*"))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("a.txt", "x")
    with pytest.raises(StoreError, match=r"other\.zip is an archive, but not a maxwell store"):
        stores.reader(tmp_path / "other.zip")
