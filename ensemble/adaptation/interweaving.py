"""Which interweaving move a sweep makes, and which are worth their evaluation."""

import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.moments import EnsembleMoments, variances
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState

LEAST_USEFUL = 0.02
"""A move whose expected squared step is below this share of its parent's variance is not worth its evaluation."""


def schedule(count: int, round_: int, useful: np.ndarray) -> np.ndarray:
    """The `count` interweaving moves of a round, one after another: the useful ones in turn, or the number of all,
    which stands for none.

    A function of the round's number and frozen flags, never of the states: so any order is exact.
    """
    chosen = np.flatnonzero(useful)
    if not chosen.size:
        return np.full(count, len(useful))
    return chosen[(np.arange(count) + round_ * count) % chosen.size]


def interweavings_to_keep(
    tuning: TuningState, moments: EnsembleMoments, seen: np.ndarray, spec: SweepSpec
) -> np.ndarray:
    """Which moves are worth their evaluation, bool [moves]: E step^2 x acceptance against the parent's variance.

    seen: mean acceptance of each, NaN where it was never tried.
    """
    flags = []
    for number, move in enumerate(spec.interweavings):
        level = next(level for level in spec.structure.levels if move.parent in level.sites)
        by_site = level.scatter({}, jnp.asarray(variances(moments.states[level.name][0])))
        variance = float(by_site[move.parent][... if move.place is None else move.place])
        flags.append(np.exp(2 * tuning.interweave[number]) * np.nan_to_num(seen[number]) > LEAST_USEFUL * variance)
    return np.asarray(flags, bool)
