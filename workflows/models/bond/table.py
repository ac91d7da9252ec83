"""Bonds: the parameters beside the true ones of simulated data, and what makes the curve flat."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import kernels  # noqa: F401  (turns 64-bit floats on, in which weeks are simulated anew)
from workflows.models.bond.dynamics import Theta
from workflows.models.bond.explanations import NONE, Explained, explained
from workflows.models.bond.published import LABELS, TRUTH
from workflows.models.bond.simulate import simulate
from workflows.results.protocol import StoredRun
from workflows.results.tables.draws import INTERVAL, ends, interval, pooled

DIGITS = "#.3g"
PER_CENT = "+.2f"


def lines(run: StoredRun) -> list[str]:
    """Mean and interval of every parameter, and the four explanations of the slope at the last observed week."""
    data = run.data
    theta = Theta(*(pooled(data["posterior"][name]) for name in Theta._fields))
    return [*parameters(theta, truth(data)), *explanations(theta, *last_state(data))]


def truth(data: Any) -> Mapping[str, np.ndarray]:
    """The parameters behind simulated weeks; none where the short rates are others."""
    rate = data["observed_data"]["short_rate"]
    weeks = rate[rate.dims[0]].values.astype(int)
    return TRUTH if np.array_equal(simulate(weeks[-1]).rate[weeks], rate.values) else {}


def last_state(data: Any) -> tuple[float, float]:
    """Short rate and wealth of the last observed week."""
    observed = data["observed_data"]
    return float(observed["short_rate"].values[-1]), float(observed["wealth"].values[-1])


def parameters(theta: Theta, known: Mapping[str, np.ndarray]) -> Iterator[str]:
    """A row for every parameter, nine of sigma."""
    yield f"Bonds, the short rate and wealth ({theta.gamma.size:,} draws)"
    yield f"  {'parameter':<14}{'mean':>10}{f'{INTERVAL:.0%} interval':>22}{'truth':>11}"
    for name, draws in theta._asdict().items():
        columns = {name: draws} if draws.ndim == 1 else {f"{name} {x}": draws[:, k] for k, x in enumerate(LABELS)}
        true = np.ravel(known[name]) if name in known else [None] * len(columns)
        for (label, column), value in zip(columns.items(), true, strict=True):
            text = "-" if value is None else f"{value:{DIGITS}}"
            between = interval(ends(column), DIGITS)
            yield f"  {label:<14}{format(column.mean(), DIGITS):>10}{between:>22}{text:>11}"


def explanations(theta: Theta, rate: float, wealth: float) -> Iterator[str]:
    """What takes the slope from where it would be without the four explanations to where it is."""
    try:
        found = explained(theta, rate, wealth)
    except ValueError as error:
        yield f"Why is the curve flat? {str(error).capitalize()}."
        return
    yield f"Slope of expected returns, {LABELS[-1]} less {LABELS[0]}, % a year (rate {rate:.2%}, wealth {wealth:.2f})"
    yield f"  {'explanation':<18}{'mean':>8}{f'{INTERVAL:.0%} interval':>18}{'flattens most':>16}"
    yield f"  {'with none of them':<18}{format(100 * found.neutral, PER_CENT):>8}"
    for name, part in found.parts.items():
        yield f"{_row(name, part)}{found.support[name]:>16.0%}"
    yield _row("slope", found.slope)
    yield from _verdict(found)


def _row(name: str, draws: np.ndarray) -> str:
    between = interval(ends(100 * draws), PER_CENT)
    return f"  {name:<18}{format(100 * draws.mean(), PER_CENT):>8}{between:>18}"


def _verdict(found: Explained) -> Iterator[str]:
    """The explanation that most draws support, and what was left out."""
    best = max(found.support, key=lambda name: found.support[name])
    share = f"in {found.support[best]:.0%} of the draws"
    yield f"  Nothing flattens it {share}." if best == NONE else f"  What flattens it most is {best}, {share}."
    if found.left_out:
        yield f"  Left out: {found.left_out:,} draws in which wealth is expected to run out within the longest life."
