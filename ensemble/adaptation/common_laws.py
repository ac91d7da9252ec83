"""What the coordinates of a level have in common across its blocks: learned in warm-up, used where tails are heavy."""

import numpy as np

from ensemble.adaptation.steering import gain, recent
from kernels.transitions.common_law import BINS, PROBABILITIES, CommonLaw

HEAVY = 4.5
"""Outer range (all but 1 in 128 values on each side) over the middle half, from which a law is a spike with far values:
3.6 of a normal law, 4.9 of a Student t with 5 degrees of freedom, 6.5 with 3, 9.7 with 2."""
LEAST = 0.02
"""Acceptance below which a common law proposes nothing that the blocks take."""
FEWEST = 200
"""Blocks of a level that has common laws."""
RARELY, FITS = 0.25, 0.2
"""A block whose fit is accepted with probability a draws from the common law in a share FITS / a of the sweeps that
offer it, at least RARELY (a rare mode is not seen in a), at most 1."""


def first_law(width: int, blocks: int) -> CommonLaw:
    """Nothing known: of a normal law none has far values, so nothing is drawn from it."""
    return CommonLaw(np.tile(np.linspace(-1.0, 1.0, BINS + 1), (width, 1)), np.ones(width), np.ones(blocks))


def learned(
    old: CommonLaw, seen: list[np.ndarray], acceptance: np.ndarray, fitted: np.ndarray, round_: int
) -> CommonLaw:
    """With the quantiles that each shard saw in a round, the acceptance [p] there, NaN where nothing was drawn, and the
    acceptance of each block's own fit [B], NaN where that was not."""
    knots = old.knots + recent(round_) * (np.mean(seen, axis=0) - old.knots)
    known = np.where(np.isnan(acceptance), old.acceptance, acceptance)
    step = min(1.0, gain(round_))
    wanted = np.where(np.isnan(fitted), old.share, np.clip(FITS / np.maximum(fitted, FITS), RARELY, 1.0))
    return CommonLaw(knots, old.acceptance + step * (known - old.acceptance), old.share + step * (wanted - old.share))


def in_use(law: CommonLaw) -> np.ndarray:
    """The coordinates that are drawn from their common laws."""
    knots = np.asarray(law.knots)
    low, lower, upper, high = (int(np.argmin(np.abs(PROBABILITIES - p))) for p in (2**-7, 0.25, 0.75, 1 - 2**-7))
    outer, middle = knots[:, high] - knots[:, low], knots[:, upper] - knots[:, lower]
    return np.flatnonzero((outer > HEAVY * middle) & (np.asarray(law.acceptance) > LEAST))


def schedule(law: CommonLaw, sweeps: int, round_: int) -> np.ndarray:
    """The coordinate that each sweep of a round draws, [sweeps]: those in use in turn in every second sweep, else -1. A
    function of the tuning and the round's number alone."""
    chosen, odd = in_use(law), np.arange(sweeps) % 2 == 1
    if not chosen.size:
        return np.full(sweeps, -1)
    number = (round_ * sweeps + np.arange(sweeps)) // 2
    return np.where(odd, chosen[number % chosen.size], -1)
