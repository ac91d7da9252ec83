"""Draws held against the truth, in the standard errors that the run states for itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import betainc, betaincc
from scipy.stats import norm

from ensemble.run.goals import Thinned, stored_ess
from workflows.studies.posteriors.hard.hard import Aspect, Draws
from workflows.studies.posteriors.hard.laws import Moments

FALSE_ALARM = 1e-5
"""Chance that any number of a right run is judged wrong. With 200 runs, each looked at twice: .004 in the study."""
UNKNOWN = 37.0
"""Standard errors beyond which the chance of a normal deviate is no number any more; and where none is known."""


class Stated(NamedTuple):
    """What a run states of its errors: effective sample sizes of the stored draws of each coordinate, by site.

    ess: for means. tail_ess: for how often a coordinate lies in its tails, the smaller of the two; NaN where the run
    does not look at them. draws: stored ones of all chains.
    """

    ess: Mapping[str, np.ndarray]
    tail_ess: Mapping[str, np.ndarray]
    draws: int


class Deviation(NamedTuple):
    """How far a number lies from the truth. label: what it is. found, truth: its values. z: in standard errors, those
    of a normal law that is exceeded as rarely."""

    label: str
    found: float
    truth: float
    z: float


def stated(arrays: Mapping[str, np.ndarray], draws: int) -> Stated:
    """From the diagnostics among the coordinator's arrays, which are those of all sweeps. draws: stored ones of all
    chains at the time."""
    states = int(arrays["diagnostics/states"])
    thinned = Thinned(states, draws, states / draws)
    found: dict[str, dict[str, np.ndarray]] = {"ess": {}, "tail_ess": {}}
    for name, values in arrays.items():
        part, kind, site = (*name.split("/", 2), "", "")[:3]
        if part == "diagnostics" and kind in found and site:
            found[kind][site] = stored_ess(np.asarray(values, float), thinned)
    return Stated(found["ess"], found["tail_ess"], draws)


def judge(aspects: Sequence[Aspect], draws: Draws, errors: Stated) -> dict[str, Any]:
    """Whether all numbers are right within the errors that are stated, and the one that is furthest off.

    Every aspect is judged by the shares of draws up to its law's cuts and, where it has moments that can be known, by
    its mean and sd. A number is wrong beyond z standard errors, which one of that many right numbers exceeds with
    chance FALSE_ALARM; nothing is allowed beside. NaN counts as wrong. coordinates_right: the same of the numbers of
    coordinates alone, whose errors the run states itself.
    """
    by_aspect = [(aspect, deviation) for aspect in aspects for deviation in _deviations(aspect, draws, errors)]
    found = [deviation for _, deviation in by_aspect]
    limit = float(norm.isf(FALSE_ALARM / (2 * len(found))))
    z = np.nan_to_num([abs(deviation.z) for deviation in found], nan=np.inf, posinf=np.inf)
    worst, own = found[int(np.argmax(z))], np.array([aspect.site is not None for aspect, _ in by_aspect])
    return {
        "right": bool(np.all(z <= limit)),
        "coordinates_right": bool(np.all(z[own] <= limit)),
        "z": round(min(float(z.max()), UNKNOWN), 2),
        "z_limit": round(limit, 2),
        "worst": worst.label,
        "found": float(worst.found),
        "truth": float(worst.truth),
    }


def _deviations(aspect: Aspect, draws: Draws, errors: Stated) -> Iterator[Deviation]:
    values = np.asarray(aspect.pick(draws), float).ravel()
    mean, tails = _sizes(aspect, errors)
    # An odd function may be worth more than an independent draw each; nobody states that of other functions.
    shares = min(mean, tails, errors.draws)
    for point, probability in aspect.law.cuts:
        found = float((values <= point).mean())
        label = f"P({aspect.label} <= {point:.3g})"
        yield Deviation(label, found, probability, share_z(found, probability, shares))
    if aspect.law.moments is not None:
        # The odd half of how often one tail is visited may be worth any number of draws, the even one half as many.
        sizes = mean, min(shares, 0.5 * tails)
        yield from _of_moments(aspect.label, values, aspect.law.moments, sizes)


def _sizes(aspect: Aspect, errors: Stated) -> tuple[float, float]:
    """The effective sample sizes stated for the mean and for the tails of an aspect; of all coordinates the smallest
    where it is none itself. Infinite for tails that the run does not look at."""
    if aspect.site is None:
        sizes = [
            np.min(np.concatenate([np.ravel(x) for x in of.values()])) for of in (errors.ess, errors.tail_ess) if of
        ]
    else:
        sizes = [of[aspect.site][aspect.place] for of in (errors.ess, errors.tail_ess) if aspect.site in of]
    mean, tails = (*sizes, np.nan)[:2]
    return float(mean), float(np.inf if np.isnan(tails) else tails)


def _of_moments(label: str, values: np.ndarray, truth: Moments, sizes: tuple[float, float]) -> Iterator[Deviation]:
    """Of a mean and an sd. sizes: the effective ones for them. The cube root of a variance is nearly normal (Wilson and
    Hilferty 1931, PNAS 17, 684-688)."""
    mean = float(values.mean())
    yield Deviation(f"mean {label}", mean, truth.mean, (mean - truth.mean) / truth.sd * np.sqrt(sizes[0]))
    sd = float(np.sqrt(np.mean((values - truth.mean) ** 2)))
    error = (truth.kurtosis - 1) / (9 * sizes[1])
    yield Deviation(f"sd {label}", sd, truth.sd, ((sd / truth.sd) ** (2 / 3) - 1 + error) / np.sqrt(error))


def share_z(found: float, probability: float, size: float) -> float:
    """The normal deviate as rare as that share of so many draws, by the binomial law, between whose numbers of draws
    the beta function goes on; NaN for sizes that are none."""
    if not size > 0:
        return float("nan")
    count = found * size
    above = betainc(count, size - count + 1, probability) if count > 0 else 1.0
    below = betaincc(count + 1, size - count, probability) if count < size else 1.0
    return float(norm.isf(min(above, 0.5)) if above < below else -norm.isf(min(below, 0.5)))
