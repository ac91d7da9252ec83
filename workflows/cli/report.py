"""`maxwell report STORE`: write an HTML page about a store, or serve one that follows its run."""

import argparse
from typing import Any

from workflows.cli.options import say, store_command

PORT = 8400
"""Where the page is served unless a port is named."""
HIGHEST = 65535


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = store_command(
        commands,
        command,
        name="report",
        help="write an HTML page about a store: verdicts, pictures, tables; or serve one that follows its run",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="FILE", help="where it is written (default <name of STORE>.html beside it)")
    where.add_argument(
        "--serve",
        metavar="PORT",
        nargs="?",
        type=port,
        const=PORT,
        help="serve a page that is renewed at every commit, with what is slowest, the time left and a button that "
        f"stops the run, to this machine alone, until interrupted (default port {PORT}; 0: one that is free)",
    )


def port(text: str) -> int:
    """The number of a port. Raises argparse.ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and int(text) <= HIGHEST):
        raise argparse.ArgumentTypeError(
            f"PORT is a whole number from 0 to {HIGHEST}, and was given as {text!r}; STORE stands before --serve"
        )
    return int(text)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    if arguments.serve is not None:
        from workflows.live.server import serve

        serve(arguments.store, arguments.serve, say)
        return 0
    from workflows.results.report.write import write_report

    path = write_report(arguments.store, arguments.out)
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser, or print it")
    return 0
