"""`maxwell resume STORE`: go on with a stored run."""

import argparse
from pathlib import Path
from typing import Any

from workflows.cli.options import add_sampling, add_store
from workflows.cli.sampling import to_the_end


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "resume",
        help="go on with a stored run",
        description="Go on with a stored run, on any number of workers; the draws are those of an uninterrupted run.",
    )
    add_store(parser, "the folder of the run")
    add_sampling(parser)
    parser.add_argument(
        "--previous-checkpoint",
        action="store_true",
        help="where the last checkpoint is damaged: go back to the one before, and make the draws since anew",
    )
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    store = Path(arguments.store)

    def start(progress: Any) -> Any:
        from workflows.sampling.resume import resume

        return resume(
            store,
            arguments.overrides,
            previous_checkpoint=arguments.previous_checkpoint,
            local=arguments.local,
            progress=progress,
        )

    return to_the_end(start, store, arguments.local)
