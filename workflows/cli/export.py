"""`maxwell export STORE --out FILE`: write draws with predictions and log likelihoods for ArviZ."""

import argparse
from pathlib import Path
from typing import Any

from workflows.cli.options import add_store, say


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "export",
        help="write draws with predictions and log likelihoods for ArviZ",
        description="Write draws with the groups log_likelihood, posterior_predictive and prior, for LOO and checks.",
    )
    add_store(parser, "the folder of the run")
    parser.add_argument("--out", metavar="FILE", required=True, help="what to write, ending in .nc or .zarr")
    parser.add_argument("--draws", type=int, default=100, help="draws of each chain, evenly spaced (default 100)")
    parser.add_argument("--prior", type=int, default=0, help="draws from the prior (default 0)")
    parser.add_argument(
        "--conditional", action="store_true", help="log likelihoods given every latent: none is integrated out"
    )
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.results.posterior.export import require_new, write
    from workflows.results.run import Run

    out = Path(arguments.out)
    require_new(out)
    integrate = not arguments.conditional
    write(Run(arguments.store).export(draws=arguments.draws, prior=arguments.prior, integrate=integrate), out)
    say(f"Written to {out}")
    return 0
