"""A request that a run stop: a small file in its store, which the writer looks for between rounds.

It names the writer that is meant, by the token that every writer draws anew: a request that came too late, or that a
crash left behind, stops no later one.
"""

import getpass
import json
import socket
from contextlib import suppress
from pathlib import Path

from ensemble.store.disk.filesystem import Filesystem

STOP = ".stop"


def ask(store: Path, token: str, fs: Filesystem) -> None:
    """Ask the writer with this token to stop."""
    fs.write(store / STOP, json.dumps({"writer": token, "by": _this_user()}).encode())
    fs.sync_folder(store)


def asked(store: Path, token: str) -> str | None:
    """Who asked the writer with this token to stop; None while nobody did. What is no request is none."""
    try:
        found = json.loads((store / STOP).read_bytes())
        return str(found["by"]) if found["writer"] == token else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def forget(store: Path, fs: Filesystem) -> None:
    """Remove what was asked of an earlier writer."""
    if (store / STOP).exists():
        with suppress(FileNotFoundError):
            fs.remove(store / STOP)


def _this_user() -> str:
    """user@host, as far as it is known: containers run as numbers without names."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
