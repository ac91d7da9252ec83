"""A process that starts small runs by forking itself and kills them: `python -m tests.support.killed_runs`.

It has imported all that a run needs, but never started JAX, which does not survive a fork. Each line that it reads,
`CONFIG STORE SECONDS`, is a run: begun, or gone on with where there is a store, and killed (SIGKILL) that many seconds
after its first round in this sitting, or at once after so many seconds where they are below 0. It answers with
`killed` or the exit status.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

import maxwell
from ensemble.protocol.progress import NullProgress, Status
from ensemble.store import opening as stores
from tests.support.runs import command
from workflows.sampling import resume, sample, session  # noqa: F401  for the runs to come

PATIENCE = 300
"""Seconds after which a run that does not end is given up."""


class Telling(NullProgress):
    """Writes to a pipe after the first round."""

    def __init__(self, pipe: int) -> None:
        self.pipe: int | None = pipe

    def update(self, status: Status) -> None:
        if self.pipe is not None:
            os.write(self.pipe, b"x")
            os.close(self.pipe)
            self.pipe = None


def child(config: str, store: str, pipe: int) -> NoReturn:
    """The run itself, in a process of its own."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nowhere, standard)
    begun = Path(store).exists() and stores.unbegun(store) is None
    arguments = ["resume", store] if begun else ["run", config, "--out", store]
    with pytest.MonkeyPatch.context() as patch:
        os._exit(command(patch, Telling(pipe), [*arguments, "--local"]))


def run(config: str, store: str, seconds: float) -> str:
    """Start one, kill it, and say how it ended."""
    hear, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(hear)
        child(config, store, tell)
    os.close(tell)
    if seconds >= 0:
        select.select([hear], [], [], PATIENCE)
    end = time.monotonic() + abs(seconds)
    while time.monotonic() < end and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(hear)
    code = os.waitstatus_to_exitcode(status)
    return "killed" if code == -signal.SIGKILL else str(code)


if __name__ == "__main__":
    assert maxwell.__all__
    for line in sys.stdin:
        config, store, seconds = line.split()
        sys.stdout.write(f"{run(config, store, float(seconds))}\n")
        sys.stdout.flush()
