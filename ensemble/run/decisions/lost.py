"""Which superchains sit where the posterior has next to nothing: on a plateau, or in a mode of no weight."""

from collections import Counter

import numpy as np

WINDOW = 6
"""Rounds that are looked at, and that a superchain has after a new start before it is looked at again."""

HALF = WINDOW // 2
"""Rounds over which the log mass is taken."""

CERTAIN = 25.0
"""Log of the posterior mass, in units of which e^-25 is nothing."""

NOISE = 4.0
"""Standard deviations of a superchain's log volume, known from few replicas, that are allowed for."""

CLIMBING = 0.1
"""Share of what a superchain lacks; one that has gained as much within the window is on its way."""

TURNS = 10
"""New starts that a superchain may have."""


def lost_superchains(
    mass: tuple[tuple[float, ...], ...], redrawn: tuple[tuple[int, ...], ...], dimension: int
) -> list[int]:
    """The superchains that should begin anew: those without mass that are not climbing, had time since their last new
    start, and may have another.

    mass: for each round of a stage and superchain the log mass of where it is, see `without_mass`. redrawn: the
    superchains that began anew in each of these rounds.
    """
    fresh = {superchain for row in redrawn[-WINDOW:] for superchain in row}
    turns = Counter(superchain for row in redrawn for superchain in row)
    lacking = without_mass(mass, dimension)
    climbing = _climbing(mass) if lacking else set()
    return [
        superchain
        for superchain in lacking
        if superchain not in fresh and superchain not in climbing and turns[superchain] < TURNS
    ]


def without_mass(mass: tuple[tuple[float, ...], ...], dimension: int) -> list[int]:
    """The superchains whose log mass lies so far below the best one's that nothing is lost without them; none before
    WINDOW rounds.

    mass: for each round of a stage and superchain its mean log density plus the log of the volume that it fills,
    sum_i log sd_i (up to a constant): the log mass of a mode with independent coordinates. A wide mode of low density
    may outweigh a narrow one of high density; one that lacks 25 + 4 sd of that estimate cannot.
    """
    if len(mass) < WINDOW:
        return []
    late = _late(mass)
    if not np.isfinite(late).any():
        return []
    # The log variance of few normal draws has a standard deviation of about 1; half of it counts for each coordinate.
    allowed = CERTAIN + NOISE * 0.5 * np.sqrt(dimension / HALF)
    return [int(superchain) for superchain in np.flatnonzero(~(np.nanmax(late) - late <= allowed))]


def _climbing(mass: tuple[tuple[float, ...], ...]) -> set[int]:
    """The superchains that have gained a good share of what they lack within the window: they are on their way."""
    if len(mass) < WINDOW:
        return set()
    late, early = _late(mass), np.asarray(mass[-WINDOW:-HALF], float).mean(axis=0)
    with np.errstate(invalid="ignore"):
        return set(np.flatnonzero(late - early > CLIMBING * (np.nanmax(late) - late)).tolist())


def _late(mass: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """The mean over the last rounds."""
    late: np.ndarray = np.asarray(mass[-HALF:], float).mean(axis=0)
    return late
