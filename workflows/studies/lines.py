"""Files of results, a line of JSON a run: what is there already, and one more."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

Case = TypeVar("Case", bound=NamedTuple)
"""What identifies a run: its fields are keys of the line."""


def missing(cases: Iterable[Case], path: Path) -> list[Case]:
    """Cases without a line, in their order."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def is_there(case: Case) -> bool:
        return any(all(line[key] == value for key, value in case._asdict().items()) for line in lines)

    return [case for case in cases if not is_there(case)]


def add(line: dict[str, Any], path: Path) -> None:
    """One more line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
