"""`maxwell report STORE`: write an HTML page about a store."""

import argparse
from typing import Any

from workflows.cli.options import say, store_command


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = store_command(
        commands, command, name="report", help="write an HTML page about a store: verdicts, pictures, tables"
    )
    parser.add_argument("--out", metavar="FILE", help="where it is written (default <name of STORE>.html beside it)")


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.results.report.write import write_report

    path = write_report(arguments.store, arguments.out)
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser, or print it")
    return 0
