"""What a process finds around it, also in containers: places for temporary files, environment variables."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ensemble.errors import MaxwellError

ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")
"""Where else, on most machines; the last is memory."""


SHARED = "MAXWELL_SHARED_FOLDERS"
"""The variable that is set to 1 where the machines of a cluster share their disks and import paths: no code is sent."""


class NoTemporaryFolder(MaxwellError):
    """No place takes temporary files."""


def temporary_folder(longest: int | None = None, instead: str = "") -> Path:
    """A new private folder in the usual place (TMPDIR) or, where that does not do, elsewhere; its caller removes it.

    longest: characters that the name of the place may have, for what is put into it has longer ones. instead: what a
    user can do without one. Raises NoTemporaryFolder with every place that was tried.
    """
    refused = []
    for place in dict.fromkeys(_places()):
        if longest is not None and len(os.fsencode(place)) > longest:
            refused.append(f"{place} has {len(os.fsencode(place))}")
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="maxwell-", dir=place))
        except OSError as error:
            refused.append(f"{place} cannot be written ({error.strerror})")
    short = "" if longest is None else f" whose name has at most {longest} characters, as Ray's sockets need"
    raise NoTemporaryFolder(
        f"there is no folder for temporary files{short}: {', '.join(refused)}. Set TMPDIR to one that can be "
        f"written{instead}"
    )


def why_not_made(path: Path) -> str | None:
    """Why nothing can be written at `path`; None where it can, as a trial beside it shows."""
    try:
        if path.is_symlink() and not path.exists():
            return f"it is a link to {os.readlink(path)}, and nothing is there"
        with tempfile.TemporaryDirectory(prefix=".maxwell-", dir=path.absolute().parent) as trial:
            Path(trial, path.name).touch()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _places() -> Iterator[str]:
    """The user's choice first, which `tempfile` passes over without a word where it cannot be written."""
    if given := os.environ.get("TMPDIR"):
        yield os.path.abspath(given)
    with suppress(FileNotFoundError):
        yield tempfile.gettempdir()
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield runtime
    yield from ELSEWHERE


@contextmanager
def set_environment(changes: dict[str, str]) -> Iterator[None]:
    """Environment variables for the length of a block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
