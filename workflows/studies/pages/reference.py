"""Writes the pages of the reference that the program knows itself: its settings and its commands.

python -m workflows.studies.pages.reference [--folder docs/reference]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from workflows.cli.main import command_line
from workflows.settings.errors import allowed, section_of
from workflows.settings.loading import default_text
from workflows.settings.schema import Settings

MADE = "<!-- Made by python -m workflows.studies.pages.reference. Do not edit: run it again. -->"

SETTINGS = """\
# Settings

Every key of a run, its default and what is allowed. `maxwell run --help-settings` prints the same.

There are three ways to set a key, and they mean the same:

- in a YAML file: a section, and the key in it (`goals:`, then `  ess: 1000`),
- on the command line: `maxwell run FILE goals.ess=1000`,
- in Python: `maxwell.sample(model, goals={"ess": 1000})`, or `settings={"goals.ess": 1000}`.

What is not set has its default. A key that does not exist, or a value that is not allowed, is refused before any work
begins, with all that is wrong at once. A run that has begun can change `goals`, `limits`, `ensemble.workers`,
`ensemble.address` and `ensemble.start_seconds` when it goes on, and nothing else.
"""

COMMANDS = """\
# Command line

`maxwell COMMAND --help` prints the same. A STORE is the folder of a run (`runs/NAME.zarr`), also while it is still
going, or the file that it was packed into.

Exit status: 0 done (also where a limit stopped the run), 1 an unexpected error with its traceback, 2 bad input,
130 interrupted.

Compiled programs are kept in `~/.cache/maxwell/jax`, so that a model is compiled once: the environment variable
`MAXWELL_CACHE=FOLDER` keeps them elsewhere, `MAXWELL_CACHE=off` not at all.
"""


def main(arguments: list[str] | None = None) -> None:
    """Write both pages."""
    parser = argparse.ArgumentParser(description="write docs/reference/settings.md and commands.md")
    parser.add_argument("--folder", type=Path, default=Path("docs/reference"))
    folder = parser.parse_args(arguments).folder
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"wrote {folder / name}")


def pages() -> dict[str, str]:
    """The pages, by the names of their files."""
    return {"settings.md": settings_page(), "commands.md": commands_page()}


def settings_page() -> str:
    """The page of the settings."""
    alone = {name: field for name, field in Settings.model_fields.items() if section_of(field) is None}
    lines = [MADE, "", SETTINGS, "## One key without a section", "", *_table(alone, "")]
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is not None:
            lines += ["", f"## {name}", "", section.__doc__ or "", "", *_table(section.model_fields, f"{name}.")]
        if name == "model":
            lines += ["", "All other keys of this section are the model's own; a shipped config names them."]
    return "\n".join(lines) + "\n"


def _table(fields: dict[str, FieldInfo], prefix: str) -> Iterator[str]:
    """A row for each key."""
    yield "| key | default | meaning | allowed |"
    yield "|---|---|---|---|"
    for name, field in fields.items():
        default = "required" if field.is_required() else f"`{default_text(field.default)}`"
        cells = (f"`{prefix}{name}`", default, _cell(field.description), _cell(allowed(field)))
        yield f"| {' | '.join(cells)} |"


def _cell(text: str | None) -> str:
    """Text that a cell of a Markdown table shows as it is."""
    return (text or "").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def commands_page() -> str:
    """The page of the command line."""
    lines = [MADE, "", COMMANDS]
    top = command_line()
    summaries = {choice.dest: choice.help or "" for choice in _commands(top)._choices_actions}
    for name, parser in _commands(top).choices.items():
        lines += [f"## maxwell {name}", "", _sentence(parser.description or summaries[name]), "", *_usage(parser)]
    return "\n".join(lines).rstrip() + "\n"


def _commands(parser: argparse.ArgumentParser) -> Any:
    """The action that holds the commands; argparse has no public way to them."""
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return found


def _usage(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The usage line and a row for each argument."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    places = [_name(action) for action in actions if not action.option_strings]
    yield from ("```", " ".join([parser.prog, *places, "[OPTIONS]"]), "```", "")
    yield "| argument | meaning |"
    yield "|---|---|"
    for action in actions:
        text = (action.help or "").replace("%(default)s", str(action.default))
        yield f"| `{_name(action)}` | {_cell(text)} |"
    yield ""


def _name(action: argparse.Action) -> str:
    """How an argument is written: `--out STORE`, `CONFIG`, `a.b=c ...`."""
    metavar = str(action.metavar or "") or (action.dest.upper() if action.nargs != 0 else "")
    if action.choices is not None and action.metavar is None:
        metavar = ",".join(map(str, action.choices))
    shown = {"*": f"[{metavar} ...]", "+": f"{metavar} ...", "?": f"[{metavar}]"}.get(str(action.nargs), metavar)
    return " ".join([*action.option_strings[-1:], shown]).strip()


def _sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


if __name__ == "__main__":
    main()
