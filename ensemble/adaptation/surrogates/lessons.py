"""The examples that networks learn from, as they come from the shards."""

from collections.abc import Sequence

import jax
import numpy as np

from ensemble.protocol.statistics import Lessons, RoundStatistics
from ensemble.protocol.tuning import TuningState

MOST_EXAMPLES = 8192
"""Kept of a level and rung: the newest."""

Collected = dict[str, tuple[Lessons, ...]]
"""Level -> of each rung the examples so far."""


def none_yet(tuning: TuningState) -> Collected:
    """Before the first example, for each level that has a network."""
    return {
        name: tuple(
            Lessons(np.zeros((0, len(rung.mean))), np.zeros((0, len(rung.mean))), np.zeros(0)) for rung in rungs
        )
        for name, rungs in tuning.levels.items()
        if rungs[0].surrogate is not None
    }


def with_lessons(collected: Collected, statistics: Sequence[RoundStatistics]) -> Collected:
    """With the finite ones of a round's examples, in the order of the shards; the oldest give way."""
    found = dict(collected)
    for name, rungs in collected.items():
        seen = [shard.lessons[name] for shard in statistics if shard.lessons is not None]
        found[name] = tuple(_newest([old, *(of[rung] for of in seen)]) for rung, old in enumerate(rungs))
    return found


def _newest(parts: list[Lessons]) -> Lessons:
    joined = Lessons(*(np.concatenate([np.asarray(values) for values in field]) for field in zip(*parts, strict=True)))
    finite = np.isfinite(joined.places).all(axis=1) & np.isfinite(joined.slopes).all(axis=1)
    return chosen(joined, np.flatnonzero(finite)[-MOST_EXAMPLES:])


def chosen(lessons: Lessons, which: np.ndarray) -> Lessons:
    """Some of the examples, by number or by a mask."""
    return jax.tree.map(lambda values: np.asarray(values)[which], lessons)  # type: ignore[no-any-return]
