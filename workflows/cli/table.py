"""`maxwell table STORE`: print the model's own table of its posterior, which a run prints at its end."""

import argparse
from typing import Any

from workflows.cli.options import add_store, say


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("table", help="print the model's own table of its posterior")
    add_store(parser)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out. What goes wrong in the model's own lines keeps its traceback."""
    from workflows.results.run import Run

    run = Run(arguments.store)
    lines = run.report_lines()
    nothing = f"Model {run.attributes['model']!r} has no table of its own, or there are no draws yet."
    say("\n".join(lines or [nothing]))
    return 0
