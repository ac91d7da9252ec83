"""A run that the user stopped."""

from typing import NamedTuple

from ensemble.errors import MaxwellError
from workflows.results.run import Run

EVERY_ROUND, LAST_COMMIT = "every finished round", "the last commit"
"""What is kept of a run that was stopped: all of it, or, where workers were lost on the way, less."""


class Stop(NamedTuple):
    """How the user stopped a run.

    kept: EVERY_ROUND or LAST_COMMIT.
    by: who asked for it through the store (`maxwell stop`), as user@host; None for a signal.
    """

    kept: str = EVERY_ROUND
    by: str | None = None

    def __str__(self) -> str:
        return "interrupted" if self.by is None else f"stopped, as {self.by} asked"


class Interrupted(MaxwellError):
    """The user stopped a run before its goals were met.

    run: the run as it stands, from which one can go on. stop: how, and what is kept.
    """

    def __init__(self, run: Run, stop: Stop | None = None) -> None:
        stop = stop or Stop()
        where = "" if run.is_temporary else f" in {run.path}"
        super().__init__(
            f"{stop}; {stop.kept} is kept{where}: go on with the method resume() of this run, which is "
            "also the attribute `run` of this exception"
        )
        self.run, self.stop = run, stop
