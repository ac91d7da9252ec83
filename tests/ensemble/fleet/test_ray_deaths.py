"""What is said of workers that died: lost for want of memory, or never able to start."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from ray.exceptions import OutOfMemoryError, RayActorError

from ensemble.errors import FleetError
from ensemble.fleet import ray_fleet
from ensemble.fleet.ray_deaths import gist, given_up, never_started
from ensemble.fleet.ray_fleet import RayFleet
from ensemble.protocol.plans import RunnerSpec

KILLED = RayActorError(error_msg="The actor died unexpectedly before finishing this task.\n\tclass_name: Worker")
STARVED = OutOfMemoryError(
    "1 worker(s) were killed due to the node running low on memory. It was 23.4GB used / 23.5GB limit (0.99)\n"
    "OOM kill reason: Memory usage 25GB exceeded threshold\n"
    "Error: more about Ray"
)
UNLIKE = RayActorError(
    error_msg="The actor died because of an error raised in its creation task, ray::Worker.__init__() (pid=7)\n"
    "           ^^^^^^^^^\n"
    "RuntimeError: The actor with name Worker failed to import on the worker. This may be because needed library "
    "dependencies are not installed in the worker environment:\n\n"
    "ray::Worker.__init__() (pid=7)\n"
    "                  ^^^^^^^^^^^\n"
    "ImportError: cannot import name 'shard' from 'ensemble'\n"
    "(/site-packages/ensemble/__init__.py)",
    actor_init_failed=True,
)


@pytest.mark.parametrize(
    ("death", "sentence"),
    [
        (KILLED, "The actor died unexpectedly before finishing this task."),
        (
            STARVED,
            "1 worker(s) were killed due to the node running low on memory. It was 23.4GB used / 23.5GB limit (0.99).",
        ),
        (UNLIKE, "ImportError: cannot import name 'shard' from 'ensemble'."),
        (RayActorError(error_msg="Nothing is known.", actor_init_failed=True), "Nothing is known."),
    ],
)
def test_the_gist_is_one_sentence_and_names_the_exception_of_a_worker_that_never_started(
    death: Exception, sentence: str
) -> None:
    assert gist(death) == sentence
    assert sentence in given_up([0, 2], 5, death, 0)


@pytest.mark.parametrize("death", [KILLED, STARVED])
def test_a_lost_worker_is_told_with_its_memory(death: Exception) -> None:
    told = given_up([0, 2], 5, death, 1_500_000_000)
    assert told.startswith("The worker of shards 0, 2 died 5 times in one round, the last time with: ")
    assert "It used up to 1.50 GB in earlier rounds. The usual cause is too little memory: run fewer workers" in told
    assert not never_started(death)


def test_a_worker_that_never_started_is_not_said_to_lack_memory() -> None:
    told = given_up([0, 2], 5, UNLIKE, 1_500_000_000)
    assert "It could not load the code or data that it was sent, and never started: install" in told
    assert "memory" not in told
    assert "GB" not in told


@pytest.mark.ray
@pytest.mark.usefixtures("connected_ray")
def test_a_fleet_whose_workers_cannot_import_the_code_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner's settings are of a class that only the driver has."""
    (tmp_path / "module_of_the_driver.py").write_text("class Choice:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(ray_fleet, "MOST_DEATHS", 2)
    choice = importlib.import_module("module_of_the_driver").Choice()
    spec = RunnerSpec("tests.support.fake_runner:build", {"folder": choice}, np.ones(3))
    with RayFleet(spec, 2, 1) as fleet, pytest.raises(FleetError) as caught:
        fleet.initialise()
    told = str(caught.value)
    assert told.startswith("The worker of shards 0, 1 died 2 times in one round, the last time with: ")
    assert "ModuleNotFoundError: No module named 'module_of_the_driver'. It could not load the code or data" in told
