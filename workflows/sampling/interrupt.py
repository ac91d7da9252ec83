"""A run that the user stopped."""

from ensemble.errors import MaxwellError
from workflows.results.run import Run

EVERY_ROUND, LAST_COMMIT = "every finished round", "the last commit"
"""What is kept of a run that was stopped: all of it, or, where workers were lost on the way, less."""


class Interrupted(MaxwellError):
    """The user stopped a run before its goals were met.

    run: the run as it stands, from which one can go on. kept: EVERY_ROUND or LAST_COMMIT.
    """

    def __init__(self, run: Run, kept: str = EVERY_ROUND) -> None:
        where = "" if run.is_temporary else f" in {run.path}"
        super().__init__(
            f"interrupted; {kept} is kept{where}: go on with the method resume() of this run, which is "
            "also the attribute `run` of this exception"
        )
        self.run, self.kept = run, kept
