"""`maxwell report STORE`: write an HTML page about a store."""

import argparse
from typing import Any

from workflows.cli.options import add_store, say


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("report", help="write an HTML page about a store: verdicts, pictures, tables")
    add_store(parser)
    parser.add_argument("--out", metavar="FILE", help="where it is written (default <name of STORE>.html beside it)")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.results.report.write import write_report

    path = write_report(arguments.store, arguments.out)
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser, or print it")
    return 0
