"""What run and resume do alike: show progress, end in words, tell an interrupted user how to go on."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble.errors import MaxwellError
from ensemble.protocol.progress import Progress
from workflows.cli.options import say

if TYPE_CHECKING:
    from workflows.sampling.interrupt import Stop


def to_the_end(start: Callable[[Progress], Any], store: Path, local: bool, asked: int = 130) -> int:
    """Start a run, stored at `store`, and print its end; the exit status. asked: that of a run that was stopped by
    `maxwell stop`."""
    from workflows.results.inspect import resume_command
    from workflows.results.inspect_text import closing_lines
    from workflows.results.progress import make_progress
    from workflows.sampling.interrupt import LAST_COMMIT, Interrupted, Stop

    progress = make_progress()
    try:
        run = start(progress)
    except (Interrupted, KeyboardInterrupt) as interrupted:
        progress.close()
        stop = interrupted.stop if isinstance(interrupted, Interrupted) else Stop(LAST_COMMIT)
        _say_how_to_go_on(store, stop, local)
        return 130 if stop.by is None else asked
    except MaxwellError as error:
        if not error.began:
            raise
        progress.close()
        say(
            f"maxwell: {error}\n\nAll up to the last commit is kept in {store}. Once what is wrong is mended, go on "
            f"with:\n  {resume_command(store, local)}",
            sys.stderr,
        )
        return 2
    finally:
        progress.close()
    say("\n".join(closing_lines(run.summary(), [*_model_lines(run), *_fit_lines(run)], local)))
    return 0


def _model_lines(run: Any) -> list[str]:
    """The model's own table. Whatever is wrong with it, the run is finished and its draws are safe: so it is told."""
    try:
        lines: list[str] = run.report_lines()
    except Exception as error:  # noqa: BLE001 - lines of any model, the user's included
        return [
            f"The run is complete; the model's own table could not be made ({type(error).__name__}: {error}). "
            "`maxwell table` tries it again."
        ]
    return lines


def _fit_lines(run: Any) -> list[str]:
    """Whether the model fits, where that is soon said; what is wrong with its statistics is told, as above."""
    from workflows.results.fit.check import FitError

    try:
        lines: list[str] = run.fit_lines()
    except FitError:
        return []
    except Exception as error:  # noqa: BLE001 - statistics of any model, the user's included
        return [
            f"The run is complete; its fit could not be checked ({type(error).__name__}: {error}). "
            "`maxwell check` tries it again."
        ]
    return lines


def _say_how_to_go_on(store: Path, stop: "Stop", local: bool) -> None:
    from workflows.results.inspect import resume_command

    if store.exists():
        advice = f"{stop.kept} can be found in {store}. Go on with:\n  {resume_command(store, local)}"
    else:
        advice = "there was nothing to keep yet"
    say(f"maxwell: {stop}; {advice}", sys.stderr)
