"""What is kept of a job beside the store of its run: a folder with its script, its settings, its logs and a record."""

import json
import os
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = ".job"
RECORD = "job.json"


class Job(NamedTuple):
    """A job that was submitted.

    kind: slurm, kubernetes or ray.
    id: its number or name there.
    store: of its run, absolute, as the machines of the job see it.
    submitted: when, in seconds since 1970.
    place: where it is asked for: the namespace of Kubernetes, the address of a Ray cluster's dashboard; else empty.
    """

    kind: str
    id: str
    store: Path
    submitted: float
    place: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def job_folder(store: Path) -> Path:
    """Where all of a job lies: beside the store, under its name."""
    return store.with_name(f"{store.name}{FOLDER}")


def record(job: Job, folder: Path | None = None) -> None:
    """Keep what is known of a job, in one step. folder: where; None: beside its store."""
    target = (folder or job_folder(job.store)) / RECORD
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{RECORD}.{os.getpid()}")
    partial.write_text(json.dumps({**job._asdict(), "store": str(job.store)}, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, target)


def last_job(store: Path) -> Job | None:
    """The last job that was submitted for a store; None where none was, or its record is no record."""
    return _read(job_folder(store) / RECORD)


def find_job(number: str, folder: Path) -> Job | None:
    """The job of this number or name among those recorded below a folder; None where there is none."""
    found = (_read(path) for path in sorted(folder.rglob(f"*{FOLDER}/{RECORD}")))
    return next((job for job in found if job is not None and job.id == number), None)


def submitted_now(kind: str, name: str, store: Path, place: str = "") -> Job:
    """A job submitted at this moment."""
    return Job(kind, name, store, time.time(), place)


def _read(path: Path) -> Job | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Job(**{**found, "store": Path(found["store"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
