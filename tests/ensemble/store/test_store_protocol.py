"""The two protocols of the store say all that the program needs: a store in memory carries a run as the real one."""

import inspect

import numpy as np
import pytest

from ensemble.run.coordinator import Coordinator
from ensemble.run.sitting import Sitting
from ensemble.store import opening as stores
from ensemble.store.contents import Checkpoint, Layout, Variable
from ensemble.store.protocol import RunReader, RunStore
from ensemble.store.reader import ZarrReader
from ensemble.store.writer import ZarrStore
from tests.support.fake_fleet import FakeFleet
from tests.support.memory_store import MemoryReader, MemoryStore
from tests.support.models.ensemble_models import STORED, run_settings, small
from workflows.results.diagnostics import diagnostics
from workflows.results.inspect import summary_of

STATS = {"lp": Variable("float64")}
GROUPS = {"posterior": {"mu": Variable("float64")}, "sample_stats": STATS, "warmup_sample_stats": STATS}
LAYOUT = Layout(GROUPS, STORED, 4, 4)
GOALS = {"of_draws": False, "ess": 400.0, "rhat": 1.2, "shared_ess": 400.0, "shared_rhat": 1.2}
FEW = 9
"""Rounds until the run is stopped for the first time."""


def members(kind: type) -> set[str]:
    """What a class offers, but for what every object has and what makes it."""
    return {name for name in dir(kind) if not name.startswith("_") or name in ("__enter__", "__exit__")}


@pytest.mark.parametrize(
    ("protocol", "kinds"),
    [(RunStore, (ZarrStore, MemoryStore)), (RunReader, (ZarrReader, MemoryReader))],
)
def test_methods_and_arguments_are_those_of_the_protocol(protocol: type, kinds: tuple[type, ...]) -> None:
    for kind in kinds:
        for name in members(protocol):
            asked = getattr(protocol, name)
            if inspect.isfunction(asked) and not name.startswith("__"):
                assert list(inspect.signature(getattr(kind, name)).parameters) == list(
                    inspect.signature(asked).parameters
                )


def coordinator(fleet: FakeFleet, store: RunStore, stop_after: int = 10_000) -> Coordinator:
    model, rounds = small(), iter(range(stop_after + 10_000))
    sitting = Sitting(stop_requested=lambda: next(rounds) >= stop_after, clock=lambda: 0.0)
    return Coordinator(fleet, store, model.spec, run_settings(goals=GOALS), sitting)


def begin(store: RunStore) -> None:
    """A new run, stopped early."""
    fleet = FakeFleet(4)
    fleet.initialise()
    steering = coordinator(fleet, store, FEW)
    steering.start()
    steering.run()


def go_on(store: RunStore) -> None:
    """The run by another coordinator and fleet, to its end."""
    steering = coordinator(FakeFleet(4), store)
    steering.resume()
    assert steering.run().done


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunReader, RunReader]:
    """Of one run, interrupted once: from a store in memory and from one on a disk."""
    memory = MemoryStore(LAYOUT, {"seed": 0})
    with memory as store:
        begin(store)
    with memory as store:
        go_on(store)
    path = tmp_path_factory.mktemp("protocol") / "run.zarr"
    with stores.create(path, LAYOUT, {"seed": 0}) as store:
        begin(store)
    with stores.reopen(path) as store:
        go_on(store)
    return memory.reader(), stores.reader(path)


def test_a_store_in_memory_carries_a_run_as_the_real_one(readers: tuple[RunReader, RunReader]) -> None:
    memory, disk = (reader.groups() for reader in readers)
    for group, variables in GROUPS.items():
        assert memory[group].sizes == disk[group].sizes
        assert memory[group].sizes["draw"] > 0
        for name in variables:
            assert memory[group][name].values.tobytes() == disk[group][name].values.tobytes()


def same(one: Checkpoint, other: Checkpoint) -> bool:
    if one.epoch != other.epoch or len(one.shards) != len(other.shards):
        return False
    pairs = zip([*one.shards, one.coordinator], [*other.shards, other.coordinator], strict=True)
    return all(list(a) == list(b) and all(np.array_equal(a[n], b[n], equal_nan=True) for n in a) for a, b in pairs)


def test_the_last_state_is_the_same_and_its_small_part_can_be_had_alone(
    readers: tuple[RunReader, RunReader],
) -> None:
    memory, disk = (reader.last_checkpoint() for reader in readers)
    assert same(memory, disk)
    assert not same(memory, memory._replace(coordinator={**memory.coordinator, "more": np.zeros(1)}))
    for reader, checkpoint in zip(readers, (memory, disk), strict=True):
        state = reader.coordinator_state()
        assert state is not None
        assert (state.epoch, state.info) == (checkpoint.epoch, checkpoint.info)
        assert list(state.arrays) == list(checkpoint.coordinator)


def test_what_people_are_told_needs_a_reader_alone(readers: tuple[RunReader, RunReader]) -> None:
    memory, disk = (summary_of(reader) for reader in readers)
    assert (memory["path"], memory["resume_command"]) == ("memory", "maxwell resume memory")
    timed = {"path", "bytes", "resume_command", "core_seconds"}
    assert {k: v for k, v in memory.items() if k not in timed} == {k: v for k, v in disk.items() if k not in timed}
    memory, disk = (diagnostics(reader) for reader in readers)
    assert memory.equals(disk)
    assert "mu_ess" in memory


def test_there_is_no_state_of_a_run_that_has_not_begun(tmp_path) -> None:
    with stores.create(tmp_path / "run.zarr", LAYOUT, {}) as store:
        assert store.locator == str(tmp_path / "run.zarr")
        for reader in (stores.reader(store.locator), MemoryStore(LAYOUT, {}).reader()):
            assert reader.coordinator_state() is None
            assert len(diagnostics(reader)) == 0


def test_a_reader_stands_at_one_state_and_reads_the_root_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = {"mu": np.ones((3, STORED))}
    with stores.create(tmp_path / "run.zarr", LAYOUT, {"stage": "scout"}) as store:
        for shard in range(4):
            store.append(shard, "posterior", draws)
        store.commit(Checkpoint(1, [{}] * 4, {"x": np.arange(3)}, {"rounds": 1}))
        reader = stores.reader(store.locator)
        for shard in range(4):
            store.append(shard, "posterior", draws)
        store.commit(Checkpoint(2, [{}] * 4, {"x": np.arange(4)}, {"rounds": 2}), {"stage": "sample"})
        monkeypatch.setattr("ensemble.store.reader.read_verified_root", lambda path: pytest.fail("read again"))
        assert reader.attributes["stage"] == "scout"
        assert reader.attributes["maxwell"]["draws"]["posterior"] == 3
        assert reader.groups()["posterior"].sizes["draw"] == 3
        state = reader.coordinator_state()
        assert state is not None
        assert (state.epoch, state.info, state.arrays["x"].size) == (1, {"rounds": 1}, 3)
        monkeypatch.undo()
        assert stores.reader(store.locator).groups()["posterior"].sizes["draw"] == 6
