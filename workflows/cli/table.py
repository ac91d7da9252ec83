"""`maxwell table STORE`: print the model's own table of its posterior, or write all of it to a file."""

import argparse
from pathlib import Path
from typing import Any

from workflows.cli.options import say, store_command


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = store_command(
        commands,
        command,
        name="table",
        help="print the model's own table of its posterior, or write it",
        description="Print the model's own table of its posterior, which a run prints at its end, or write all of it.",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write the whole table, to a file ending in .tsv, .csv or .parquet"
    )


def command(arguments: argparse.Namespace) -> int:
    """Carry it out. What goes wrong in the program's own lines keeps its traceback."""
    from workflows.results.run import Run

    run = Run(arguments.store)
    if arguments.out is not None:
        from workflows.results.tables.write import write

        write(run, Path(arguments.out))
        say(f"Written to {arguments.out}")
        return 0
    lines = run.report_lines()
    nothing = f"Model {run.attributes['model']!r} has no table of its own, or there are no draws yet."
    say("\n".join(lines or [nothing]))
    return 0
