"""What a round says of a shard: sums over its replicas, typed, and how those of all shards are pooled."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from kernels.ladder.evidence import Stones

Values = jax.Array | np.ndarray
ByLevel = dict[str, np.ndarray]
"""One array for each level of the model, by name."""
Tree = TypeVar("Tree")


class Lessons(NamedTuple):
    """Examples of a level's tempered log density, of which a network learns.

    places: coordinates, [N, p].
    slopes: its gradient there, [N, p].
    heights: its value there, [N]; NaN of a density that is only estimated, whose noise would hide all else.
    """

    places: Values
    slopes: Values
    heights: Values


class Rate(NamedTuple):
    """How often proposals were accepted; both have one shape.

    accepted: sum of the acceptance probabilities, or of scores in [0, 1] where nothing is accepted.
    tried: how many there were.
    """

    accepted: Values
    tried: Values

    def mean(self) -> np.ndarray:
        """Mean acceptance, NaN where nothing was tried."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: np.ndarray = np.asarray(self.accepted) / np.asarray(self.tried)
        return mean


class LevelRates(NamedTuple):
    """Acceptance of a level's moves at one rung, [B] or summed over the blocks; None for kinds that were not made.

    walk: of moves from where a block was.
    fitted: of independence proposals.
    score: energy scores of the scout's trajectories.
    common: of draws from the coordinates' common laws, [p].
    """

    walk: Rate | None = None
    fitted: Rate | None = None
    score: Rate | None = None
    common: Rate | None = None


class MomentSums(NamedTuple):
    """Sums over replicas of some x [R, p, B].

    sum: of x, [p, B].
    outer: of its products, [p, p, B], or of its squares, [p, B].
    weight: [B] of the replicas' weights, which are in the other sums too; None where all replicas count alike.
    """

    sum: Values
    outer: Values
    weight: Values | None = None


class SketchSums(NamedTuple):
    """Products of weighted x [R, p] and a = x U, U the tuning's sketch [p, k].

    along: a' a, [k, k].
    power: x' a, [p, k].
    """

    along: Values
    power: Values


class Sketch(NamedTuple):
    """What a metric of low rank is made of.

    states: of coordinates in units of the metric's diagonal.
    gradients: of gradients in the same units.
    """

    states: SketchSums
    gradients: SketchSums


class GradientSums(NamedTuple):
    """What is seen of the gradient g of a level's tempered density.

    moments: of g, about 0.
    steepness: the usual squared norm of g in units of the metric, with the force on u where it moves along.
    virial: mean of -x.g / p, which is 1 in equilibrium.
    sketch: where the metric is of low rank.
    """

    moments: MomentSums
    steepness: Values
    virial: Values
    sketch: Sketch | None = None


class LevelSums(NamedTuple):
    """What is seen of a level at one rung.

    states: of x - the tuning's mean.
    gradients: where the level follows them.
    quantiles: of each coordinate across blocks and replicas, where the level has common laws.
    information: mean over replicas of g g', [p, p, B], of the gradient g of the level's density given all other levels,
        where a walk asks for it.
    """

    states: MomentSums
    gradients: GradientSums | None = None
    quantiles: Values | None = None
    information: Values | None = None


class LadderSums(NamedTuple):
    """What swaps say of the ladder.

    energy: what beta multiplies, summed over sweeps and replicas, [rungs].
    flow: what swaps added to the log density of the cold replicas.
    stones: of the log evidence, where the likelihood alone is tempered and whole replicas travel.
    trips: round trips of the walkers since the stage began, where whole replicas travel.
    """

    energy: Values
    flow: Values
    stones: Stones | None = None
    trips: Values | None = None


class BatchSums(NamedTuple):
    """The finished batches of one batch level.

    sums: [p, B] by level.
    squares: of the batches' sums, [p, B] by level.
    """

    sums: ByLevel
    squares: ByLevel


class AccumulatedSums(NamedTuple):
    """What the accumulators of a shard hold, summed over its replicas.

    rounds: finished ones.
    sums: of the chains since the start, [p, B] by level.
    chain_squares: of the chains' sums since the start, [p, B] by level.
    chain_largest, chain_smallest: the largest and smallest of the chains' sums since the start, [p, B] by level.
    squares: of coordinates since this was last handed out, [p, B] by level. All of these are of events too, see
        protocol.events, of which counts of signs are among the squares alone.
    batches: by batch level, since this was last handed out.
    """

    rounds: int
    sums: ByLevel
    chain_squares: ByLevel
    chain_largest: ByLevel
    chain_smallest: ByLevel
    squares: ByLevel
    batches: tuple[BatchSums, ...]


class ChainSums(NamedTuple):
    """What the steps of a round say of every cold replica, [R] each; None where no kernel knows it.

    acceptance: of the leading level's moves, see ensemble.shard.chain_sums.
    trajectories: how many there were, of all levels.
    n_steps: their integrator steps.
    tree_depth: doublings of the deepest.
    divergences: how many of them diverged.
    step_size: of the last one of the leading level.
    energy: H where that one ended.
    failed: how many of the leading level's were nearly certain to be rejected, where it is moved by trajectories that
        double.
    """

    acceptance: Rate
    trajectories: Values | None = None
    n_steps: Values | None = None
    tree_depth: Values | None = None
    divergences: Values | None = None
    step_size: Values | None = None
    energy: Values | None = None
    failed: Values | None = None


class Whereabouts(NamedTuple):
    """Where the cold replicas of a shard stand in the watched coordinates, of which there are D, see protocol.watched.

    quartiles: over the replicas, [3, D].
    coordinate: the number of one in which a replica is outside the plan's range, [R]: the one that it is followed in
        where it still is, else the first; negative where it is inside in all.
    value: where it stands there, [R].
    """

    quartiles: Values
    coordinate: Values
    value: Values


class RoundStatistics(NamedTuple):
    """All that the coordinator is told of a shard after a round, O(d) numbers.

    lp: log density of every cold replica, [R].
    nonfinite: proposals without a finite density.
    gradients: [2], evaluations one after another, and those that all replicas needed, summed.
    rates: level -> of each rung that moved it.
    interweaving: of every move, [moves]; None in rounds that have none.
    swaps: level, or REPLICA_SWAP -> of each pair of neighbouring rungs, from cold to hot.
    ladder: where there are hot rungs.
    moments: level -> of each rung; empty where tuning is frozen.
    term_means: mean over the cold replicas of every term; empty where tuning is frozen.
    chains: of every cold replica.
    relocated: stragglers that took others' places; None where nobody looked for them.
    whereabouts: of the cold replicas; None where tuning is frozen, or no coordinate is looked at.
    volume: sum over coordinates of the log standard deviation over the cold replicas; NaN of one replica alone, 0 where
        tuning is frozen.
    jumps: level -> squared distances from the first to the last state of the round, summed over the cold replicas,
        [p, B]; where joint moves are weighed.
    accumulated: where the plan asks for them.
    infinite: level -> those of its proposals without a finite density where that was +inf; None where there are none.
    lessons: level with a network -> of each rung; where the plan asks for them.
    """

    lp: Values
    nonfinite: Values
    gradients: Values
    rates: dict[str, tuple[LevelRates, ...]]
    interweaving: Rate | None
    swaps: dict[str, tuple[Rate, ...]]
    ladder: LadderSums | None
    moments: dict[str, tuple[LevelSums, ...]]
    term_means: dict[str, Values]
    chains: ChainSums
    relocated: int | None = None
    whereabouts: Whereabouts | None = None
    volume: Values | float = 0.0
    jumps: Mapping[str, Values] | None = None
    accumulated: AccumulatedSums | None = None
    infinite: Mapping[str, int] | None = None
    lessons: Mapping[str, tuple[Lessons, ...]] | None = None


REPLICA_SWAP = "whole"
"""The name of swaps of whole replicas, beside those of levels' blocks."""


def summed(trees: Sequence[Tree]) -> Tree:
    """The sum of trees of arrays, in the order given, that of the shards: numbers are doubles."""
    total: Tree = jax.tree.map(_total, *trees)
    return total


def _total(first: Values, *others: Values) -> np.ndarray:
    total = np.array(first, float)
    for other in others:
        total += np.asarray(other)
    return total
