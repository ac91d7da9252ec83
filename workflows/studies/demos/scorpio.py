"""Scorpio three ways beside exact draws: a momentum-diffusion scout, a metropolised ensemble, tempering at T = 3.5.

    python -m workflows.studies.demos.scorpio --out FOLDER

Writes scatter.png, quantiles.png, masses.png and flow.png, and prints the masses. Under a minute on one core.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workflows.models.scorpio.model import WEIGHTS
from workflows.studies.demos import scorpio_pictures
from workflows.studies.demos.canvas import save
from workflows.studies.demos.scorpio_runs import RUNS, Watch, exact, masses, watch

SWEEPS = 800
"""Of the exact runs."""
EXACT = 200_000
"""Exact draws to compare with."""


def draw(folder: Path, sweeps: int = SWEEPS) -> list[str]:
    """Run all three and write the pictures; the lines to print."""
    runs = {name: watch(name, sweeps) for name in RUNS}
    drawn = exact(EXACT)
    figures = {
        "scatter": scorpio_pictures.scatter(runs, drawn),
        "quantiles": scorpio_pictures.lines(runs, drawn),
        "masses": scorpio_pictures.masses(runs),
        "flow": scorpio_pictures.flow(runs["tempering"]),
    }
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png")
    return table(runs, drawn)


def table(runs: Mapping[str, Watch], drawn: np.ndarray) -> list[str]:
    """Masses of the modes: exact, of exact draws, and of each run."""
    rows = {"weights": WEIGHTS, "exact draws": masses(drawn)} | {name: masses(run.pooled) for name, run in runs.items()}
    titles = "".join(f"{mode:>10}" for mode in scorpio_pictures.MODES)
    return [f"{'':<12}{titles}"] + [
        f"{name:<12}" + "".join(f"{mass:>10.3f}" for mass in row) for name, row in rows.items()
    ]


def main() -> None:
    """Run, draw and print."""
    parser = argparse.ArgumentParser(description="scorpio three ways beside exact draws")
    parser.add_argument("--out", type=Path, default=Path("scorpio"), metavar="FOLDER")
    print("\n".join(draw(parser.parse_args().out)))


if __name__ == "__main__":
    main()
