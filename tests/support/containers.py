"""Commands as in containers: an environment of almost nothing, a user whom the machine does not know, folders that
cannot be written."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = 48_271
"""A number that no passwd file has."""
ROOTS_ONLY = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may start a process of another user"
)


def everybody_reads(path: Path) -> bool:
    """Whether any user may enter the folders above a path, and read it."""
    modes = [folder.stat().st_mode for folder in path.resolve().parents]
    return all(mode & 0o001 for mode in modes) and bool(path.stat().st_mode & 0o004)


def python() -> str:
    """A Python of this version that any user may run: this one, or the system's with the packages of this one."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    for found in (sys.executable, system):
        if found and everybody_reads(Path(found)):
            return found
    pytest.skip("other users may not run this Python, and the system has none of its version")


def bare_environment(**more: str) -> dict[str, str]:
    """What a process finds where nobody prepared anything: no HOME, no user."""
    packages = sysconfig.get_paths()["purelib"]
    if not everybody_reads(ROOT) or not everybody_reads(Path(packages)):
        pytest.skip("other users may not read this checkout or its packages")
    bare = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}
    return bare | {"JAX_PLATFORMS": "cpu"} | more


@contextmanager
def shared_folder(prefix: str = "mx") -> Iterator[Path]:
    """A folder below /tmp that the user of the container may write; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    path.chmod(0o777)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def in_container(
    *arguments: str, before: tuple[str, ...] = (), user: int = USER, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """`python ARGUMENT...` of a user without an entry in passwd. before: commands of root that come first, in a mount
    namespace of their own, which ends with the process."""
    called = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", python(), *arguments]
    if before:
        called = [
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-ec",
            "\n".join([*before, 'exec "$@"']),
            "sh",
            *called,
        ]
    return subprocess.run(
        called, env=bare_environment(**variables), cwd="/", capture_output=True, text=True, check=False
    )


def maxwell(*arguments: str, **more: object) -> "subprocess.CompletedProcess[str]":
    """`maxwell ARGUMENT...` there."""
    return in_container("-m", "workflows.cli", *arguments, **more)  # type: ignore[arg-type]
