"""The reference says what the program says: its pages are those that the schema and the parser make."""

import re
from pathlib import Path

import pytest

from workflows.cli.main import COMMANDS
from workflows.settings.schema import SECTIONS, Settings
from workflows.studies.pages.reference import main, pages

FOLDER = Path(__file__).resolve().parents[4] / "docs" / "reference"


@pytest.mark.parametrize("name", ["settings.md", "commands.md"])
def test_the_page_is_what_the_program_says(name: str) -> None:
    advice = f"docs/reference/{name} is out of date: python -m workflows.studies.pages.reference"
    assert (FOLDER / name).read_text("utf-8") == pages()[name], advice


def test_every_key_has_a_row_with_its_default_and_what_is_allowed() -> None:
    text = pages()["settings.md"]
    for section in SECTIONS:
        for key in Settings.model_fields[section].annotation.model_fields:  # type: ignore[union-attr]
            (row,) = re.findall(rf"^\| `{section}\.{key}` \|.*$", text, re.MULTILINE)
            cells = re.split(r"(?<!\\)\|", row)
            assert len(cells) == 6, row
            assert all(cell.strip() for cell in cells[1:-1]), row
    assert "| `goals.ess` | `400` |" in text
    assert "| `limits.minutes` | `null` |" in text


def test_every_command_has_its_part() -> None:
    parts = re.findall(r"^## maxwell (\w+)$", pages()["commands.md"], re.MULTILINE)
    assert len(parts) == len(set(parts)) == len(COMMANDS)
    assert "%(" not in pages()["commands.md"]


def test_both_pages_are_written(tmp_path: Path) -> None:
    main(["--folder", str(tmp_path)])
    assert {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()} == pages()
