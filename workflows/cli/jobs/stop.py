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
    from workflows.clusters.stopping import ask_to_stop

    say(ask_to_stop(arguments.store))
    return 0
