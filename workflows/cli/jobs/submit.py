"""`maxwell submit CONFIG --on CLUSTER`: hand a run over to SLURM, Kubernetes or a Ray cluster."""

import argparse
from typing import Any

from workflows.cli.options import say

OPTION = "option_"
"""What names of a cluster's options begin with among the arguments."""
NUMBERS = {"nodes", "cpus", "gpus", "notice", "retries", "user"}


def add(commands: Any) -> None:
    """Add the command's parser."""
    from workflows.clusters.asked import KINDS, AnyJob

    parser = commands.add_parser(
        "submit",
        help="hand a run over to a cluster",
        description="Submit the run that CONFIG says. The job goes on with the run wherever it was interrupted; the "
        "draws are those of an undisturbed one.",
    )
    parser.add_argument("config", metavar="CONFIG", help="as for `maxwell run`")
    parser.add_argument("overrides", metavar="a.b=c", nargs="*", help="change a setting, as in goals.ess=200")
    parser.add_argument("--on", required=True, choices=list(KINDS), help="the kind of cluster")
    parser.add_argument("--out", metavar="STORE", help="where the run is stored, as the cluster's machines see it")
    parser.add_argument("--dry-run", action="store_true", help="print what would be submitted, and submit nothing")
    _add_options(parser.add_argument_group("options of every cluster"), AnyJob.model_fields)
    for kind, schema in KINDS.items():
        own = {name: field for name, field in schema.model_fields.items() if name not in AnyJob.model_fields}
        _add_options(parser.add_argument_group(f"options of {kind}"), own)
    parser.set_defaults(command=command)


def _add_options(group: Any, fields: dict[str, Any]) -> None:
    from workflows.settings.errors import allowed

    for name, field in fields.items():
        repeated = name == "directives"
        group.add_argument(
            f"--{'directive' if repeated else name}",
            dest=f"{OPTION}{name}",
            metavar=name.upper(),
            type=int if name in NUMBERS else str,
            action="append" if repeated else "store",
            help=f"{field.description} ({allowed(field)})".replace("%", "%%"),
        )


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.clusters.submit import submit

    given = {name: value for name, value in vars(arguments).items() if name.startswith(OPTION) and value is not None}
    options = {name.removeprefix(OPTION): value for name, value in given.items()}
    done = submit(
        arguments.config,
        arguments.overrides,
        on=arguments.on,
        out=arguments.out,
        dry_run=arguments.dry_run,
        **options,
    )
    say(str(done))
    return 0
