"""A run followed from anywhere that sees its store, commit by commit, until nothing more is to be expected of it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ensemble.errors import StoreError
from ensemble.store import opening as stores
from workflows.clusters.record import Job, find_job, last_job
from workflows.clusters.standing import Standing, standing

POLL = 2.0
"""Seconds between two looks at a store; a commit is seen by the time of its file alone."""

Pending = Callable[[Job], bool | None]
"""Whether a job is still queued or at work, as its scheduler says; None where it cannot be asked."""


def watched_store(name: str) -> Path:
    """The store that is meant: a path, or the number of a job that was submitted from here. Raises StoreError."""
    path = Path(name)
    if path.exists() or last_job(path) is not None:
        return path
    if (job := find_job(name, Path())) is not None:
        return job.store
    raise StoreError(f"there is neither a store at {name} nor a job of that name recorded below this folder")


def follow(path: Path, pending: Pending, pause: Callable[[float], None] = time.sleep) -> Iterator[Standing | None]:
    """Where the run at `path` stands: now, and whenever that changes, until it has ended or nobody is to go on with it.

    None stands for a run whose job has not begun it yet. pause: waits between two looks.
    """
    last: tuple[float, str, str | None] | None = None
    waiting = False
    while True:
        job = last_job(path)
        if not stores.is_store(path):
            if job is None or pending(job) is False:
                raise StoreError(f"there is no run at {path}, and no job that is to begin it")
            if not waiting:
                yield None
            waiting = True
        else:
            found = standing(path)
            known = (stores.committed_at(path), found.state, found.writer)
            if known != last:
                yield found
            last = known
            if found.writer is None and not _goes_on(found, job, pending):
                return
        pause(POLL)


def _goes_on(found: Standing, job: Job | None, pending: Pending) -> bool:
    """Whether a job is to write to the store that nobody writes to now. A run that has ended may have been submitted
    once more, with other limits."""
    if job is None:
        return False
    asked = pending(job)
    return not found.ended if asked is None else asked
