"""The rule by which statistics of the data are judged against those of data sets from the posterior.

A family of k statistics is standardised: the distance of each from its median, over the root mean square of the
distances on that side of the median, medians and scales of data and data sets together; of shares p by arcsin sqrt p,
whose scale hardly depends on p, as a rare count would else set the measure for all. The data are apart where the
largest of their k distances exceeds the largest of every data set. Were data and data sets exchangeable, that would
happen once in DATA_SETS + 1 (Barnard 1963; Besag and Clifford 1989, Biometrika 76, 633-642); as the posterior has seen
the data it happens more seldom. A statistic is apart where its own distance exceeds the largest of every data set: the
ends of that range are told as `widest`.

What is apart need not matter: with many data a trifle is visible. It is a misfit where the difference from the median
of the predictions is as large as the family says matters; else it is told as small.
"""

from typing import NamedTuple

import numpy as np

from workflows.modelling.checks import Family
from workflows.results.fit.replicates import Replicated

FITS, SMALL, MISFIT, UNJUDGED = "fits", "small misfit", "misfit", "not judged"
INTERVAL = 0.95
"""Probability of the interval of each prediction that is told."""
NAMED = 3
"""Statistics that a verdict names."""


class Verdict(NamedTuple):
    """A judgement on a family, and why.

    text: in a sentence. observed, median: [k] in the data, and of the predictions; between, widest: [2, k] interval of
    each prediction, and the range beyond which it is apart. distance: [k] standardised, signed. p: [k] share of
    predictions at least as large (those as large count half); error: its Monte Carlo standard error. apart: [k].
    """

    family: Family
    judgement: str
    text: str
    observed: np.ndarray
    median: np.ndarray
    between: np.ndarray
    widest: np.ndarray
    distance: np.ndarray
    p: np.ndarray
    error: np.ndarray
    apart: np.ndarray


def judge(found: Replicated) -> Verdict:
    """The verdict on a family."""
    family, kept = found.family, np.isfinite(found.observed) & np.isfinite(found.replicated).all(axis=0)
    # Those left out take part as zeros, which are never apart, and are told as NaN.
    observed, replicated = np.where(kept, found.observed, 0.0), np.where(kept, found.replicated, 0.0)
    seen, predictions = (_stable(values, family) for values in (observed, replicated))
    median, scales = _middle(np.vstack([seen[None], predictions]))
    distance = _distances(seen, median, scales)
    reach = _sided(_distances(predictions, median, scales), family).max(initial=0.0)
    apart = kept & (_sided(distance, family) > reach)
    p = (replicated > observed).mean(axis=0) + 0.5 * (replicated == observed).mean(axis=0)
    tails = [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2]
    predicted = np.median(replicated, axis=0)
    judgement, text = _words(family, observed, predicted, apart, kept)

    def known(values: np.ndarray) -> np.ndarray:
        return np.where(kept, values, np.nan)

    return Verdict(
        family,
        judgement,
        text,
        observed=known(observed),
        median=known(predicted),
        between=known(np.quantile(replicated, tails, axis=0)),
        widest=known(_natural(median + reach * scales * np.array([[-1.0], [1.0]]), family)),
        distance=known(distance),
        p=known(p),
        error=known(np.sqrt(np.maximum(p * (1 - p), 1.0 / len(replicated)) / len(replicated))),
        apart=apart,
    )


def _stable(values: np.ndarray, family: Family) -> np.ndarray:
    """Statistics on the scale on which they are judged."""
    return np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0))) if family.share else values


def _natural(values: np.ndarray, family: Family) -> np.ndarray:
    """The inverse of _stable."""
    return np.sin(np.clip(values, 0.0, np.pi / 2)) ** 2 if family.share else values


def _middle(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians [k] and scales below and above them [2, k] of values [n, k]; at least a few units of the last place."""
    median = np.median(values, axis=0)
    away = values - median
    below, above = (
        np.sqrt((np.where(side, away, 0.0) ** 2).sum(axis=0) / np.maximum(1, side.sum(axis=0)))
        for side in (away <= 0, away >= 0)
    )
    return median, np.maximum(np.stack([below, above]), 8 * np.spacing(np.abs(median)))


def _distances(values: np.ndarray, median: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Standardised distances [..., k], with their signs."""
    away = values - median
    return np.asarray(away / np.where(away < 0, scales[0], scales[1]))


def _sided(distance: np.ndarray, family: Family) -> np.ndarray:
    """How far each is on the side that counts; what is on the other side is not apart."""
    side = np.asarray(family.side)
    return np.where(side == 0, np.abs(distance), side * distance)


def _words(
    family: Family, observed: np.ndarray, predicted: np.ndarray, apart: np.ndarray, kept: np.ndarray
) -> tuple[str, str]:
    """The judgement, and a sentence with the statistics that are furthest off, as what matters measures it."""
    if not kept.any():
        return UNJUDGED, "no statistic of it is a finite number in every data set"
    left = "" if kept.all() else f"; {(~kept).sum()} of {kept.size} are left out, not finite in every data set"
    if not apart.any():
        return FITS, left.removeprefix("; ")
    size = np.abs(observed - predicted) / family.matters
    large = apart & (size >= 1.0)
    chosen = np.flatnonzero(large if large.any() else apart)
    order = chosen[np.argsort(-size[chosen], kind="stable")]
    named = [
        f"predicts {told(predicted[k], family)} for {family.labels[k]}, {told(observed[k], family)} seen"
        for k in order[:NAMED]
    ]
    more = f", and {len(order) - NAMED} more" if len(order) > NAMED else ""
    return MISFIT if large.any() else SMALL, "; ".join(named) + more + left


def told(value: float, family: Family) -> str:
    """A statistic in few digits."""
    if family.share:
        return f"{100 * value:.3g}%"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
