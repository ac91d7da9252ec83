"""A picture of a terminal: what a command prints, as an SVG.

    python -m workflows.studies.pages.terminal docs/pictures/terminal.svg maxwell run schools --local --out runs/s.zarr

The command is run for it, its output and its errors together, and every line is shown as it came.
"""

import argparse
import io
import re
import subprocess
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 118
"""Characters of a line."""

# Rich's font comes from another host; the reader's own will do.
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and write the picture of it."""
    parser = argparse.ArgumentParser(description="a picture of what a command prints")
    parser.add_argument("out", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    done = subprocess.run(given.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(picture(" ".join(given.command), done.stdout), encoding="utf-8")
    print(f"wrote {given.out}")


def picture(command: str, printed: str) -> str:
    """The SVG of a terminal with a command and what it printed."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    console.print(Text(printed.rstrip()))
    found = console.export_svg(title="maxwell")
    return FONT.sub("", found).replace("Fira Code", "ui-monospace, Menlo, Consolas")


if __name__ == "__main__":
    main()
