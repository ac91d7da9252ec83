"""The Ray fleet gives the bits of LocalFleet, whatever dies: one local cluster, with a runner that fails on request."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import FleetError, WorkersLost
from ensemble.fleet import ray_fleet
from ensemble.fleet.local import Fleet, LocalFleet
from ensemble.fleet.ray_environment import worker_environment
from ensemble.fleet.ray_fleet import RayFleet
from ensemble.protocol.flat import flatten
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult, RunnerSpec
from ensemble.protocol.stages import SCOUT
from tests.support.fake_runner import FakeFailure

pytestmark = pytest.mark.ray
SHARDS, WORKERS = 5, 2  # shards 0, 1, 2 live on worker 0; shards 3, 4 on worker 1


def spec_in(folder: Path) -> RunnerSpec:
    return RunnerSpec("tests.support.fake_runner:build", {"folder": str(folder)}, np.linspace(-1.0, 1.0, 7))


def plan(epoch: int) -> RoundPlan:
    return RoundPlan(epoch, SCOUT, epoch, 3, {"scale": np.array(0.1 * epoch)}, record=epoch % 2 == 0)


def bits_of_states(states: list[Arrays]) -> list[dict[str, bytes]]:
    return [{name: np.asarray(values).tobytes() for name, values in state.items()} for state in states]


def bits(reports: list[RoundResult]) -> list[tuple[int, int, list[dict[str, bytes]]]]:
    return [(r.epoch, r.shard, bits_of_states([flatten(r.statistics), *r.draws.values()])) for r in reports]


def expected(rounds: int, folder: Path) -> tuple[list[list[RoundResult]], list[Arrays]]:
    """The reports of each round and the last states, without Ray and without failures."""
    local: Fleet = LocalFleet(spec_in(folder), SHARDS)
    local.initialise()
    return [local.run(plan(epoch)) for epoch in range(rounds)], local.states()


@pytest.fixture(scope="module")
def shared(connected_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RayFleet, Path]]:
    folder = tmp_path_factory.mktemp("markers")
    with RayFleet(spec_in(folder), SHARDS, WORKERS) as fleet:
        yield fleet, folder


@pytest.fixture
def folder(shared: tuple[RayFleet, Path]) -> Path:
    """Where the runners on Ray look for failures to make, and log their rounds: empty at the start of a test."""
    for file in shared[1].iterdir():
        file.unlink()
    return shared[1]


@pytest.fixture
def fleet(shared: tuple[RayFleet, Path], folder: Path) -> RayFleet:
    shared[0].initialise()
    return shared[0]


def rounds_of(shard: int, folder: Path) -> list[int]:
    """The epochs that any worker ran for a shard, replays included, in order."""
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    return [int(epoch) for number, epoch in lines if int(number) == shard]


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    (_, first, second), states = expected(3, tmp_path)
    assert bits(first) != bits(second)
    assert bits_of_states(states) != bits_of_states(expected(2, tmp_path)[1])


def test_equals_the_local_fleet_bit_for_bit(fleet: RayFleet, tmp_path: Path) -> None:
    reports, states = expected(4, tmp_path)
    assert [bits(fleet.run(plan(epoch))) for epoch in range(4)] == [bits(round_) for round_ in reports]
    assert bits_of_states(fleet.states()) == bits_of_states(states)


def test_goes_on_from_committed_states(fleet: RayFleet, tmp_path: Path) -> None:
    reports, _ = expected(4, tmp_path)
    fleet.load(1, expected(2, tmp_path)[1])
    assert [bits(fleet.run(plan(epoch))) for epoch in (2, 3)] == [bits(reports[2]), bits(reports[3])]


def test_a_worker_killed_between_rounds(fleet: RayFleet, folder: Path, tmp_path: Path) -> None:
    reports, states = expected(3, tmp_path)
    fleet.run(plan(0))
    fleet.run(plan(1))
    dead, spared = fleet.pids()
    os.kill(dead, signal.SIGKILL)
    assert bits(fleet.run(plan(2))) == bits(reports[2])
    assert dead not in fleet.pids()
    assert spared in fleet.pids()
    assert bits_of_states(fleet.states()) == bits_of_states(states)
    assert rounds_of(0, folder) == [0, 1, 0, 1, 2]
    assert rounds_of(3, folder) == [0, 1, 2]


@pytest.mark.parametrize("shard", [0, 2], ids=["first of its worker", "after two reports of its worker"])
def test_a_worker_killed_during_a_round(shard: int, fleet: RayFleet, folder: Path, tmp_path: Path) -> None:
    reports, states = expected(4, tmp_path)
    (folder / f"kill-{shard}-2").touch()
    assert [bits(fleet.run(plan(epoch))) for epoch in range(4)] == [bits(round_) for round_ in reports]
    assert bits_of_states(fleet.states()) == bits_of_states(states)


def test_every_worker_killed_in_one_round_and_again_in_the_replay(
    fleet: RayFleet, folder: Path, tmp_path: Path
) -> None:
    reports, _ = expected(3, tmp_path)
    fleet.run(plan(0))
    fleet.run(plan(1))
    for marker in ("kill-1-2", "kill-4-2", "kill-1-1"):
        (folder / marker).touch()
    assert bits(fleet.run(plan(2))) == bits(reports[2])
    assert not list(folder.glob("kill-*"))


def test_nothing_is_replaced_once_a_stop_was_asked_for(fleet: RayFleet, tmp_path: Path) -> None:
    reports, _ = expected(2, tmp_path)
    fleet.run(plan(0))
    dead, spared = fleet.pids()
    fleet.heed(lambda: True)
    assert bits(fleet.run(plan(1))) == bits(reports[1])  # a stop alone takes nothing from a round
    os.kill(dead, signal.SIGKILL)
    with pytest.raises(WorkersLost, match="Workers 0 were lost after a stop was asked for"):
        fleet.run(plan(2))
    assert fleet.pids() == [dead, spared]
    fleet.heed(lambda: False)
    fleet.initialise()
    assert bits(fleet.run(plan(0))) == bits(reports[0])
    assert dead not in fleet.pids()


def test_a_worker_killed_before_its_states_are_asked_for(fleet: RayFleet, tmp_path: Path) -> None:
    _, states = expected(2, tmp_path)
    fleet.run(plan(0))
    fleet.run(plan(1))
    os.kill(fleet.pids()[1], signal.SIGKILL)
    assert bits_of_states(fleet.states()) == bits_of_states(states)


def test_a_committed_state_is_where_a_lost_shard_restarts(fleet: RayFleet, folder: Path, tmp_path: Path) -> None:
    reports, _ = expected(5, tmp_path)
    fleet.run(plan(0))
    fleet.run(plan(1))
    fleet.states()
    fleet.run(plan(2))  # between the states and their commit: its plan must be kept
    fleet.committed()
    fleet.run(plan(3))
    os.kill(fleet.pids()[0], signal.SIGKILL)
    assert bits(fleet.run(plan(4))) == bits(reports[4])
    assert rounds_of(0, folder) == [0, 1, 2, 3, 2, 3, 4]


def test_states_that_were_never_committed_are_no_restart_point(fleet: RayFleet, folder: Path) -> None:
    fleet.run(plan(0))
    fleet.states()
    os.kill(fleet.pids()[0], signal.SIGKILL)
    fleet.run(plan(1))
    assert rounds_of(0, folder) == [0, 0, 1]


def test_the_states_are_copies(fleet: RayFleet) -> None:
    assert all(values.flags.owndata and values.flags.writeable for s in fleet.states() for values in s.values())


def test_an_exception_of_the_runner_arrives_as_itself_and_is_not_retried(
    fleet: RayFleet, folder: Path, tmp_path: Path
) -> None:
    reports, _ = expected(1, tmp_path)
    pids = fleet.pids()
    (folder / "fail-1-0").touch()
    with pytest.raises(FakeFailure) as caught:
        fleet.run(plan(0))
    assert type(caught.value) is FakeFailure
    assert (caught.value.shard, caught.value.epoch) == (1, 0)
    assert rounds_of(1, folder) == [0]
    with pytest.raises(FleetError, match="`states` needs every shard at one epoch"):
        fleet.states()
    (folder / "fail-1-0").unlink()
    fleet.initialise()
    assert bits(fleet.run(plan(0))) == bits(reports[0])
    assert fleet.pids() == pids


def test_a_shard_that_kills_every_worker_is_given_up(
    fleet: RayFleet, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports, _ = expected(1, tmp_path)
    monkeypatch.setattr(ray_fleet, "MOST_DEATHS", 2)
    (folder / "poison-4").touch()
    with pytest.raises(FleetError, match=r"shards 4 died 2 times in one round.*too little memory"):
        fleet.run(plan(0))
    (folder / "poison-4").unlink()
    fleet.initialise()
    assert bits(fleet.run(plan(0))) == bits(reports[0])


def test_tells_processes_and_peak_memory(fleet: RayFleet) -> None:
    fleet.run(plan(0))
    assert len(set(fleet.pids())) == WORKERS
    assert all(10e6 < peak < 10e9 for peak in fleet.peak_memory())


def test_workers_without_a_place_are_an_error(fleet: RayFleet, folder: Path) -> None:
    with pytest.raises(FleetError, match=r"Of 1 workers, 1 found no free place within 1 seconds.*has 2 CPUs"):
        RayFleet(spec_in(folder), SHARDS, 1, patience=1.0)
    fleet.run(plan(0))


@pytest.mark.parametrize("workers", [0, 6])
def test_a_number_of_workers_outside_the_range_is_an_error(workers: int, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=f"{workers} workers were asked for.*Ask for 1 to 5"):
        RayFleet(spec_in(tmp_path), SHARDS, workers)


def test_the_number_of_states_is_checked(fleet: RayFleet) -> None:
    with pytest.raises(FleetError, match="1 states were given for 5 shards"):
        fleet.load(0, [{"x": np.zeros(7)}])


def test_workers_have_one_thread_and_the_jax_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PJRT_NPROC", "8")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    environment = worker_environment()
    assert (environment["PJRT_NPROC"], environment["OMP_NUM_THREADS"], environment["JAX_PLATFORMS"]) == (
        "1",
        "1",
        "cpu",
    )
    assert environment["JAX_COMPILATION_CACHE_DIR"].startswith("/caches/maxwell/jax/")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert worker_environment()["JAX_COMPILATION_CACHE_DIR"] == "/elsewhere"
