"""How low the chains of `sample` have been, and how low they may be."""

import numpy as np

from ensemble.run.decisions.floor import floor_of
from ensemble.run.ledger import Ledger


def with_lowest(ledger: Ledger, heights: np.ndarray, dimension: int, *, anew: bool) -> Ledger:
    """The ledger after a round of `sample` that ended at these log densities, of all chains.

    The floor is the mean of those of all rounds: the chains at the freeze say little of how much the log density of a
    hierarchy varies, whose scales are explored slowly. A chain that was on its way as `sample` began stays far below.
    anew: whether the round is not to count. What is no number is lower than all.
    """
    if ledger.floor is None:
        return ledger
    finite = heights[np.isfinite(heights)]
    of_round = floor_of(finite, dimension) if finite.size else ledger.floor
    floor = (ledger.floor * (1 + ledger.floors) + of_round) / (2 + ledger.floors)
    now = np.where(np.isnan(heights), -np.inf, heights)
    lowest = () if anew else tuple((np.minimum(ledger.lowest, now) if ledger.lowest else now).tolist())
    return ledger._replace(floor=floor, floors=ledger.floors + 1, lowest=lowest)
