"""Draws held against a reference: how far off the worst mean and the worst sd are, and the slowest coordinate's ESS."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from workflows.studies.posteriors.posterior import Posterior
from workflows.studies.references.nuts import statistics

OFF = 0.1
"""Allowed beside noise: error of a mean in posterior sds, and of the logarithm of an sd."""
FALSE_ALARM = 1e-4
"""Chance that noise alone exceeds what is allowed for it, over all coordinates."""
LEAST_ESS = 400
"""Noise is allowed for as many effective draws at least, which a user is promised: a chain that hardly moves fails."""
CONSTANT = 1e-9
"""Sd of a coordinate that does not vary, such as the corner of a Cholesky factor."""


class Coordinates(NamedTuple):
    """Flat arrays over the compared coordinates of a posterior: label, and those of the reference file."""

    labels: list[str]
    mean: np.ndarray
    sd: np.ndarray
    mcse_mean: np.ndarray
    mcse_sd: np.ndarray


def variables_of(reference: Mapping[str, np.ndarray]) -> list[str]:
    """The variables that a reference knows."""
    return [key.removesuffix("/mean") for key in reference if key.endswith("/mean")]


def read(path: Path) -> dict[str, np.ndarray]:
    """A reference file. Raises FileNotFoundError with the command that makes it."""
    if not path.exists():
        make = f"python -m workflows.studies.posteriors.reference {path.stem} --out {path.parent}"
        raise FileNotFoundError(f"{path} is not there; make it by: {make}")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def judge(entry: Posterior, draws: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The verdict on draws [chains, draws, ...] by variable.

    mean_error: largest |mean - reference| in reference sds; sd_error: largest |log(sd / reference)|, heavy variables
    left out; each with its coordinate, and whether all are within OFF and noise: `right`. ess: of the slowest
    coordinate, bulk, with the largest R-hat. Raises ValueError for variables that are missing or of another size.
    """
    known, values = _coordinates(reference), _values(draws, reference)
    varies = known.sd > CONSTANT
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        # A run that was stopped early may have fewer draws than chains.
        warnings.filterwarnings("ignore", "More chains")
        ours = {key: value[varies] for key, value in statistics(values).items()}
    labels = [label for label, moves in zip(known.labels, varies, strict=True) if moves]
    mean, sd, mcse_mean, mcse_sd = (x[varies] for x in known[1:])
    z, floor = float(norm.isf(FALSE_ALARM / (4 * sd.size))), 1 / np.sqrt(LEAST_ESS)
    error = np.abs(ours["mean"] - mean) / sd
    allowed = OFF + z * np.hypot(np.minimum(ours["mcse_mean"] / sd, floor), mcse_mean / sd)
    with np.errstate(divide="ignore"):
        ratio = np.abs(np.log(ours["sd"] / sd))
    allowed_ratio = OFF + z * np.hypot(np.minimum(ours["mcse_sd"] / sd, floor), mcse_sd / sd)
    ratio[[label.split("[")[0] in entry.heavy for label in labels]] = 0.0
    # NaN counts as the worst.
    far, wide, slow = (int(np.argmax(np.nan_to_num(x, nan=np.inf))) for x in (error, ratio, -ours["ess"]))
    return {
        "mean_error": float(error[far]),
        "mean_worst": labels[far],
        "sd_error": float(ratio[wide]),
        "sd_worst": labels[wide],
        "right": bool(np.all(error < allowed) and np.all(ratio < allowed_ratio)),
        "ess": float(ours["ess"][slow]),
        "ess_worst": labels[slow],
        "rhat": float(np.max(ours["rhat"])),
    }


def _coordinates(reference: Mapping[str, np.ndarray]) -> Coordinates:
    names = variables_of(reference)
    flat = (np.concatenate([reference[f"{name}/{key}"].ravel() for name in names]) for key in Coordinates._fields[1:])
    return Coordinates([label for name in names for label in _labels(name, reference)], *flat)


def _labels(name: str, reference: Mapping[str, np.ndarray]) -> Iterator[str]:
    size = reference[f"{name}/mean"].size
    for place in reference.get(f"{name}/index", np.arange(size)):
        yield f"{name}[{place}]"


def _values(draws: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> np.ndarray:
    """The compared coordinates of the draws: [chains, draws, coordinates]."""
    columns = []
    for name in variables_of(reference):
        if name not in draws:
            raise ValueError(f"there are no draws of {name!r}; there are some of {', '.join(draws)}")
        # In 64 bits: means of stored 32-bit draws would lose what is left of a Julian day.
        flat = draws[name].astype(float).reshape(*draws[name].shape[:2], -1)
        index = reference.get(f"{name}/index")
        size = reference[f"{name}/mean"].size
        if index is None and flat.shape[2] != size:
            raise ValueError(f"{name!r} has {flat.shape[2]} elements, {size} in the reference")
        columns.append(flat if index is None else flat[:, :, index])
    return np.concatenate(columns, axis=2)
