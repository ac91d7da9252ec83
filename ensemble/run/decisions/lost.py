"""Which superchains sit where the posterior has next to nothing: on a plateau, or in a mode of no weight."""

import numpy as np

WINDOW = 6
"""Rounds that are looked at, and that a superchain has after a new start before it is looked at again."""

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
    """The superchains whose log mass lies so far below the best one's that nothing is lost without them.

    mass: for each round of a stage and superchain its mean log density plus the log of the volume that it fills,
    sum_i log sd_i (up to a constant): the log mass of a mode with independent coordinates. A wide mode of low density
    may outweigh a narrow one of high density; one that lacks 25 + 4 sd of that estimate cannot. redrawn: the
    superchains that began anew in each of these rounds. One that is still climbing is left alone.
    """
    if len(mass) < WINDOW:
        return []
    last, half = np.asarray(mass[-WINDOW:], float), WINDOW // 2
    early, late = last[:half].mean(axis=0), last[half:].mean(axis=0)
    if not np.isfinite(late.max()):
        return []
    # Replicas that all stand where they began fill no volume: a superchain that never moved lacks everything.
    lacking, early = late.max() - late, np.where(np.isneginf(late), late, early)
    # The log variance of few normal draws has a standard deviation of about 1; half of it counts for each coordinate.
    allowed = CERTAIN + NOISE * 0.5 * np.sqrt(dimension / half)
    fresh = {superchain for row in redrawn[-WINDOW:] for superchain in row}
    turns = np.bincount([superchain for row in redrawn for superchain in row], minlength=last.shape[1])
    with np.errstate(invalid="ignore"):
        climbing = late - early > CLIMBING * lacking
    found = (lacking > allowed) & ~climbing & (turns < TURNS)
    return [int(superchain) for superchain in np.flatnonzero(found) if superchain not in fresh]


def all_arrived(mass: tuple[tuple[float, ...], ...], dimension: int) -> bool:
    """Whether no superchain is lost, whether or not it may begin anew."""
    return not lost_superchains(mass, (), dimension)
