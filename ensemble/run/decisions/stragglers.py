"""Which replicas are stragglers: those far below the others, but for those that fell there from among them."""

import numpy as np


def fallen(
    known: tuple[int, ...], before: tuple[float, ...], now: tuple[float, ...], floor: float | None, anew: set[int]
) -> tuple[int, ...]:
    """The replicas that have once fallen below the floor of a round by their own moves, with those `known` before.

    before, now: log densities of all replicas. floor: of the round between. anew: those that began the round elsewhere.

    Exact moves lose log density for volume alone: a trajectory keeps the sum of log density and kinetic energy, which
    is about d / 2 at its start. A replica that comes from among the others is therefore on its way to a wider place,
    out of the neck of a hierarchy for instance, where log densities are higher than any draw of the posterior has.
    Putting it back among the others would keep them all there.
    """
    kept = set(known) - anew
    if floor is not None and before:
        there, here = np.asarray(before), np.asarray(now)
        fell = np.flatnonzero((there >= floor) & (here < floor) & np.isfinite(here))
        kept |= set(fell.tolist()) - anew
    return tuple(sorted(kept))


def behind(heights: tuple[float, ...], floor: float | None, fallen: tuple[int, ...]) -> tuple[int, ...]:
    """The stragglers: replicas whose log density is below the floor, or no number, and that did not fall there."""
    if floor is None:
        return ()
    low = np.flatnonzero(~(np.asarray(heights) >= floor))
    return tuple(sorted(set(low.tolist()) - set(fallen)))
