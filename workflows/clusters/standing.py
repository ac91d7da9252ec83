"""Where a run stands, told by its store alone: from any machine that sees it, while it goes on and afterwards."""

import time
from pathlib import Path
from typing import Any, NamedTuple

from ensemble.errors import StoreError
from ensemble.store import opening as stores
from workflows.clusters.record import Job, last_job
from workflows.results.goals import Goal, goals_of
from workflows.results.inspect import higher_limits, number, summarise
from workflows.results.progress import duration

DONE, LIMIT, RUNNING, STOPPING, STOPPED, RESTS, BEGINS, UNREADABLE = (
    "done",
    "at its limit",
    "running",
    "stopping",
    "stopped",
    "rests",
    "begins",
    "unreadable",
)
"""What a run can be: its goals met; at a limit of its settings; being written; asked to stop; stopped when asked;
interrupted, waiting for its job or abandoned; before its first commit; of another version, or damaged."""
TOLD = 3
"""How many of those that are not met."""


class Standing(NamedTuple):
    """Where a run stands at its last commit.

    path: its store.
    state: one of the words above.
    stage: of the run.
    sweeps: since its start.
    draws: of each chain.
    goals: how far each is, empty before the first check.
    seconds: wall time of sampling so far.
    seconds_left: wall time to the goals of ESS and draws from the last commit; None where it is not known.
    age: seconds since the last commit.
    writer: who writes now, as far as this machine can tell.
    job: the last one submitted for this store, if any was.
    """

    path: Path
    state: str
    stage: str = ""
    sweeps: int = 0
    draws: int = 0
    goals: tuple[Goal, ...] = ()
    seconds: float = 0.0
    seconds_left: float | None = None
    age: float = 0.0
    writer: str | None = None
    job: Job | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be expected of the run as it is."""
        return self.state in (DONE, LIMIT, STOPPED)

    @property
    def left(self) -> float | None:
        """Wall time from now to the goals of ESS and draws [s], while somebody writes; None where it is not known."""
        if self.state != RUNNING or self.seconds_left is None:
            return None
        return max(0.0, self.seconds_left - self.age)


def standing(path: str | Path) -> Standing:
    """Where the run at `path` stands. Raises StoreError where there is none, or it cannot be read."""
    path = Path(path)
    # The writer is asked for first: one that ends meanwhile has committed its last before.
    writer = stores.writer_of(path)
    attributes = stores.reader(path).attributes
    summary = summarise(attributes, path, 0)
    return Standing(
        path=path,
        state=_state(path, summary, writer),
        stage=summary["stage"] or "",
        sweeps=summary["sweeps"] or 0,
        draws=summary["draws"] or 0,
        goals=tuple(goals_of(summary)),
        seconds=summary["wall_seconds"] or 0.0,
        seconds_left=summary.get("seconds_left"),
        age=max(0.0, time.time() - stores.committed_at(path)),
        writer=writer,
        job=last_job(path),
    )


def standings(folder: str | Path) -> list[Standing]:
    """Where every run below a folder stands, by name; those that cannot be read are among them. Raises StoreError."""
    return [_readable(path) for path in stores.find(folder)]


def _readable(path: Path) -> Standing:
    try:
        return standing(path)
    except StoreError:
        return Standing(path, UNREADABLE, job=last_job(path))


def _state(path: Path, summary: dict[str, Any], writer: str | None) -> str:
    asked = stores.stop_asked(path) is not None
    if writer is not None:
        return STOPPING if asked else RUNNING
    met = summary.get("goals_met") or {}
    if met and all(met.values()):
        return DONE
    if summary["stage"] is None:
        return BEGINS
    if higher_limits(summary):
        return LIMIT
    return STOPPED if asked else RESTS


def line(found: Standing) -> str:
    """Where a run stands, in one line."""
    parts = [f"{found.state}: {found.stage}" if found.stage else found.state]
    parts.append(f"{number(found.sweeps)} sweeps, {number(found.draws)} draws a chain")
    parts.append(goals_text(found))
    left = "" if found.left is None else f", about {duration(found.left)} left"
    parts.append(f"{duration(found.seconds)} of sampling{left}, last commit {duration(found.age)} ago")
    if found.writer is not None:
        parts.append(f"written by {found.writer}")
    if found.job is not None:
        parts.append(f"job {found.job}")
    return "; ".join(part for part in parts if part)


def goals_text(found: Standing) -> str:
    """How many goals are met, and the first of those that are not, with what was reached and what is wanted."""
    known = [goal for goal in found.goals if goal.reached is not None]
    if not {goal.name for goal in known} - {"draws"}:
        return "goals not looked at yet"
    unmet = [f"{goal.name} {number(goal.reached)} of {number(goal.wanted)}" for goal in known if not goal.met]
    met = sum(goal.met for goal in found.goals)
    more = f": {', '.join(unmet[:TOLD])}{', ...' if len(unmet) > TOLD else ''}" if unmet else ""
    return "all goals met" if met == len(found.goals) else f"{met} of {len(found.goals)} goals met{more}"


def table(found: list[Standing]) -> list[str]:
    """A line for each run: store, state, goals, age of the last commit, job."""
    rows = [("STORE", "STATE", "GOALS", "LAST COMMIT", "JOB")]
    for one in found:
        age = "" if one.state == UNREADABLE else f"{duration(one.age)} ago"
        rows.append((str(one.path), one.state, goals_text(one), age, str(one.job or "")))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
