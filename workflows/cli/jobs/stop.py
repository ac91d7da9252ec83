"""`maxwell stop STORE`: ask a run to stop after its round, wherever it runs."""

import argparse
from typing import Any

from workflows.cli.options import say, store_command


def add(commands: Any) -> None:
    """Add the command's parser."""
    store_command(
        commands,
        command,
        name="stop",
        help="ask a run to stop after its round, wherever it runs",
        description="Ask the process that writes to STORE to commit and end after the round it is in. A later run is "
        "not meant: `maxwell resume`, or the same job submitted again, goes on.",
    )


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from ensemble.store import opening as stores
    from workflows.clusters.record import last_job
    from workflows.clusters.standing import standing

    stores.request_stop(arguments.store)
    found = standing(arguments.store)
    if found.writer is not None:
        say(f"{arguments.store} is written by {found.writer}, which stops after its round, all of it committed.")
        return 0
    job = last_job(found.path)
    end = f" If the job {job} has yet to go on with it, end that one by its scheduler." if job else ""
    say(
        f"Nobody writes to {arguments.store}, as far as this machine can tell: there is nothing to stop. A process of "
        f"another machine that does is asked to.{end}"
    )
    return 0
