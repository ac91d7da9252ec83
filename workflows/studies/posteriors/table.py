"""A markdown table of the lines that `compare` wrote.

    python -m workflows.studies.posteriors.table FILE.jsonl ...

A row a posterior and kind of start. met: runs whose goals were met of all runs; right: runs whose means and sds agree
with the reference; core-s and ESS/core-s: medians over the runs. ESS of a run that is not right is no ESS: shown as a
dash, as is a ratio with one. The worst coordinate is that of the run with the largest error in a mean.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from workflows.studies.posteriors.suite import POSTERIORS

Line = dict[str, Any]
RIVALS = {"numpyro": "NumPyro", "nutpie": "nutpie"}
HEADER = "| posterior | start | met | right | core-s | ESS/core-s | worst mean, sds | worst sd, log ratio |" + "".join(
    f" {title} right | core-s | ESS/core-s | ratio |" for title in RIVALS.values()
)


def is_right(line: Line) -> bool:
    """Whether a run ended, and agrees with the reference."""
    return line["error"] is None and line["right"]


def efficiency(lines: Sequence[Line]) -> float | None:
    """Median ESS per core-second where most runs are right, else None."""
    rates = [line["ess_per_core_second"] for line in lines if is_right(line)]
    return median(rates) if 2 * len(rates) > len(lines) else None


def ratio(lines: Sequence[Line], others: Sequence[Line]) -> float | None:
    """Efficiency over that of others; None where one has none."""
    mine, theirs = efficiency(lines), efficiency(others)
    return None if mine is None or theirs is None else mine / theirs


def share(lines: Sequence[Line], good: Iterable[bool]) -> str:
    """How many of the runs, `2/3`."""
    return f"{sum(good)}/{len(lines)}" if lines else "-"


def number(value: float | None) -> str:
    """Three digits, or a dash."""
    return "-" if value is None else f"{value:.3g}"


def _worst(lines: Sequence[Line], kind: str) -> str:
    """The largest error of all runs, with its coordinate; what went wrong where no run has one."""
    judged = [line for line in lines if line.get(f"{kind}_error") is not None]
    if not judged:
        return next((line["error"][:60].replace("|", "/") for line in lines if line["error"]), "-")
    line = max(judged, key=lambda line: line[f"{kind}_error"])
    return f"{line[f'{kind}_error']:.2g} ({line[f'{kind}_worst']})"


def row(name: str, start: str, ours: Sequence[Line], theirs: Mapping[str, Sequence[Line]]) -> str:
    """A line of the table. theirs: runs of the other samplers, by name."""
    cells = [
        name,
        start,
        share(ours, (bool(line.get("goals_met")) for line in ours)),
        share(ours, map(is_right, ours)),
        number(median(line["core_seconds"] for line in ours) if ours else None),
        number(efficiency(ours)),
        _worst(ours, "mean"),
        _worst(ours, "sd"),
    ]
    for runs in theirs.values():
        cells += [
            share(runs, map(is_right, runs)),
            number(median(line["core_seconds"] for line in runs) if runs else None),
            number(efficiency(runs)),
            number(ratio(ours, runs)),
        ]
    return f"| {' | '.join(cells)} |"


def table(lines: Sequence[Line]) -> Iterator[str]:
    """The table of all lines, and a sentence on all of it."""
    yield HEADER
    yield "|" + " --- |" * (HEADER.count("|") - 1)
    ratios: dict[str, list[float | None]] = {sampler: [] for sampler in RIVALS}
    for entry in POSTERIORS:
        mine = [line for line in lines if line["name"] == entry.name]
        for start in sorted({line["start"] for line in mine}):
            here = [line for line in mine if line["start"] == start]
            ours, *others = ([line for line in here if line["sampler"] == one] for one in ("maxwell", *RIVALS))
            theirs = dict(zip(RIVALS, others, strict=True))
            for sampler, runs in theirs.items():
                ratios[sampler].append(ratio(ours, runs))
            yield row(entry.name, start, ours, theirs)
    yield ""
    for sampler in ("maxwell", *RIVALS):
        runs = [line for line in lines if line["sampler"] == sampler]
        if runs:
            met = f"{share(runs, (bool(line.get('goals_met')) for line in runs))} met their goals, "
            cost = f"median {median(line['core_seconds'] for line in runs):.3g} core-seconds"
            yield f"{sampler}: {met if sampler == 'maxwell' else ''}{share(runs, map(is_right, runs))} right, {cost}."
    for sampler, title in RIVALS.items():
        known = [value for value in ratios[sampler] if value is not None]
        if known:
            yield (
                f"Median ratio of ESS per core-second to {title}'s, where both are right: {median(known):.3g}, "
                f"smallest {min(known):.3g} ({len(known)} rows)."
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    lines = [json.loads(line) for file in arguments.files for line in file.read_text("utf-8").splitlines()]
    print(*table(lines), sep="\n")


if __name__ == "__main__":
    main()
