"""The schedulers' own programs, by which jobs are handed over."""

import shutil
import subprocess
from pathlib import Path

from ensemble.errors import MaxwellError

SECONDS = 120.0
"""A scheduler that does not answer in this time is given up."""


class SubmitError(MaxwellError):
    """A job cannot be handed over."""


def found(program: str) -> bool:
    """Whether a program is on the PATH."""
    return shutil.which(program) is not None


def require(program: str, advice: str) -> None:
    """Raise SubmitError unless a program is on the PATH. advice: what to do then."""
    if not found(program):
        raise SubmitError(f"there is no {program} on the PATH: {advice}. --dry-run shows what would be submitted.")


def answer(command: list[str], text: str | None = None) -> str:
    """What a program prints that is given `text`. Raises SubmitError with what it says where it fails."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SubmitError(f"{command[0]} did not answer within {SECONDS:.0f} seconds: nothing is submitted") from None
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        # Of a program's traceback the last line is for people.
        said = said.splitlines()[-1] if "Traceback" in said else said[-2000:]
        raise SubmitError(f"{Path(command[0]).name} refused the job: {said}")
    return done.stdout
