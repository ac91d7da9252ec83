"""`maxwell verify STORE`: say whether every file of a store is as it was written."""

import argparse
from typing import Any

from workflows.cli.options import say, store_command


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = store_command(
        commands,
        command,
        name="verify",
        help="say whether every file of a store is as it was written",
        description="Compare every file of a store with its digest. Exit status 0: all sound; 2: some are damaged.",
    )
    parser.add_argument(
        "--repair", action="store_true", help="go back to the last sound commit, giving up what is damaged and since"
    )


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.results.verification import verify

    found = verify(arguments.store, repair=arguments.repair)
    say(str(found))
    return 0 if found.sound else 2
