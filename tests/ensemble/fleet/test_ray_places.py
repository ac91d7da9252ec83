"""Workers that do not come: without a place in the cluster, or with one and slow to start."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private import state

from ensemble.errors import FleetError
from ensemble.fleet import ray_fleet
from ensemble.fleet.ray_connection import private_ray, process_began
from ensemble.fleet.ray_fleet import RayFleet
from ensemble.fleet.ray_places import none_left
from ensemble.protocol.plans import RunnerSpec
from tests.support.slowly_loaded import SlowlyLoaded

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a Ray of one place."""
    with private_ray(1) as found:
        yield found


@pytest.fixture
def one_place(address: str) -> Iterator[None]:
    """This process connected to it."""
    ray.init(address=address, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def slow(folder: Path) -> RunnerSpec:
    """Workers are made once the file `go` is in the folder."""
    return RunnerSpec("tests.support.fake_runner:build", {"folder": str(folder)}, SlowlyLoaded(folder / "go"))


def process_began_once_one_did(actor: Any) -> bool:
    """Of as many workers as there may be, the answer when one of them has a process and is being made."""
    while not any(found["Pid"] and found["State"] == "PENDING_CREATION" for found in state.actors().values()):
        pass
    return process_began(actor)


@pytest.mark.usefixtures("one_place")
def test_a_worker_that_still_starts_is_told_from_one_without_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_fleet, "process_began", process_began_once_one_did)
    with pytest.raises(FleetError) as caught:
        RayFleet(slow(tmp_path), 2, 2, patience=0.0, starting=0.1)
    no_place, still = str(caught.value).split(" Of 2 workers, ")
    assert no_place.startswith("Of 2 workers, 1 found no free place within 0 seconds. The cluster has 1 CPUs")
    assert still == (
        "1 had a place and were still starting after 0.1 seconds, as on a busy machine, or where its packages lie on a "
        "slow file system. Give them longer (ensemble.start_seconds, now 0.1), or ask for fewer workers."
    )


@pytest.mark.usefixtures("one_place")
def test_a_worker_that_starts_is_waited_for_beyond_the_patience_for_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def begun(actor: Any) -> bool:
        """Its process has begun; it is let go on as soon as the patience for a place is over and this is asked."""
        asked.append(actor)
        while not process_began(actor):
            pass
        (tmp_path / "go").touch()
        return True

    monkeypatch.setattr(ray_fleet, "process_began", begun)
    with RayFleet(slow(tmp_path), 2, 1, patience=0.0) as fleet:
        assert len(fleet.pids()) == 1
    assert asked


def test_a_ray_of_ones_own_has_a_place_for_each(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"^Of 1 workers, 1 had a place and were still starting after 0.1 seconds"):
        RayFleet(slow(tmp_path), 2, 1, patience=0.0, starting=0.1)


def test_the_words_where_none_is_left() -> None:
    assert "no place for a new one within 7 seconds. Resume the run when" in none_left({0: False}, 7.0, 9.0)
    assert "new ones had a place and were still starting after 9 seconds" in none_left({0: True}, 7.0, 9.0)
