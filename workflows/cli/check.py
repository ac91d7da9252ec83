"""`maxwell check STORE`: say whether the model fits the data."""

import argparse
from typing import Any

from workflows.cli.options import say, store_command


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = store_command(
        commands,
        command,
        name="check",
        help="say whether the model fits the data",
        description="Draw data sets from the posterior, and say where the data differ from them.",
    )
    parser.add_argument("--all", action="store_true", help="print every statistic, not the verdicts alone")


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.results.fit.text import lines, table
    from workflows.results.run import Run

    fit = Run(arguments.store).check()
    say("\n".join([*lines(fit), *(table(fit) if arguments.all else ())]))
    return 0
