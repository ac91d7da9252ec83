"""What the bits of a run depend on beside its settings: recorded when it begins, compared when it goes on."""

import importlib.metadata
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import jax

PACKAGES = ("maxwell", "jax", "jaxlib", "numpy", "ray", "zarr", "xarray", "arviz", "numpyro")
DECISIVE = ("maxwell", "jax", "jaxlib", "numpy", "numpyro", "python", "backend", "cpu")
"""On these the bits of the draws may depend."""


def versions() -> dict[str, str]:
    """What the bits of a run depend on, and the versions of what wrote it."""
    found = {}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {**found, "python": platform.python_version(), "backend": jax.default_backend(), "cpu": _cpu()}


def changed_versions(before: Mapping[str, str]) -> str | None:
    """A sentence where things on which bits depend are not what the run began with, each with both; what a run of an
    older program did not note is passed over."""
    now = versions()
    changed = [name for name in DECISIVE if name in before and before[name] != now.get(name)]
    if not changed:
        return None
    each = "; ".join(f"{name} was {before[name]} when the run began and is {now.get(name)} now" for name in changed)
    return f"{each}: the draws go on, but perhaps not bit for bit as they would have"


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
