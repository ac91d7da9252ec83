"""The environment of every test, set before JAX or Ray is imported: one CPU thread, no telemetry, repeatable draws."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# XLA takes its number of CPU threads from PJRT_NPROC, NumPy from the other; the law of equal bits holds for one.
os.environ["PJRT_NPROC"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Tests start Ray on this machine only and must not write a token to the home folder.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiled programs are kept between runs, for all checkouts, and shared with the Ray workers of a test, which inherit
# this environment: compiling is most of the work.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maxwell" / "tests"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# The same examples on every run, and no deadline: a first call compiles.
settings.register_profile("maxwell", derandomize=True, deadline=None, database=None)
settings.load_profile("maxwell")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the Ray tests first, as Ray wants to start before JAX, and let it start again after JAX has been used.

    Ray starts its processes by fork and exec; JAX warns of any fork, and a warning is an error. The child runs no JAX.
    """
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Programs that were compiled a month ago are let go. One process does it; another's cache is left alone."""
    if hasattr(session.config, "workerinput") or not CACHE.is_dir():
        return
    old = time.time() - 30 * 24 * 3600
    for program in CACHE.iterdir():
        if program.stat().st_mtime < old:
            program.unlink(missing_ok=True)


@pytest.fixture(scope="module", autouse=True)
def programs_end_with_their_module() -> Iterator[None]:
    """Compiled programs are let go: thousands of them in one process exceed the maps that a process may have."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Stores are written without fsync: no test pulls the plug (power cuts are simulated, and one test looks whether
    the real file system would sync)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def started_by_a_shell() -> Iterator[None]:
    """In this process and those that it starts, no signal but Ctrl-C has a handler and none is ignored, as some are in
    the background of a script and under nohup."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The draws of the small run of tests.support.runs, undisturbed and in this process."""
    from maxwell import run
    from tests.support.runs import SETTINGS, draws

    return draws(run(SETTINGS, out=tmp_path_factory.mktemp("runs") / "local.zarr", local=True))


@pytest.fixture(scope="session")
def private_ray() -> Iterator[str]:
    """The address of one private Ray with two places for all tests: as a fleet starts it, which takes seconds."""
    from ensemble.fleet.ray_connection import private_ray as started

    with started(2) as address:
        yield address


@pytest.fixture(scope="module")
def connected_ray(private_ray: str) -> Iterator[None]:
    """This process connected to that Ray: fleets without an address use it and leave it as it is."""
    import ray

    ray.init(address=private_ray, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()
