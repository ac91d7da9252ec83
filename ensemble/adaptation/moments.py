"""Moments of the ensemble by level, pooled over shards and rounds, that forget the past."""

from typing import NamedTuple

import numpy as np

from ensemble.protocol.plans import Arrays
from ensemble.protocol.tuning import LevelTuning, TuningState
from kernels.dynamics.metric import LowRank


class Moments(NamedTuple):
    """Forgetting moments of a level's blocks at one rung: weight ([B] where replicas have weights), mean [p, B],
    scatter [p, p, B] or [p, B]."""

    weight: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray


FORGET = 3.0
"""By default about the last third of the rounds counts."""
FORGET_FAST = 20.0
"""On the way to the typical set only the last rounds do."""

LevelMoments = dict[str, tuple[Moments, ...]]
"""By level; the moments of its gradient, where it is followed, by `gradient/level`."""


def first_moments(tuning: TuningState) -> LevelMoments:
    """Before any round."""
    moments = {name: tuple(_blank(c) for c in rungs) for name, rungs in tuning.levels.items()}
    gradients = {f"gradient/{name}": moments[name] for name in tuning.lengths}
    return {**moments, **gradients}


def _blank(tuning: LevelTuning) -> Moments:
    like = tuning.mean if isinstance(tuning.factor, LowRank) else tuning.factor
    return Moments(np.zeros(()), np.zeros_like(tuning.mean), np.zeros_like(like))


def summed(statistics: list[Arrays], name: str) -> np.ndarray:
    """One statistic summed over shards, in shard order."""
    total = np.array(statistics[0][name], float)
    for arrays in statistics[1:]:
        total += arrays[name]
    return total


def absorb_moments(
    moments: LevelMoments,
    tuning: TuningState,
    statistics: list[Arrays],
    replicas: int,
    round_: int,
    forget: float = FORGET,
) -> LevelMoments:
    """Merge a round's moments (Chan, Golub and LeVeque 1983), forgetting so that the last 1 / `forget` counts."""
    keep, everybody = 1.0 - forget / (round_ + forget), float(replicas * len(statistics))
    merged = {}
    for name, rungs in moments.items():
        level = []
        for rung, old in enumerate(rungs):
            prefix = f"moments/{name}/{rung}"
            if f"{prefix}/sum" not in statistics[0]:
                level.append(old)
                continue
            weighted = f"{prefix}/weight" in statistics[0]
            count = summed(statistics, f"{prefix}/weight") if weighted else np.asarray(everybody)
            offset = summed(statistics, f"{prefix}/sum") / count
            scatter = summed(statistics, f"{prefix}/outer") - count * _square(offset, old.scatter.ndim)
            # Sums of coordinates are about the tuning's mean, those of gradients about 0, which they have on average.
            origin = tuning.levels[name][rung].mean if name in tuning.levels else 0.0
            level.append(_merge(old, keep, count, origin + offset, scatter))
        merged[name] = tuple(level)
    return merged


def _square(x: np.ndarray, ndim: int) -> np.ndarray:
    return x[:, None] * x[None, :] if ndim == 3 else x**2


def _merge(old: Moments, keep: float, count: np.ndarray, mean: np.ndarray, scatter: np.ndarray) -> Moments:
    before = keep * old.weight
    weight = before + count
    delta = mean - old.mean
    scatter = keep * old.scatter + scatter + before * count / weight * _square(delta, scatter.ndim)
    return Moments(weight, old.mean + delta * count / weight, scatter)


def extended(moments: LevelMoments, tuning: TuningState) -> LevelMoments:
    """The moments for the rungs that the tuning has: new rungs start as the hottest known."""
    rungs = {name: len(tuning.levels[name.removeprefix("gradient/")]) for name in moments}
    return {name: tuple(known[min(r, len(known) - 1)] for r in range(rungs[name])) for name, known in moments.items()}
