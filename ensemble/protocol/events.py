"""What is counted of every state beside its coordinates: signs, and how often it lies in a tail.

The names stand beside those of levels in the sums of a round, of which ESS and R-hat are made in the same way.
"""

from kernels.structure.levels import Level

TAIL = 1.6448536269514722
"""Standard deviations from the mean beyond which a tail begins: a normal density has 5% there."""

WIDEST = 300
"""Most coordinates of a level whose tails are looked at: each takes as much memory as the coordinate itself, twice."""


LOG_DENSITY = ":log_density"
"""The log density itself, [1, 1], about the height that it had when the stage began: no level has this name."""


def positive(level: str) -> str:
    """States above zero, of each coordinate of the level."""
    return f"{level}:positive"


def below(level: str) -> str:
    """States further than TAIL standard deviations below the mean that the ensemble had when `sample` began."""
    return f"{level}:below"


def above(level: str) -> str:
    """States as far above it."""
    return f"{level}:above"


def has_tails(level: Level) -> bool:
    """Whether the tails of a level's coordinates are looked at."""
    return int(level.sizes.sum()) <= WIDEST
