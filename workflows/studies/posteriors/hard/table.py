"""Markdown tables of runs of hard posteriors.

    python -m workflows.studies.posteriors.hard.table FILE.jsonl

First a row a posterior. met: all goals were met; right: every judged number is within its stated error. old rule: runs
that nested R-hat, ESS and a number of draws alone would have stopped, at the first check where they were met, and
whether the draws up to then were right within the errors that were stated then. Then a row a goal that this rule does
not have: what it held back at that check.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from workflows.studies.posteriors.hard.judging import UNKNOWN
from workflows.studies.posteriors.hard.suite import SUITE
from workflows.studies.posteriors.hard.watching import NEW

Line = dict[str, Any]
Rows = Sequence[Line]
HEADER = (
    "| posterior | runs | met | right | WRONG | not met | old rule: stopped | right | WRONG |",
    "|---|---|---|---|---|---|---|---|---|",
)
GOALS = ("strays", *NEW)


def is_wrong(looked: Line | None) -> bool:
    """Whether what was judged, at the end or at a check, is not within its stated errors."""
    return looked is not None and looked["verdict"] is not None and not looked["verdict"]["right"]


def wrong_and_met(line: Line) -> bool:
    """Whether a run said that its goals were met, and was wrong."""
    return bool(line.get("met")) and is_wrong(line)


def stopped(lines: Rows) -> list[Line]:
    """The checks at which the old rule would have stopped."""
    return [line["first"] for line in lines if line.get("first") is not None]


def _count(lines: Rows, kind: Callable[[Line], bool]) -> int:
    return sum(map(kind, lines))


def row(name: str, lines: Rows) -> str:
    """What became of these runs."""
    met = [line for line in lines if line.get("met")]
    early = stopped(lines)
    wrong, early_wrong = _count(met, is_wrong), _count(early, is_wrong)
    cells = (name, len(lines), len(met), len(met) - wrong, wrong, len(lines) - len(met))
    return f"| {' | '.join(map(str, (*cells, len(early), len(early) - early_wrong, early_wrong)))} |"


def runs(lines: Rows) -> Iterator[str]:
    """A row a posterior, and one of all."""
    yield from HEADER
    for entry in SUITE:
        if of_it := [line for line in lines if line["name"] == entry.name]:
            yield row(f"{entry.name}: {entry.note}", of_it)
    yield row("all", lines)


def goals(lines: Rows) -> Iterator[str]:
    """A row a goal: runs that it held back where the old rule would have stopped."""
    early = stopped(lines)
    groups = [look for look in early if is_wrong(look)], [look for look in early if not is_wrong(look)]
    yield "| goal | wrong runs held back | by it alone | right runs held back | by it alone |"
    yield "|---|---|---|---|---|"
    for goal in GOALS:
        counts = [count for group in groups for count in _held(group, goal)]
        yield f"| {goal} | {' | '.join(map(str, counts))} |"
    held = [_count(group, lambda look: bool(look["unmet"])) for group in groups]
    yield f"| any | {held[0]} of {len(groups[0])} | | {held[1]} of {len(groups[1])} | |"


def _held(looks: Rows, goal: str) -> tuple[int, int]:
    return _count(looks, lambda look: goal in look["unmet"]), _count(looks, lambda look: look["unmet"] == [goal])


def fates(lines: Rows) -> Iterator[str]:
    """What the runs came to that the old rule would have stopped wrongly, and the runs that met their goals wrongly."""
    early = [line for line in lines if is_wrong(line.get("first"))]
    ends = {
        "met their goals and were right": lambda line: line["met"] and not is_wrong(line),
        "met their goals and were wrong": wrong_and_met,
        "did not meet their goals": lambda line: not line["met"],
    }
    told = ", ".join(f"{_count(early, kind)} {end}" for end, kind in ends.items())
    yield f"Of {len(early)} runs that the old rule would have stopped with a wrong answer, {told}."
    failed = [line for line in lines if line["error"]]
    yield f"{len(failed)} runs ended with an error{': ' if failed else ''}{'; '.join(map(_failure, failed))}."
    wrong = [line for line in lines if wrong_and_met(line)]
    yield f'{len(wrong)} runs said "goals met" and were wrong{":" if wrong else "."}'
    if wrong:
        yield ""
    yield from map(_wrong, wrong)


def _failure(line: Line) -> str:
    return f"{line['name']}, {line['start']}, seed {line['seed']} ({line['error'][:80]})"


def _wrong(line: Line) -> str:
    found = line["verdict"]
    where = f"{line['name']}, {line['start']}, seed {line['seed']}"
    far = f"{found['z']:.3g}" if found["z"] < UNKNOWN else f"more than {UNKNOWN:.0f}"
    return f"- {where}: {found['worst']} is {found['truth']:.3g}, found {found['found']:.3g}, {far} errors off"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    lines = [json.loads(line) for line in parser.parse_args().file.read_text("utf-8").splitlines()]
    print(*runs(lines), "", *goals(lines), "", *fates(lines), sep="\n")


if __name__ == "__main__":
    main()
