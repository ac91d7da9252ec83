"""What a shard says of a round, for tests: nothing but what they name."""

from typing import Any

import numpy as np

from ensemble.protocol.statistics import (
    ChainSums,
    GradientSums,
    LevelRates,
    LevelSums,
    MomentSums,
    Rate,
    RoundStatistics,
)

NOTHING = RoundStatistics(
    lp=np.zeros(3),
    nonfinite=np.asarray(0),
    gradients=np.zeros(2),
    rates={},
    interweaving=None,
    swaps={},
    ladder=None,
    moments={},
    term_means={},
    chains=ChainSums(Rate(np.zeros(3), np.zeros(3))),
)


def statistics_of(**known: Any) -> RoundStatistics:
    """A round's statistics in which only these are known."""
    return NOTHING._replace(**known)


def one_rung(**kinds: Rate) -> tuple[LevelRates, ...]:
    """The rates of a level that moves at the cold rung alone."""
    return (LevelRates(**kinds),)


def steep(steepness: float) -> tuple[LevelSums, ...]:
    """What is seen of a level whose usual force has this squared norm, at the cold rung."""
    nothing = MomentSums(np.zeros((1, 1)), np.zeros((1, 1)), np.ones(1))
    return (LevelSums(nothing, GradientSums(nothing, np.asarray(steepness), np.asarray(1.0))),)
