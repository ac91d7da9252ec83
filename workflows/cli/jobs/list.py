"""`maxwell list FOLDER`: the runs below a folder, and where each stands."""

import argparse
from typing import Any

from workflows.cli.options import say


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("list", help="the runs below a folder, and where each stands")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="where to look (default here)")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.clusters.standing import standings, table

    found = standings(arguments.folder)
    say("\n".join(table(found)) if found else f"There is no run below {arguments.folder}.")
    return 0
