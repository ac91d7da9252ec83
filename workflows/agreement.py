"""Does a stored run of airway_small agree with the long NUTS run? z values of all posterior means and sds.

    python -m workflows.agreement runs/airway_small.zarr tests/references/airway_small.npz

z = (ours - reference) / sqrt(ours' Monte Carlo variance + the reference's). Over the n means and sds the largest |z|
must stay below the normal quantile at 5e-7 / n, and the root mean square of z must lie between .8 and 1.25, so that
neither the values nor the error estimates are off. Controls, biased by .2 posterior sd, must fail.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from workflows.stored_run import Run

SHARED = ("mu_a", "sd_a", "sd_d", "mu_p", "sd_p")
SITES = (*SHARED, "a", "d", "log_phi")
BATCHES = 6
"""Batches a chain for the Monte Carlo errors: with 32 chains, 191 degrees of freedom."""
FALSE_ALARM = 5e-7
RMS = (0.8, 1.25)


class Moments(NamedTuple):
    """Flat arrays over all coordinates, in the order of SITES: posterior mean and sd with their Monte Carlo errors."""

    mean: np.ndarray
    mean_error: np.ndarray
    sd: np.ndarray
    sd_error: np.ndarray


class Agreement(NamedTuple):
    """The largest |z| with its limit, and the root mean square of z, over n values."""

    n: int
    largest: float
    limit: float
    rms: float

    @property
    def holds(self) -> bool:
        """Whether both checks pass."""
        return self.largest < self.limit and RMS[0] < self.rms < RMS[1]


def moments(draws: np.ndarray) -> Moments:
    """Of draws [chains, draws, d]. Errors from the means of BATCHES batches a chain; the sd's by the delta method:
    error(sd) = error(mean of (x - mean)^2) / (2 sd)."""
    mean, sd = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1), ddof=1)
    return Moments(mean, _error(draws), sd, _error((draws - mean) ** 2) / (2 * sd))


def _error(values: np.ndarray) -> np.ndarray:
    """Monte Carlo error of the mean over chains and draws: [chains, draws, d] -> [d]."""
    chains, draws, width = values.shape
    length = draws // BATCHES
    batches = values[:, draws - length * BATCHES :].reshape(chains * BATCHES, length, width).mean(axis=1)
    error: np.ndarray = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    return error


def of_run(run: Run) -> Moments:
    """The run's moments, phi on the log scale."""
    posterior = run.data()["posterior"]
    columns = []
    for site in SITES:
        values = posterior[site.removeprefix("log_")].values.astype(float)
        columns.append((np.log(values) if site.startswith("log_") else values).reshape(*values.shape[:2], -1))
    return moments(np.concatenate(columns, axis=2))


def of_reference(path: Path) -> Moments:
    """The reference's moments."""
    with np.load(path, allow_pickle=False) as arrays:
        kinds = ("mean", "mcse_mean", "sd", "mcse_sd")
        return Moments(*(np.concatenate([arrays[f"{site}/{kind}"].ravel() for site in SITES]) for kind in kinds))


def compare(ours: Moments, reference: Moments) -> Agreement:
    """Compare all means and sds."""
    z = np.concatenate(
        [
            (ours.mean - reference.mean) / np.hypot(ours.mean_error, reference.mean_error),
            (ours.sd - reference.sd) / np.hypot(ours.sd_error, reference.sd_error),
        ]
    )
    limit = float(norm.isf(FALSE_ALARM / z.size))
    return Agreement(z.size, float(np.abs(z).max()), limit, float(np.sqrt((z**2).mean())))


def biased(ours: Moments, shift: float = 0.2) -> Moments:
    """A control: every mean off by `shift` posterior sd."""
    return ours._replace(mean=ours.mean + shift * ours.sd)


def main() -> int:
    """Print the comparison and that of the control; exit status 0 where the run agrees and the control does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("reference", type=Path)
    arguments = parser.parse_args()
    ours, reference = of_run(Run(arguments.store)), of_reference(arguments.reference)
    found, control = compare(ours, reference), compare(biased(ours), reference)
    for name, result in (("run", found), ("biased by .2 sd", control)):
        print(
            f"{name}: {result.n} values, largest |z| {result.largest:.2f} (limit {result.limit:.2f}), "
            f"rms z {result.rms:.3f} ({RMS[0]} to {RMS[1]}): {'agrees' if result.holds else 'differs'}"
        )
    return 0 if found.holds and not control.holds else 1


if __name__ == "__main__":
    sys.exit(main())
