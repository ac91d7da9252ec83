"""What Ray is told on this machine and sends to others: environment variables, a token, folders, the shipped code."""

import functools
import os
import secrets
import site
import sys
from pathlib import Path
from typing import Any

from ensemble.fleet.compilation_cache import environment
from ensemble.surroundings import SHARED, temporary_folder

OBJECT_STORE_BYTES = 2 << 30
CODE = ("kernels", "ensemble", "workflows", "configs", "maxwell.py")
NOT_SHIPPED = [".venv", ".git", ".cache", "runs", "*.zarr"]


def worker_environment() -> dict[str, str]:
    """The environment variables of a worker: one thread, JAX as in the driver, compiled programs kept on disk.

    PJRT_NPROC is what limits the threads of XLA on a CPU; the law of equal bits holds for one.
    """
    as_here = {name: value for name, value in os.environ.items() if name.startswith("JAX_") or name == "XLA_FLAGS"}
    return environment() | as_here | {"PJRT_NPROC": "1", "OMP_NUM_THREADS": "1"}


def shipped_code() -> dict[str, Any]:
    """The part of a runtime environment that makes this code and the modules in the current folder importable.

    Empty in a submitted Ray job, which has shipped its own folder, and where the environment says (SHARED) that all
    machines see this one's. Installed packages are taken as installed there too.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ or os.environ.get(SHARED):
        return {}
    here = Path.cwd()
    modules = [str(path) for path in own_code() if path.parent != here]
    # An empty list of modules is one that Ray fails to set up.
    return {"working_dir": str(here), "excludes": NOT_SHIPPED} | ({"py_modules": modules} if modules else {})


def own_code() -> list[Path]:
    """The packages and the face of this program where they are a checkout; none where they are installed."""
    root = Path(__file__).resolve().parents[2]
    found = [root / name for name in CODE] if str(root) not in site.getsitepackages() else []
    return [path for path in found if path.exists()]


def private_environment(folder: Path) -> dict[str, str]:
    """What the private Ray is told by environment variables; a caller's own authentication settings are kept.

    The token is one for the whole life of this process, because Ray reads it once.
    """
    path = [entry or os.getcwd() for entry in sys.path]
    settings = {"PYTHONPATH": os.pathsep.join(path), "RAY_USAGE_STATS_ENABLED": "0"}
    settings["RAY_AUTH_MODE"] = os.environ.get("RAY_AUTH_MODE", "token")
    own_token = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    if settings["RAY_AUTH_MODE"] == "token" and not own_token:
        settings["RAY_AUTH_TOKEN_PATH"] = str(_write_private(folder / "token", _token()))
    return settings


@functools.cache
def _token() -> str:
    return secrets.token_hex(32)


def _write_private(path: Path, text: str) -> Path:
    """Write a new file that only its owner may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


LONGEST = 24
"""Characters that the name of a place for Ray's sockets may have: they lie 80 deeper, of at most 107 in all."""


def short_folder() -> Path:
    """A private temporary folder for Ray. Raises NoTemporaryFolder."""
    return temporary_folder(LONGEST, ", or run without Ray by --local (in Python local=True)")


def store_bytes() -> int:
    """The size of the object store: 2 GiB, or a quarter of the machine where that is less."""
    return min(OBJECT_STORE_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
