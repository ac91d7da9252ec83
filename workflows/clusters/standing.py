"""Where a run stands, told by its store alone: from any machine that sees it, while it goes on and afterwards."""

import time
from pathlib import Path
from typing import Any, NamedTuple

from ensemble.errors import StoreError
from ensemble.store import opening as stores
from workflows.clusters.record import Job, last_job
from workflows.results.inspect import goal_values, higher_limits, number, summarise
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
SHOWN = ("ess", "shared_ess", "rhat", "shared_rhat", "draws", "tail_ess", "tail_rhat")
"""Goals that have a number, in the order in which they are told; others follow."""
TOLD = 3
"""How many of those that are not met."""
UNKNOWN = number(None)


class Standing(NamedTuple):
    """Where a run stands at its last commit.

    path: its store.
    state: one of the words above.
    stage: of the run.
    sweeps: since its start.
    draws: of each chain.
    goals: {goal: (met, reached, wanted)} in words, empty before the first check.
    seconds: wall time of sampling so far.
    age: seconds since the last commit.
    writer: who writes now, as far as this machine can tell.
    job: the last one submitted for this store, if any was.
    """

    path: Path
    state: str
    stage: str = ""
    sweeps: int = 0
    draws: int = 0
    goals: dict[str, tuple[bool, str, str]] = {}  # noqa: RUF012 - a default of a NamedTuple, never changed
    seconds: float = 0.0
    age: float = 0.0
    writer: str | None = None
    job: Job | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be expected of the run as it is."""
        return self.state in (DONE, LIMIT, STOPPED)


def standing(path: str | Path) -> Standing:
    """Where the run at `path` stands. Raises StoreError where there is none, or it cannot be read."""
    path = Path(path)
    # The writer is asked for first: one that ends meanwhile has committed its last before.
    writer = stores.writer_of(path)
    attributes = stores.reader(path).attributes
    summary = summarise(attributes, path, 0)
    met = summary.get("goals_met") or {}
    values = {goal: goal_values(summary).get(goal, (None, None)) for goal in (*SHOWN, *met) if goal in met}
    return Standing(
        path=path,
        state=_state(path, summary, writer),
        stage=summary["stage"] or "",
        sweeps=summary["sweeps"] or 0,
        draws=summary["draws"] or 0,
        goals={goal: (bool(met[goal]), number(one), number(other)) for goal, (one, other) in values.items()},
        seconds=summary["wall_seconds"] or 0.0,
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
    parts.append(f"{duration(found.seconds)} of sampling, last commit {duration(found.age)} ago")
    if found.writer is not None:
        parts.append(f"written by {found.writer}")
    if found.job is not None:
        parts.append(f"job {found.job}")
    return "; ".join(part for part in parts if part)


def goals_text(found: Standing) -> str:
    """How many goals are met, and the first of those that are not, with what was reached and what is wanted."""
    known = {goal: row for goal, row in found.goals.items() if row[1] != UNKNOWN}
    if not set(known) - {"draws"}:
        return "goals not looked at yet"
    unmet = [f"{goal} {reached} of {wanted}" for goal, (met, reached, wanted) in known.items() if not met]
    met = sum(row[0] for row in found.goals.values())
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
