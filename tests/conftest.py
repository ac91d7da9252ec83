"""The environment of every test, set before JAX or Ray is imported: one CPU thread, no telemetry, repeatable draws."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# XLA takes its number of CPU threads from PJRT_NPROC; the law of equal bits holds for one.
os.environ["PJRT_NPROC"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Tests start Ray on this machine only and must not write a token to the home folder.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiled programs are kept between runs and shared with the Ray workers of a test, which inherit this environment.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
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
