"""The frozen or adapting numbers that steer a shard's kernels: one pytree, sent with every plan."""

from typing import NamedTuple

import numpy as np

from kernels.dynamics.metric import LowRank
from kernels.dynamics.network import Network
from kernels.transitions.common_law import CommonLaw


class GivenOthers(NamedTuple):
    """The law of a level's blocks given all other levels, on average.

    information: [p, p, B], E g g' of the gradient g of its log density, which is its mean precision; 0 before any.
    factor: [p, p, B], of the inverse.
    """

    information: np.ndarray
    factor: np.ndarray


class Surrogate(NamedTuple):
    """A network that stands in for the gradient of a level's density, and what is known of it.

    network: the network.
    examples: by how many it was trained, ().
    error: sum of squared errors of its slopes over the sum of their squares, in units of the metric, on examples that
        were held out, (); NaN before it is trained.
    excess: how much too high its potential is in reach of the posterior, see adaptation.surrogates.teaching, (); NaN
        before.
    trial: [2], mean acceptance of its trajectories summed over the rounds since, and how many rounds.
    """

    network: Network
    examples: np.ndarray
    error: np.ndarray
    excess: np.ndarray
    trial: np.ndarray


class LevelTuning(NamedTuple):
    """What steers the kernel of one level at one rung.

    log_scale: [B], log of a random walk's scale or, of a kernel that follows the gradient, of its step size.
    mean: [p, B] of the ensemble's blocks.
    factor: of their covariance or metric, see kernels.dynamics.metric.
    mix: [B], the share of fitted proposals, see kernels.transitions.metropolis.
    common: what the blocks have in common; None where that is not proposed.
    given: the law of a parent's blocks given all other levels; None where that is not proposed.
    surrogate: of a kernel that learns the gradient; None of others.
    """

    log_scale: np.ndarray
    mean: np.ndarray
    factor: np.ndarray | LowRank
    mix: np.ndarray
    common: CommonLaw | None = None
    given: GivenOthers | None = None
    surrogate: Surrogate | None = None


class TuningState(NamedTuple):
    """All that adapts, and what steers the sweeps of one round.

    levels: level name -> for each rung that moves it its tuning.
    betas: [rungs], inverse temperatures from cold to hot.
    interweave: log step size of each interweaving move, [moves].
    schedule: the interweaving moves of a round, as many in each sweep, one after another; the number of moves for none.
    parity: of the swaps of each sweep, 0 or 1, [sweeps], see kernels.ladder.tempering.pairs.
    lengths: for each level that follows the gradient its trajectories, [rungs, sweeps]: numbers of steps, or of
        doublings at most where they double.
    steepest: for the same levels the largest norm of their forces, [rungs], see kernels.dynamics.forces.bounded.
    sketch: for each level with a metric of low rank the directions along which covariances are looked at,
        [rungs, p, k].
    common: for each level with common laws the coordinate that each sweep draws from its own, negative for none,
        [sweeps].
    by_gradient: for each level with a network whether it is left aside in a sweep, [sweeps].
    scout: numbers of the scout kernel, by level where it adapts them.
    spread: for each level whose tails are looked at the standard deviations of its coordinates, [p, B].
    height: log density about which it is summed up, (): the ensemble's median when the stage began.
    """

    levels: dict[str, tuple[LevelTuning, ...]]
    betas: np.ndarray
    interweave: np.ndarray
    schedule: np.ndarray
    parity: np.ndarray
    lengths: dict[str, np.ndarray]
    steepest: dict[str, np.ndarray]
    sketch: dict[str, np.ndarray]
    common: dict[str, np.ndarray]
    by_gradient: dict[str, np.ndarray]
    scout: dict[str, dict[str, np.ndarray]]
    spread: dict[str, np.ndarray]
    height: np.ndarray
