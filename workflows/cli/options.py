"""Options that several commands have."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO


class Print(argparse.Action):
    """An option that prints a text, made only when asked for, and exits."""

    def __init__(self, option_strings: list[str], dest: str, text: Callable[[], str], help: str) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, help=help)
        self.text = text

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(self.text())
        parser.exit()


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """What run and resume have in common."""
    parser.add_argument("overrides", metavar="a.b=c", nargs="*", help="change a setting, as in goals.ess=200")
    parser.add_argument("--local", action="store_true", help="run in this process, without Ray")


def add_store(
    parser: argparse.ArgumentParser,
    text: str = "the folder of a run, also while it is still going, or the file it was packed into",
) -> None:
    """The store that a command reads."""
    parser.add_argument("store", metavar="STORE", help=text)


def store_command(commands: Any, command: Callable[[argparse.Namespace], int], **text: str) -> argparse.ArgumentParser:
    """The parser of a command that reads a store. text: its name, help and, where it says more, description."""
    parser: argparse.ArgumentParser = commands.add_parser(text.pop("name"), **text)
    add_store(parser)
    parser.set_defaults(command=command)
    return parser


def say(text: str, stream: TextIO | None = None) -> None:
    """Print to a stream (standard output unless given) that may be gone: a closed terminal, a pipe that nobody reads.
    What a command did is done all the same."""
    stream = stream or sys.stdout
    try:
        # Paths may have bytes that are no text.
        encoding = stream.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        # Python writes out once more at its end, where an error would be the exit status.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
