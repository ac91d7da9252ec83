"""`maxwell models`: list the models that come with the program."""

import argparse
from typing import Any

from workflows.cli.options import say


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("models", help="list the models that come with the program")
    parser.set_defaults(command=command)


def command(_: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.modelling.registry import available

    models = available()
    width = max(map(len, models))
    say("\n".join(f"{name:{width}}  {text}" for name, text in models.items()))
    say("\nYour own: model.name=module:function, a function that builds the model.")
    return 0
