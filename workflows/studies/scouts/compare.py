"""Which scout brings an ensemble soonest into the typical set: makes docs/scouts.md.

    python -m workflows.studies.scouts.compare [TARGET ...] [--scouts SCOUT ...] [--rounds 1000] [--seconds 30]
        [--out docs/scouts.md]

Every run is the real coordinator on the fleet of this process, looked at after every round of one sweep until the
ensemble has arrived (see workflows.studies.scouts.arrival). The page is written anew after every row.
"""

import argparse
from pathlib import Path

from workflows.studies.scouts.page import command, line, machine, page
from workflows.studies.scouts.targets import TARGETS, Equilibrium
from workflows.studies.scouts.trials import SCOUTS, Row, equilibrium_of, found_levels, row

PAGE = Path("docs/scouts.md")


def main() -> None:
    """Measure, print a row as soon as it is known, and write the page."""
    parser = argparse.ArgumentParser(description="compare scouts; writes the page that docs/scouts.md is")
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--scouts", nargs="+", default=list(SCOUTS), choices=list(SCOUTS), metavar="SCOUT")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0, help="kernel seconds of a run")
    parser.add_argument("--out", type=Path, default=PAGE)
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.targets) - set(TARGETS)):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    rows: list[Row] = []
    equilibria: dict[str, Equilibrium] = {}
    budget = chosen.rounds, chosen.seconds
    # Before the first page is written, which is itself a change of the checkout.
    made = f"`{command(chosen)}`, {machine()}"
    for name in chosen.targets:
        target = TARGETS[name]
        levels = found_levels(target)
        equilibria[name] = equilibrium_of(target, levels)
        for scout in chosen.scouts:
            rows.append(row(target, scout, equilibria[name], levels, *budget))
            print(line(rows[-1]), flush=True)
            chosen.out.write_text(page(rows, equilibria, budget, made, len(chosen.targets) * len(chosen.scouts)))


if __name__ == "__main__":
    main()
