"""The command line: `maxwell run | resume | inspect | report | export | models`, thin over the Python functions.

Exit status: 0 done (also when a limit stopped the run), 1 an unexpected error with its traceback, 2 bad input,
130 interrupted. JAX, Ray and xarray are imported only by the commands that need them, after the settings are checked.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from ensemble.errors import MaxwellError
from ensemble.run.status import Progress

Start = Callable[[ModuleType, Progress], Any]
"""Starts a run through workflows.sampling.pipeline and returns it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; usage errors and --help leave through SystemExit."""
    # One thread a process, always: part of the law that draws do not depend on where they are made. JAX reads the first
    # once, and the linear algebra of NumPy, with which the coordinator makes metrics, the second.
    os.environ["PJRT_NPROC"] = os.environ["OMP_NUM_THREADS"] = "1"
    arguments = _parse(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except MaxwellError as error:
        print(f"maxwell: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("maxwell: interrupted", file=sys.stderr)
        return 130


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    # argparse takes no positional arguments after an option: `run CONFIG --local a.b=c` leaves a.b=c over.
    strays = [text for text in rest if text.startswith("-") or not hasattr(arguments, "overrides")]
    if strays:
        parser.error(f"unknown arguments: {' '.join(strays)}")
    if rest:
        arguments.overrides += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maxwell", description="Sample a posterior with an ensemble that uses the structure of the model."
    )
    parser.add_argument("--version", action=_Print, text=_version, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_resume(commands)
    inspect = commands.add_parser("inspect", help="say what a store holds and how good it is")
    inspect.add_argument("store", metavar="STORE", help="the folder of a run, also while it is still going")
    inspect.add_argument("--json", action="store_true", help="print JSON instead of tables")
    inspect.set_defaults(command=_inspect)
    report = commands.add_parser("report", help="write an HTML page about a store: verdicts, pictures, tables")
    report.add_argument("store", metavar="STORE", help="the folder of a run, also while it is still going")
    report.add_argument("--out", metavar="FILE", help="where it is written (default <name of STORE>.html beside it)")
    report.set_defaults(command=_report)
    _add_export(commands)
    models = commands.add_parser("models", help="list the models that come with the program")
    models.set_defaults(command=_models)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="sample a model", description="Sample a model as a config file says.")
    run.add_argument("config", metavar="CONFIG", help="a YAML file, or a shipped config such as airway_small")
    _add_shared(run)
    run.add_argument("--out", metavar="STORE", help="where the run is stored (default runs/<name of CONFIG>.zarr)")
    run.add_argument("--help-settings", action=_Print, text=_describe, help="list every key of CONFIG and exit")
    run.set_defaults(command=_run)


def _add_resume(commands: Any) -> None:
    resume = commands.add_parser(
        "resume",
        help="go on with a stored run",
        description="Go on with a stored run, on any number of workers; the draws are those of an uninterrupted run.",
    )
    resume.add_argument("store", metavar="STORE", help="the folder of the run")
    _add_shared(resume)
    resume.set_defaults(command=_resume)


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write draws with predictions and log likelihoods for ArviZ",
        description="Write draws with the groups log_likelihood, posterior_predictive and prior, for LOO and checks.",
    )
    export.add_argument("store", metavar="STORE", help="the folder of the run")
    export.add_argument("--out", metavar="FILE", required=True, help="what to write, ending in .nc or .zarr")
    export.add_argument("--draws", type=int, default=100, help="draws of each chain, evenly spaced (default 100)")
    export.add_argument("--prior", type=int, default=0, help="draws from the prior (default 0)")
    export.add_argument(
        "--conditional", action="store_true", help="log likelihoods given every latent: none is integrated out"
    )
    export.set_defaults(command=_export)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", metavar="a.b=c", nargs="*", help="change a setting, as in goals.ess=200")
    parser.add_argument("--local", action="store_true", help="run in this process, without Ray")


class _Print(argparse.Action):
    """An option that prints a text, made only when asked for, and exits."""

    def __init__(self, option_strings: Sequence[str], dest: str, text: Callable[[], str], help: str) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, help=help)
        self.text = text

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(self.text())
        parser.exit()


def _version() -> str:
    try:
        return f"maxwell {metadata.version('maxwell')}"
    except metadata.PackageNotFoundError:
        return "maxwell (run from a checkout, not installed)"


def _describe() -> str:
    from workflows.settings.loading import describe

    return describe()


def _run(arguments: argparse.Namespace) -> int:
    from workflows.settings.loading import load_settings

    settings = load_settings(Path(arguments.config), arguments.overrides)
    out = Path(arguments.out) if arguments.out else settings.default_store
    return _sample(
        lambda pipeline, progress: pipeline.run(settings, out=out, local=arguments.local, progress=progress),
        out,
        arguments.local,
    )


def _resume(arguments: argparse.Namespace) -> int:
    store = Path(arguments.store)
    return _sample(
        lambda pipeline, progress: pipeline.resume(
            store, arguments.overrides, local=arguments.local, progress=progress
        ),
        store,
        arguments.local,
    )


def _sample(start: Start, store: Path, local: bool) -> int:
    from workflows.results.inspect_text import closing_lines
    from workflows.results.progress import make_progress
    from workflows.sampling import pipeline

    progress = make_progress()
    try:
        run = start(pipeline, progress)
    except (pipeline.Interrupted, KeyboardInterrupt) as stop:
        progress.close()
        kept = "all finished rounds" if isinstance(stop, pipeline.Interrupted) else "the last commit"
        return _interrupted(store, kept, local)
    finally:
        progress.close()
    print("\n".join(closing_lines(run.summary(), _model_lines(run), local)))
    return 0


def _model_lines(run: Any) -> list[str]:
    """The model's own table. Whatever is wrong with it, the run is finished and its draws are safe: so it is told."""
    try:
        lines: list[str] = run.report_lines()
    except Exception as error:  # noqa: BLE001 - lines of any model, the user's included
        return [f"The run is complete; the model's own table could not be made ({type(error).__name__}: {error})."]
    return lines


def _interrupted(store: Path, kept: str, local: bool) -> int:
    from workflows.results.inspect import resume_command

    if store.exists():
        advice = f"{kept} can be found in {store}. Go on with:\n  {resume_command(store, local)}"
    else:
        advice = "there was nothing to keep yet"
    print(f"maxwell: interrupted; {advice}", file=sys.stderr)
    return 130


def _inspect(arguments: argparse.Namespace) -> int:
    from workflows.results.inspect import inspect_store, to_json
    from workflows.results.inspect_text import render

    summary = inspect_store(arguments.store)
    print(to_json(summary) if arguments.json else render(summary))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from workflows.results.report.write import write_report

    path = write_report(arguments.store, arguments.out)
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser, or print it")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from workflows.results.posterior.export import require_new, write
    from workflows.results.run import Run

    out = Path(arguments.out)
    require_new(out)
    integrate = not arguments.conditional
    write(Run(arguments.store).export(draws=arguments.draws, prior=arguments.prior, integrate=integrate), out)
    print(f"Written to {out}")
    return 0


def _models(_: argparse.Namespace) -> int:
    from workflows.modelling.registry import available

    models = available()
    width = max(map(len, models))
    print("\n".join(f"{name:{width}}  {text}" for name, text in models.items()))
    print("\nYour own: model.name=module:function, a function that builds the model.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
