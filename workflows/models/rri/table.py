"""Heart-beat intervals: the parameters of one subject or of the population, beside the true ones of simulated data."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import kernels  # noqa: F401  (turns 64-bit floats on: recordings are simulated anew)
from workflows.models.rri import simulate
from workflows.models.rri.curve import NAMES
from workflows.models.rri.published import MEANS, PARAMETERS, SDS
from workflows.results.protocol import StoredRun
from workflows.results.tables.draws import INTERVAL, ends, interval, pooled

NOISE = tuple(f"sigma_{name}" for name in NAMES)
"""The parameters of noise that varies."""
DIGITS = "#.4g"


def lines(run: StoredRun) -> list[str]:
    """Mean and interval of every parameter of one subject, or of the population's."""
    data = run.data
    return _population(data) if of_many(data["posterior"]) else _single(data)


def of_many(posterior: Any) -> bool:
    """Whether the run is of a population."""
    return "location" in posterior


def parameters(posterior: Any) -> tuple[str, ...]:
    """The parameters of each subject, in the order of the model."""
    return (*NAMES, *NOISE) if "sigma_alpha" in posterior else PARAMETERS


def truth(data: Any) -> Mapping[str, np.ndarray]:
    """The parameters behind simulated recordings, each [] or [subject]; none where the data are others."""
    y, varying = data["observed_data"]["y"].values, "sigma_alpha" in data["posterior"]
    made = simulate.population(y.shape[1], len(y)) if y.ndim == 2 else simulate.example(len(y), varying=varying)
    return made.truth if np.array_equal(made.y, y) else {}


def _single(data: Any) -> list[str]:
    posterior, known = data["posterior"], truth(data)
    names = parameters(posterior)
    draws = {name: pooled(posterior[name]) for name in names}
    true = [float(known[name]) if name in known else None for name in names]
    return [
        f"The curve and its noise ({draws['alpha'].size:,} draws)",
        _head("parameter", "truth"),
        *(_row(name, draws[name], value) for name, value in zip(names, true, strict=True)),
    ]


def _population(data: Any) -> list[str]:
    posterior = data["posterior"]
    location, spread = (pooled(posterior[name]) for name in ("location", "spread"))
    subjects = posterior["alpha"].shape[-1]
    return [
        f"Population of {subjects:,} subjects ({len(location):,} draws)",
        _head("location", "published"),
        *(_row(name, location[:, k], MEANS[k]) for k, name in enumerate(PARAMETERS)),
        _head("spread", "published"),
        *(_row(name, spread[:, k], SDS[k]) for k, name in enumerate(PARAMETERS)),
        *_recovered(data),
    ]


def _head(what: str, beside: str) -> str:
    return f"  {what:<14}{'mean':>10}{f'{INTERVAL:.0%} interval':>22}{beside:>11}"


def _row(name: str, draws: np.ndarray, beside: float | None) -> str:
    text = "-" if beside is None else f"{beside:{DIGITS}}"
    return f"  {name:<14}{format(draws.mean(), DIGITS):>10}{interval(ends(draws), DIGITS):>22}{text:>11}"


def _recovered(data: Any) -> Iterator[str]:
    """How many subjects' true values lie within their own intervals, by parameter."""
    posterior, known = data["posterior"], truth(data)
    if not known:
        return
    counts = []
    for name in PARAMETERS:
        low, high = ends(pooled(posterior[name]))
        counts.append(f"{name} {((low <= known[name]) & (known[name] <= high)).sum()}")
    subjects = posterior["alpha"].shape[-1]
    yield f"Subjects whose true value lies in their {INTERVAL:.0%} interval, of {subjects:,}:"
    yield f"  {', '.join(counts)}"
