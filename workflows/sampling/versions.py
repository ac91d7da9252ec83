"""What the bits of a run depend on beside its settings: recorded when it begins, compared when it goes on."""

import importlib.metadata
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import jax

PACKAGES = ("maxwell", "jax", "numpy", "ray", "zarr", "xarray", "arviz", "numpyro")
DECISIVE = ("jax", "backend", "cpu")
"""On these the bits of the draws depend."""


def versions() -> dict[str, str]:
    """What the bits of a run depend on, and the versions of what wrote it."""
    found = {}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {**found, "python": platform.python_version(), "backend": jax.default_backend(), "cpu": _cpu()}


def changed_versions(before: Mapping[str, str]) -> list[str]:
    """One sentence for each thing on which bits depend that is not what the run began with."""
    now = versions()
    return [
        f"{name} was {before.get(name)} when the run began and is {now.get(name)} now: "
        "the draws go on, but not bit for bit as they would have"
        for name in DECISIVE
        if before.get(name) != now.get(name)
    ]


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
