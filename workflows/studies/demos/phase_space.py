"""Why the first leapfrog demonstration could not look stationary, and its repair, in one picture.

    python -m workflows.studies.demos.phase_space --out phase_space.png

Prints the numbers behind it.
"""

import argparse
from pathlib import Path

import numpy as np

from workflows.models.rri.published import PARAMETERS
from workflows.studies.demos import leapfrog, rri_pictures
from workflows.studies.demos.canvas import save
from workflows.studies.demos.conditioning import Conditioning, conditioning, information, most_likely
from workflows.studies.demos.leapfrog import Trajectory


def draw(path: Path) -> list[str]:
    """Write the picture; the lines to print."""
    matrix = information()
    numbers, original, repaired = conditioning(matrix), leapfrog.original(), leapfrog.repaired()
    sd = np.sqrt(np.diag(np.linalg.inv(matrix)))
    save(rri_pictures.phase_space(original, repaired, numbers, most_likely(), sd), path)
    return lines(numbers, original, repaired)


def lines(numbers: Conditioning, original: Trajectory, repaired: Trajectory) -> list[str]:
    """The numbers of both trajectories, for people."""
    table = [
        f"condition number {numbers.condition:.2g}, {numbers.scaled:.0f} after diagonal scaling; corr(beta, delta) "
        f"{numbers.beta_delta:.2f}",
        f"unit mass: stable below h = {numbers.stable_step:.4f}, slowest period {numbers.slowest_period:.1f}",
        f"  {'':<10}{'steps':>7}{'time':>7}{'largest |H - H0|':>19}  share of four sd that each parameter covers",
    ]
    for name, trajectory in (("unit mass", original), ("metric", repaired)):
        shares = ", ".join(
            f"{parameter} {share:.2f}"
            for parameter, share in zip(PARAMETERS, leapfrog.share_explored(trajectory), strict=True)
        )
        error = np.abs(trajectory.energy).max()
        table.append(f"  {name:<10}{len(trajectory.time) - 1:>7}{trajectory.time[-1]:>7.1f}{error:>19.2g}  {shares}")
    return table


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(
        description="leapfrog on the RR curve's likelihood: the phase space and its repair"
    )
    parser.add_argument("--out", type=Path, default=Path("phase_space.png"), metavar="FILE.png")
    print("\n".join(draw(parser.parse_args().out)))


if __name__ == "__main__":
    main()
