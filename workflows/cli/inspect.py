"""`maxwell inspect STORE`: say what a store holds and how good it is."""

import argparse
from typing import Any

from workflows.cli.options import say, store_command


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = store_command(commands, command, name="inspect", help="say what a store holds and how good it is")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.results.inspect import inspect_store, to_json
    from workflows.results.inspect_text import render

    summary = inspect_store(arguments.store)
    say(to_json(summary) if arguments.json else render(summary))
    return 0
