"""The command `maxwell`: which command is meant, and the exit status.

Exit status: 0 done (also when a limit stopped the run), 1 an unexpected error with its traceback, 2 bad input,
130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata

from ensemble.errors import MaxwellError
from ensemble.users_code import told_by_its_lines
from workflows.cli import check, export, inspect, models, pack, report, resume, run, table, verify
from workflows.cli.jobs import list as listing
from workflows.cli.jobs import stop, submit, watch
from workflows.cli.options import Print, say
from workflows.sampling.signals import signals_interrupt

COMMANDS = (run, resume, inspect, check, report, table, export, verify, pack, models, submit, watch, stop, listing)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; usage errors and --help leave through SystemExit."""
    # One thread a process, always: part of the law that draws do not depend on where they are made. JAX reads the first
    # once, and the linear algebra of NumPy, with which the coordinator makes metrics, the second.
    os.environ["PJRT_NPROC"] = os.environ["OMP_NUM_THREADS"] = "1"
    arguments = _parse(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        with signals_interrupt(), told_by_its_lines():
            return command(arguments)
    except MaxwellError as error:
        say(f"maxwell: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("maxwell: interrupted", sys.stderr)
        return 130


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line()
    arguments, rest = parser.parse_known_args(argv)
    # argparse takes no positional arguments after an option: `run CONFIG --local a.b=c` leaves a.b=c over.
    strays = [text for text in rest if text.startswith("-") or not hasattr(arguments, "overrides")]
    if strays:
        parser.error(f"unknown arguments: {' '.join(strays)}")
    if rest:
        arguments.overrides += rest
    return arguments


def command_line() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="maxwell", description="Sample a posterior with an ensemble that uses the structure of the model."
    )
    parser.add_argument("--version", action=Print, text=_version, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return parser


def _version() -> str:
    try:
        return f"maxwell {metadata.version('maxwell')}"
    except metadata.PackageNotFoundError:
        return "maxwell (run from a checkout, not installed)"
