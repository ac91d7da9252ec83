"""ArviZ's schema: the attributes that its converters write, and a coordinate for every dimension."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from ensemble.errors import StoreError
from ensemble.store import opening as stores
from ensemble.store.arviz_schema import NAMES
from ensemble.store.contents import Layout, Variable
from ensemble.store.protocol import RunStore

LAYOUT = Layout(
    groups={
        "posterior": {"mu": Variable("float32"), "a": Variable("float32", ("gene", "axis"), (3, 2))},
        "sample_stats": {"lp": Variable("float64")},
        "warmup_sample_stats": {"lp": Variable("float64")},
    },
    shard_chains=2,
    shards=2,
    chunk_draws=4,
    coords={"gene": np.array(["DUSP1", "KLF15", "PER1"])},
    static={"observed_data": {"y": (("gene", "sample"), np.zeros((3, 5)))}, "constant_data": {"n": ((), np.array(5))}},
)
RUN = {"seed": 1, "versions": {"maxwell": "4.5.6", "jax": "0.1"}, "settings": {"levels": ["gene"]}}
GROUPS = (*LAYOUT.groups, *LAYOUT.static)
ARVIZ_1 = not version("arviz").startswith("0.")


def add(store: RunStore, count: int, seconds: float) -> None:
    for group, variables in LAYOUT.groups.items():
        for shard in range(LAYOUT.shards):
            rng = np.random.default_rng(shard)
            values = {n: rng.normal(size=(count, 2, *v.shape)).astype(v.dtype) for n, v in variables.items()}
            store.append(shard, group, values)
    store.commit(None, {"summary": {"wall_seconds": seconds, "model": "genes"}})


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with stores.create(tmp_path / "run.zarr", LAYOUT, RUN) as created:
        add(created, 6, 12.5)
        yield created


def datasets(tree: Any, names: tuple[str, ...] = GROUPS) -> dict[str, xarray.Dataset]:
    """The groups of either kind of ArviZ object, and of a DataTree."""
    return {name: g.to_dataset() if isinstance(g := tree[name], xarray.DataTree) else g for name in names}


@pytest.fixture(params=["zarr", "reader"])
def opened(request: pytest.FixtureRequest, store: RunStore) -> Any:
    """What a stranger opens by xarray, and what ours gives to ArviZ."""
    if request.param == "zarr":
        return xarray.open_datatree(store.locator, engine="zarr")
    return stores.reader(store.locator).arviz()


def test_the_root_and_every_group_have_the_attributes_of_the_schema(opened: Any) -> None:
    for name, attributes in {"/": opened.attrs, **{n: g.attrs for n, g in datasets(opened).items()}}.items():
        assert attributes["inference_library"] == attributes["creation_library"] == "maxwell"
        assert attributes["inference_library_version"] == attributes["creation_library_version"] == "4.5.6"
        made = datetime.fromisoformat(attributes["created_at"])
        assert timedelta(0) <= datetime.now(UTC) - made < timedelta(minutes=5)
        assert attributes["sample_dims"] == ([] if name in LAYOUT.static else ["chain", "draw"])
    assert opened.attrs["sampling_time"] == 12.5


def test_sampled_groups_tell_the_sampling_time(store: RunStore) -> None:
    groups = stores.reader(store.locator).groups()
    assert {name: group.attrs.get("sampling_time") for name, group in groups.items()} == {
        **dict.fromkeys(LAYOUT.groups, 12.5),
        **dict.fromkeys(LAYOUT.static),
    }


@pytest.mark.skipif(not ARVIZ_1, reason="the converters of ArviZ 1 are in arviz_base")
def test_the_names_are_those_that_arviz_writes_itself(opened: Any) -> None:
    from arviz_base import dict_to_dataset
    from arviz_base.base import make_attrs

    theirs = make_attrs(inference_library=np, sample_dims=["chain", "draw"])
    for attributes in (opened.attrs, opened["posterior"].attrs, opened["sample_stats"].attrs):
        assert set(theirs) <= set(attributes)
        assert {name: type(attributes[name]) for name in theirs} == {name: type(v) for name, v in theirs.items()}
    data = dict_to_dataset({"y": np.zeros(3)}, sample_dims=[], inference_library=np)
    assert set(data.attrs) <= set(opened["observed_data"].attrs)
    assert data.attrs["sample_dims"] == opened["observed_data"].attrs["sample_dims"]


def test_the_installed_arviz_works_with_them(store: RunStore) -> None:
    import arviz

    data = stores.reader(store.locator).arviz()
    add(store, 2, 20.0)
    if ARVIZ_1:
        from arviz_base.validate import validate_sample_dims

        assert validate_sample_dims(None, data=data) == ["chain", "draw"]
        assert validate_sample_dims(None, data=data["posterior"].to_dataset()) == ["chain", "draw"]
    with np.errstate(all="ignore"):
        assert set(arviz.summary(data, var_names=["a"], kind="stats").index) == {
            f"a[{gene}, {axis}]" for gene in LAYOUT.coords["gene"] for axis in range(2)
        }


def test_every_dimension_has_a_coordinate(opened: Any) -> None:
    """But for the growing draw, which has none in the store itself: readers number it."""
    labels = {"chain": [0, 1, 2, 3], "axis": [0, 1], "sample": list(range(5)), "gene": list(LAYOUT.coords["gene"])}
    for group in datasets(opened).values():
        for dim in set(group.dims) - {"draw"}:
            assert dim in group.coords
            assert list(group.coords[dim].values) == labels[str(dim)]


def test_the_reader_numbers_the_draws_of_every_group_that_grows(store: RunStore) -> None:
    groups = stores.reader(store.locator).groups()
    for group in LAYOUT.groups:
        assert groups[group].coords["draw"].values.tolist() == list(range(6))
        assert set(groups[group].dims) <= set(groups[group].coords)


def test_the_sampling_time_is_committed_and_the_time_of_creation_stays(store: RunStore) -> None:
    before = stores.reader(store.locator).attributes
    add(store, 1, 99.0)
    store.close()
    with stores.reopen(store.locator) as again:
        assert again.attributes.keys() == {*RUN, "summary"}
        again.commit(None, {"stage": "sample"})
    after = stores.reader(store.locator).attributes
    assert (before["sampling_time"], after["sampling_time"]) == (12.5, 99.0)
    assert before["created_at"] == after["created_at"]


def test_what_the_run_does_not_know_is_left_out(tmp_path: Path) -> None:
    stores.create(tmp_path / "run.zarr", LAYOUT, {"seed": 1}).close()
    found = stores.reader(tmp_path / "run.zarr").attributes
    assert set(NAMES) - set(found) == {"inference_library_version", "creation_library_version", "sampling_time"}


@pytest.mark.parametrize("name", ["created_at", "sampling_time", "maxwell"])
def test_the_names_are_not_the_runs_to_give(store: RunStore, name: str) -> None:
    with pytest.raises(StoreError, match=f"attribute '{name}' is the store's own"):
        store.commit(None, {name: 1})


def test_a_netcdf_file_has_them_too(store: RunStore, tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf")
    data = stores.reader(store.locator).arviz()
    data.to_netcdf(str(tmp_path / "run.nc"))
    again = xarray.open_datatree(tmp_path / "run.nc")
    # ArviZ 0.23 writes the groups alone, and nothing at the root.
    for attributes in (again["posterior"].attrs, *([again.attrs] if ARVIZ_1 else [])):
        assert list(attributes["sample_dims"]) == ["chain", "draw"]
        assert attributes["sampling_time"] == 12.5
        assert attributes["created_at"] == data.attrs["created_at"]
    again.close()
