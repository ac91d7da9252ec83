"""`maxwell pack STORE`: put a store into one file, or make a folder of it again."""

import argparse
from typing import Any

from workflows.cli.options import say, store_command


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = store_command(
        commands,
        command,
        name="pack",
        help="put a store into one file, or make a folder of it again",
        description="Put what is committed in a store into one zip file, which inspect, check, report, table, export, "
        "verify and maxwell.open_run take as they take the folder. The folder stays.",
    )
    parser.add_argument("--unpack", action="store_true", help="make a folder of a packed store, to go on with its run")
    parser.add_argument(
        "--out", metavar="PATH", help="what to write (default: STORE.zip; with --unpack, STORE without .zip)"
    )


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from ensemble.store.opening import pack, unpack

    written = (unpack if arguments.unpack else pack)(arguments.store, arguments.out)
    say(f"Written to {written}, and every file compared with its digest.")
    return 0
