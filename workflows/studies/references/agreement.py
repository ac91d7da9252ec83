"""Does a stored run agree with an independent reference of its posterior? z values of all posterior means and sds.

    python -m workflows.studies.references.agreement runs/airway_small.zarr tests/references/airway_small.npz

z = (ours - reference) / sqrt(ours' Monte Carlo variance + the reference's). Over the n means and sds the largest |z|
must stay below the normal quantile at 5e-7 / n, and the root mean square of z must lie between .8 and 1.25, so that
neither the values nor the error estimates are off. Where n is below 100 the bounds are .7 and 1.3, which 26 independent
z leave by chance with 3%, and dependent ones more often. Controls, biased by .2 posterior sd, must fail.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from workflows.results.run import Run

BATCHES = 6
"""Batches a chain for the Monte Carlo errors: with 32 chains 191 degrees of freedom, with 16 chains 95."""
CONSTANT = 1e-9
"""Standard deviation of a coordinate that is a constant."""
FALSE_ALARM = 5e-7
RMS, RMS_OF_FEW = (0.8, 1.25), (0.7, 1.3)
FEW = 100


class Moments(NamedTuple):
    """Flat arrays over all coordinates, in the reference's order of sites: posterior mean and sd with their Monte Carlo
    errors."""

    mean: np.ndarray
    mean_error: np.ndarray
    sd: np.ndarray
    sd_error: np.ndarray


class Agreement(NamedTuple):
    """The largest |z| with its limit, and the root mean square of z with its bounds, over n values."""

    n: int
    largest: float
    limit: float
    rms: float
    bounds: tuple[float, float]

    @property
    def holds(self) -> bool:
        """Whether both checks pass."""
        return self.largest < self.limit and self.bounds[0] < self.rms < self.bounds[1]


def moments(draws: np.ndarray) -> Moments:
    """Of draws [chains, draws, d]. Errors from the means of BATCHES batches a chain; the sd's by the delta method:
    error(sd) = error(mean of (x - mean)^2) / (2 sd)."""
    mean, sd = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1), ddof=1)
    return Moments(mean, _error(draws), sd, _error((draws - mean) ** 2) / np.where(sd > 0, 2 * sd, 1.0))


def _error(values: np.ndarray) -> np.ndarray:
    """Monte Carlo error of the mean over chains and draws: [chains, draws, d] -> [d]."""
    chains, draws, width = values.shape
    length = draws // BATCHES
    batches = values[:, draws - length * BATCHES :].reshape(chains * BATCHES, length, width).mean(axis=1)
    error: np.ndarray = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    return error


def of_run(run: Run, sites: Sequence[str]) -> Moments:
    """The run's moments; a site log_x that the run does not have is the logarithm of its x."""
    posterior = run.data["posterior"]
    columns = []
    for site in sites:
        values = posterior[site] if site in posterior else np.log(posterior[site.removeprefix("log_")].astype(float))
        columns.append(values.values.astype(float).reshape(*values.shape[:2], -1))
    return moments(np.concatenate(columns, axis=2))


def sites_of(path: Path) -> list[str]:
    """The sites that a reference knows, in its order."""
    with np.load(path, allow_pickle=False) as arrays:
        return [name.removesuffix("/mean") for name in arrays.files if name.endswith("/mean")]


def of_reference(path: Path) -> Moments:
    """The reference's moments."""
    sites, kinds = sites_of(path), ("mean", "mcse_mean", "sd", "mcse_sd")
    with np.load(path, allow_pickle=False) as arrays:
        return Moments(*(np.concatenate([arrays[f"{site}/{kind}"].ravel() for site in sites]) for kind in kinds))


def compare(ours: Moments, reference: Moments) -> Agreement:
    """Compare all means and sds; constants, such as the diagonal of a correlation matrix, are left out."""
    varies = reference.sd > CONSTANT
    ours, reference = (Moments(*(values[varies] for values in side)) for side in (ours, reference))
    z = np.concatenate(
        [
            (ours.mean - reference.mean) / np.hypot(ours.mean_error, reference.mean_error),
            (ours.sd - reference.sd) / np.hypot(ours.sd_error, reference.sd_error),
        ]
    )
    limit = float(norm.isf(FALSE_ALARM / z.size))
    bounds = RMS_OF_FEW if z.size < FEW else RMS
    return Agreement(z.size, float(np.abs(z).max()), limit, float(np.sqrt((z**2).mean())), bounds)


def biased(ours: Moments, shift: float = 0.2) -> Moments:
    """A control: every mean off by `shift` posterior sd."""
    return ours._replace(mean=ours.mean + shift * ours.sd)


def main() -> int:
    """Print the comparison and that of the control; exit status 0 where the run agrees and the control does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("reference", type=Path)
    arguments = parser.parse_args()
    ours = of_run(Run(arguments.store), sites_of(arguments.reference))
    reference = of_reference(arguments.reference)
    found, control = compare(ours, reference), compare(biased(ours), reference)
    for name, result in (("run", found), ("biased by .2 sd", control)):
        low, high = result.bounds
        print(
            f"{name}: {result.n} values, largest |z| {result.largest:.2f} (limit {result.limit:.2f}), "
            f"rms z {result.rms:.3f} ({low} to {high}): {'agrees' if result.holds else 'differs'}"
        )
    return 0 if found.holds and not control.holds else 1


if __name__ == "__main__":
    sys.exit(main())
