"""A run asked to stop through its store, and what comes of it."""

from pathlib import Path

from ensemble.store import opening as stores
from workflows.clusters.record import Job
from workflows.clusters.standing import standing


def ask_to_stop(store: str | Path) -> str:
    """Ask whoever writes to a store to stop after the round at work, and say what that does. Raises StoreError where
    there is no store, or it cannot be written to."""
    stores.request_stop(store)
    found = standing(store)
    if found.writer is not None:
        return f"{store} is written by {found.writer}, which stops after its round, all of it committed."
    return (
        f"Nobody writes to {store}, as far as this machine can tell: there is nothing to stop. A process of "
        f"another machine that does is asked to.{left_to_do(found.job)}"
    )


def left_to_do(job: Job | None) -> str:
    """What there is to do yet where a run was asked to stop and nobody writes to it: a sentence, a space before it."""
    return f" If the job {job} has yet to go on with it, end that one by its scheduler." if job else ""
