"""A markdown table of the lines that `compare` or `costly` wrote.

    python -m workflows.studies.surrogates.table FILE.jsonl ...

A row a density, goal and sampler; medians over the seeds. right: runs whose means and sds agree with the truth. ESS:
bulk, of the slowest coordinate, of the stored draws; online: as the run itself states it for all its draws. gradients,
densities: of the true density, over all chains, warm-up and training counted. The worst errors are of all seeds.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from workflows.studies.posteriors.table import is_right, number, share

Line = dict[str, Any]
HEADER = (
    "| density | goal | sampler | right | ESS | online | gradients | of these to draw | densities "
    "| ESS per 1,000 gradients | core-s | ESS/core-s | worst mean, sds | worst sd, log ratio |"
)
APPROXIMATE = ("published",)
"""Samplers whose law is not the density's."""


def row(lines: Sequence[Line]) -> str:
    """Runs of one sampler on one density."""
    name, goal, sampler = (lines[0][key] for key in ("name", "goal", "sampler"))
    ended = [line for line in lines if line["error"] is None]
    cells = [name, f"{goal:.0f}", sampler + " (approximate)" * (sampler in APPROXIMATE)]
    if not ended:
        return f"| {' | '.join([*cells, '0', lines[0]['error'][:60].replace('|', '/')])} |"
    middle = [
        number(_middle(ended, "ess")),
        number(_middle(ended, "ess_online_min")),
        f"{median(line['gradients'] for line in ended):,.0f}",
        f"{median(line['gradients_by_stage'].get('sample', 0) for line in ended):,.0f}",
        f"{median(line['densities'] for line in ended):,.0f}",
        number(median(1000 * line["ess"] / line["gradients"] for line in ended)),
        number(median(line["core_seconds"] for line in ended)),
        number(median(line["ess"] / line["core_seconds"] for line in ended)),
    ]
    worst = [f"{max(line[f'{kind}_error'] for line in ended):.2g}" for kind in ("mean", "sd")]
    return f"| {' | '.join([*cells, share(lines, map(is_right, lines)), *middle, *worst])} |"


def _middle(lines: Sequence[Line], key: str) -> float | None:
    values = [line[key] for line in lines if line.get(key) is not None]
    return median(values) if values else None


def table(lines: Sequence[Line]) -> Iterator[str]:
    """The table of all lines, in the order of their densities and goals."""
    yield HEADER
    yield "|" + " --- |" * (HEADER.count("|") - 1)
    order = list(dict.fromkeys(line["name"] for line in lines))
    samplers = list(dict.fromkeys(line["sampler"] for line in lines))

    def place(line: Line) -> tuple[int, float, int]:
        return order.index(line["name"]), line["goal"], samplers.index(line["sampler"])

    for _, group in groupby(sorted(lines, key=place), place):
        yield row(list(group))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    print(
        *table([json.loads(line) for file in arguments.files for line in file.read_text("utf-8").splitlines()]),
        sep="\n",
    )


if __name__ == "__main__":
    main()
