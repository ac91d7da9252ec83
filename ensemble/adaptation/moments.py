"""Moments of the ensemble by level, pooled over shards and rounds, that forget the past."""

from typing import NamedTuple

import numpy as np

from ensemble.protocol.statistics import LevelSums, MomentSums, RoundStatistics, summed
from ensemble.protocol.tuning import LevelTuning, TuningState
from kernels.dynamics.metric import LowRank


class Moments(NamedTuple):
    """Forgetting moments of a level's blocks at one rung.

    weight: how many states they are made of; [B] where replicas have weights.
    mean: [p, B].
    scatter: sum of products about the mean, [p, p, B], or of squares, [p, B].
    """

    weight: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray


def variances(moments: Moments) -> np.ndarray:
    """Of every coordinate, [p, B]."""
    found = moments.scatter / moments.weight
    diagonal: np.ndarray = np.einsum("iib->ib", found) if found.ndim == 3 else found
    return diagonal


def spread_of(moments: Moments) -> np.ndarray:
    """Standard deviations of every coordinate, [p, B]; 1 where nothing is known, or nothing moves."""
    if not np.all(moments.weight > 0):
        return np.ones_like(moments.mean)
    found = np.sqrt(np.maximum(variances(moments), 0.0))
    return np.where(np.isfinite(found) & (found > 0), found, 1.0)


FORGET = 3.0
"""By default about the last third of the rounds counts."""
FORGET_FAST = 20.0
"""On the way to the typical set only the last rounds do."""

LevelMoments = dict[str, tuple[Moments, ...]]
"""By level, of each rung that moves it."""


class EnsembleMoments(NamedTuple):
    """What is known of the ensemble.

    states: of coordinates.
    gradients: of the gradients of levels that follow them.
    """

    states: LevelMoments
    gradients: LevelMoments


def first_moments(tuning: TuningState) -> EnsembleMoments:
    """Before any round."""
    states = {name: tuple(_blank(c) for c in rungs) for name, rungs in tuning.levels.items()}
    return EnsembleMoments(states, {name: states[name] for name in tuning.lengths})


def _blank(tuning: LevelTuning) -> Moments:
    like = tuning.mean if isinstance(tuning.factor, LowRank) else tuning.factor
    return Moments(np.zeros(()), np.zeros_like(tuning.mean), np.zeros_like(like))


def absorb_moments(
    moments: EnsembleMoments,
    tuning: TuningState,
    statistics: list[RoundStatistics],
    replicas: int,
    round_: int,
    forget: float = FORGET,
) -> EnsembleMoments:
    """Merge a round's moments (Chan, Golub and LeVeque 1983), forgetting so that the last 1 / `forget` counts."""
    keep, everybody = 1.0 - forget / (round_ + forget), float(replicas * len(statistics))

    def merged(old: Moments, sums: list[MomentSums], origin: np.ndarray | float) -> Moments:
        total = summed(sums)
        count = np.asarray(everybody if total.weight is None else total.weight)
        offset = np.asarray(total.sum) / count
        scatter = np.asarray(total.outer) - count * _square(offset, old.scatter.ndim)
        return _merge(old, keep, count, origin + offset, scatter)

    states = {
        # Sums of coordinates are about the tuning's mean, those of gradients about 0, which they have on average.
        name: tuple(
            merged(old, [sums.states for sums in seen], tuning.levels[name][rung].mean) if seen else old
            for rung, (old, seen) in enumerate(_paired(rungs, name, statistics))
        )
        for name, rungs in moments.states.items()
    }
    gradients = {
        name: tuple(
            merged(old, [sums.gradients.moments for sums in seen if sums.gradients is not None], 0.0) if seen else old
            for old, seen in _paired(rungs, name, statistics)
        )
        for name, rungs in moments.gradients.items()
    }
    return EnsembleMoments(states, gradients)


def _paired(
    rungs: tuple[Moments, ...], level: str, statistics: list[RoundStatistics]
) -> list[tuple[Moments, list[LevelSums]]]:
    """The moments of each rung with what all shards saw there: nothing of a rung that the round had not."""
    seen = [shard.moments.get(level, ()) for shard in statistics]
    return [(old, [sums[rung] for sums in seen if rung < len(sums)]) for rung, old in enumerate(rungs)]


def _square(x: np.ndarray, ndim: int) -> np.ndarray:
    return x[:, None] * x[None, :] if ndim == 3 else x**2


def _merge(old: Moments, keep: float, count: np.ndarray, mean: np.ndarray, scatter: np.ndarray) -> Moments:
    before = keep * old.weight
    weight = before + count
    delta = mean - old.mean
    scatter = keep * old.scatter + scatter + before * count / weight * _square(delta, scatter.ndim)
    return Moments(weight, old.mean + delta * count / weight, scatter)


def extended(moments: EnsembleMoments, tuning: TuningState) -> EnsembleMoments:
    """The moments for the rungs that the tuning has: new rungs start as the hottest known."""

    def for_rungs(levels: LevelMoments) -> LevelMoments:
        rungs = {name: len(tuning.levels[name]) for name in levels}
        return {
            name: tuple(known[min(r, len(known) - 1)] for r in range(rungs[name])) for name, known in levels.items()
        }

    return EnsembleMoments(for_rungs(moments.states), for_rungs(moments.gradients))
