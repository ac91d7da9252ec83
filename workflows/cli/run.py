"""`maxwell run CONFIG`: sample a model as a config file says, or a shipped model by its name."""

import argparse
from pathlib import Path
from typing import Any

from workflows.cli.options import Print, add_sampling
from workflows.cli.sampling import to_the_end


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("run", help="sample a model", description="Sample a model as a config file says.")
    parser.add_argument(
        "config", metavar="CONFIG", help="a YAML file, a shipped config such as airway_small, or a model such as genes"
    )
    add_sampling(parser)
    parser.add_argument("--out", metavar="STORE", help="where the run is stored (default runs/<name of CONFIG>.zarr)")
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="go on with STORE if the run is there, else begin it: what a job calls that may be started again",
    )
    parser.add_argument("--help-settings", action=Print, text=_describe, help="list every key of CONFIG and exit")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Carry it out."""
    from workflows.sampling.configuration import named_settings
    from workflows.settings.loading import SettingsError

    settings = named_settings(arguments.config, arguments.overrides)
    module, _, function = settings.model.name.partition(":")
    if module == "__main__":
        raise SettingsError(
            arguments.config,
            [
                f"model.name: {settings.model.name} is a function of a running script, which the command line does not "
                f"see: save it in a module, say mine.py, and name mine:{function}; or call maxwell.sample in the script"
            ],
        )
    out = Path(arguments.out) if arguments.out else settings.default_store

    def start(progress: Any) -> Any:
        from workflows.clusters.go_on import go_on_or_begin
        from workflows.sampling.sample import sample

        begin = go_on_or_begin if arguments.go_on else sample
        return begin(settings, out, local=arguments.local, progress=progress)

    # A job that `maxwell stop` ended is done: with another status a scheduler would start it again.
    return to_the_end(start, out, arguments.local, asked=0 if arguments.go_on else 130)


def _describe() -> str:
    from workflows.settings.loading import describe

    return describe()
