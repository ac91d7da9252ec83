"""The folder in which the nodes of a job meet for one sitting of its run, between one start of the job and its next.

It lies beside the store, which all nodes see, and holds who is there: the head's address, who has joined, and that it
is over. Nobody guesses names of hosts or ports.
"""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

TOKEN, HEAD, DONE, AGAIN, JOINED = "token", "head", "done", "again", "joined"
POLL = 0.2
"""Seconds between two looks at what others have written."""


class Sitting:
    """The folder at `path`, made where missing."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path

    def write(self, name: str, text: str = "") -> None:
        """Put a file into the folder in one step, for its owner alone."""
        partial = self.path / f".{name}.{secrets.token_hex(4)}"
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, self.path / name)

    def read(self, name: str) -> str | None:
        """What a file of the folder holds; None while it is not there."""
        # Network file systems keep for a while that a file was not there: listing the folder asks anew.
        if name not in os.listdir(self.path):
            return None
        return (self.path / name).read_text(encoding="utf-8")

    def new_token(self) -> Path:
        """A file with a secret that the processes of this sitting show each other."""
        self.write(TOKEN, secrets.token_hex(32))
        return self.path / TOKEN

    def joined(self) -> int:
        """How many nodes have joined the head."""
        return sum(name.startswith(f"{JOINED}-") for name in os.listdir(self.path))

    def await_(self, ready: Callable[[], bool], seconds: float, pause: Callable[[float], None] = time.sleep) -> bool:
        """Wait until something is so; False where it was not in time."""
        until = time.monotonic() + seconds
        while not ready():
            if time.monotonic() >= until:
                return False
            pause(POLL)
        return True
