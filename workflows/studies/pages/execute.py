"""Runs the code of a page of docs/ from top to bottom, as a reader would, in an empty folder.

    python -m workflows.studies.pages.execute PAGE [--folder EMPTY] [--write]

Blocks of `python` share one interpreter, those with a title are saved under that name; blocks of `bash` run in a
shell. A block of `text` right below shows what was printed: it must have the same words, whatever the numbers, whose
last digits are those of one machine. What a reader need not see, `<!-- check ... -->`, is Python too, and asserts what
is known of the answer. A block below `<!-- not run -->` is left alone. Pictures of the page in pictures/ are those that
its code saves. With --write the text blocks and pictures are replaced by what came of it.
"""

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

BLOCK = re.compile(
    r"(?P<skip><!-- not run -->\s*\n)?^```(?P<language>python|bash|text)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<code>.*?)^```$|^<!-- check\n(?P<check>.*?)-->$",
    re.MULTILINE | re.DOTALL,
)
PICTURE = re.compile(r"\(pictures/([\w.-]+)\)")
NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


class Block(NamedTuple):
    """A piece of a page that is run, or shows what was printed.

    kind: python, bash, text, file (saved under `title`) or check. code: its text. start, end: where `code` lies in the
    page.
    """

    kind: str
    code: str
    start: int
    end: int
    title: str | None = None


class Wrong(Exception):
    """What a page shows is not what its code prints."""


def blocks(page: str) -> Iterator[Block]:
    """The pieces of a page, in its order."""
    for found in BLOCK.finditer(page):
        if found["skip"]:
            continue
        if found["check"] is not None:
            yield Block("check", found["check"], *found.span("check"))
        else:
            kind = "file" if found["title"] else found["language"]
            yield Block(kind, found["code"], *found.span("code"), found["title"])


def words(text: str) -> list[str]:
    """A text without its numbers and without regard to its spaces."""
    return NUMBER.sub("#", text).split()


def execute(page: str, path: str = "page") -> str:
    """Run a page in the working directory; the page with what was printed in its text blocks.

    Raises what its code raises, and CalledProcessError for a command that fails.
    """
    # The name under which scripts run, so that their functions travel as those of a script.
    names: dict[str, Any] = {"__name__": "__main__"}
    made, done, printed = [], 0, ""
    for block in blocks(page):
        if block.kind == "text":
            made += [page[done : block.start], printed.strip("\n") + "\n"]
            done = block.end
        else:
            printed = _run(block, names, f"{path}, line {page.count(chr(10), 0, block.start) + 1}")
    return "".join([*made, page[done:]])


def _run(block: Block, names: dict[str, Any], where: str) -> str:
    """What a block prints."""
    if block.kind == "file":
        Path(str(block.title)).write_text(block.code, encoding="utf-8")
        return ""
    if block.kind == "bash":
        done = subprocess.run(["bash", "-euc", block.code], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block.code, where, "exec"), names)
    return out.getvalue()


def differences(page: str, made: str) -> list[str]:
    """What a page shows and its code does not print, by the words."""
    pairs = zip(blocks(page), blocks(made), strict=True)
    return [
        f"the page shows:\n{shown.code}\nits code prints:\n{now.code}"
        for shown, now in pairs
        if shown.kind == "text" and words(shown.code) != words(now.code)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Run a page, and compare or rewrite it."""
    parser = argparse.ArgumentParser(description="run the code of a page of docs/")
    parser.add_argument("page", type=Path)
    parser.add_argument("--folder", type=Path, help="where it runs (default a temporary folder)")
    parser.add_argument("--write", action="store_true", help="put what was printed and drawn into the page")
    given = parser.parse_args(arguments)
    path = given.page.resolve()
    page = path.read_text(encoding="utf-8")
    # The command and the libraries of this interpreter; pictures without a screen.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["MPLBACKEND"] = "Agg"
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        sys.path.insert(0, str(folder.resolve()))
        with contextlib.chdir(folder):
            made = execute(page, path.name)
            missing = [name for name in PICTURE.findall(page) if not Path(name).is_file()]
            if given.write:
                _write(path, made)
    if missing:
        raise Wrong(f"{path.name} shows pictures that its code does not save: {', '.join(missing)}")
    if not given.write and (found := differences(page, made)):
        raise Wrong("\n".join([path.name, *found]))


def _write(path: Path, made: str) -> None:
    path.write_text(made, encoding="utf-8")
    for name in PICTURE.findall(made):
        (path.parent / "pictures").mkdir(exist_ok=True)
        shutil.copyfile(name, path.parent / "pictures" / name)


if __name__ == "__main__":
    main()
