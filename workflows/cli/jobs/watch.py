"""`maxwell watch STORE`: follow a run from anywhere that sees its store."""

import argparse
from typing import Any

from workflows.cli.options import say


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "watch",
        help="follow a run from anywhere that sees its store",
        description="Print a line at every commit of a run until it ends, or until no job is left to go on with it.",
    )
    parser.add_argument("store", metavar="STORE|JOB", help="the folder of a run, or the number of a job")
    parser.add_argument("--once", action="store_true", help="print one line, and end")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.clusters.schedulers import pending
    from workflows.clusters.standing import line
    from workflows.clusters.watching import follow, watched_store

    for found in follow(watched_store(arguments.store), pending):
        say("waiting: the job has not begun the run yet" if found is None else line(found))
        if arguments.once:
            break
    return 0
