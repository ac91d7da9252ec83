"""Pure adaptation: from the shards' statistics of a round to the tuning of the next. In NumPy and in shard order."""

import numpy as np

from ensemble.adaptation import pooled_metric
from ensemble.adaptation.common_laws import schedule
from ensemble.adaptation.moments import EnsembleMoments, spread_of
from ensemble.adaptation.steering import steered, target_acceptance
from ensemble.protocol.statistics import GradientSums, LevelRates, RoundStatistics, summed
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.shard.level_kernels.base import LevelKernel, Seen
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.level_kernels.trajectories import TrajectoryKernel
from kernels.dynamics.metric import LowRank

SCORE = 0.7
"""Energy score that scout step sizes are steered to."""
INTERWEAVING = 0.44
"""Acceptance that interweaving moves are steered to: that of a random walk in one coordinate."""


def adapt_scout(tuning: TuningState, statistics: list[RoundStatistics], round_: int) -> TuningState:
    """Step sizes of the trajectories and scales of the other levels' walks."""
    scout = {}
    for name, numbers in tuning.scout.items():
        score = _rates(statistics, name, 0)["score"]
        scout[name] = {"step_size": np.exp(steered(np.log(numbers["step_size"]), score, SCORE, round_))}
    levels = dict(tuning.levels)
    for name in levels:
        # Joint levels rest while the scout runs.
        seen = _rates(statistics, name, 0).get("walk") if name in statistics[0].rates else None
        if seen is not None:
            scale = steered(levels[name][0].log_scale, seen, target_acceptance(np.asarray(2.0)), round_)
            levels[name] = (levels[name][0]._replace(log_scale=scale), *levels[name][1:])
    return tuning._replace(scout=scout, levels=levels)


def adapt(
    tuning: TuningState,
    moments: EnsembleMoments,
    statistics: list[RoundStatistics],
    spec: SweepSpec,
    round_: int,
    care: int = 0,
) -> TuningState:
    """What each level's kernel learns of the round, largest forces, sketches, step sizes of the interweaving moves.

    care: how often trajectories were found to diverge, each time of which halves what they may be rejected.
    """
    kernels = level_kernels(spec)
    levels = {
        name: tuple(
            kernel.adapted(old, _seen(kernel, moments, statistics, rung, round_)._replace(care=care))
            for rung, old in enumerate(tuning.levels[name])
        )
        for name, kernel in kernels.items()
    }
    steepest = bounds(kernels, statistics, tuning.steepest)
    tuning = _with_sketches(tuning._replace(levels=levels, steepest=steepest), moments, statistics)
    if not spec.interweavings:
        return tuning
    seen = summed([shard.interweaving for shard in statistics])
    assert seen is not None
    interweave = steered(tuning.interweave, seen.mean(), INTERWEAVING, round_)
    return tuning._replace(interweave=interweave)


def _seen(
    kernel: LevelKernel, moments: EnsembleMoments, statistics: list[RoundStatistics], rung: int, round_: int
) -> Seen:
    """What a kernel adapts to at a rung."""
    name = kernel.level.name
    rates = _rates(statistics, name, rung)
    gradients = moments.gradients[name][rung] if kernel.needs.gradient else None
    sums = [shard.moments[name][rung] for shard in statistics if name in shard.moments]
    return Seen(
        rates["walk"],
        rates["fitted"],
        moments.states[name][rung],
        gradients,
        round_,
        quantiles=tuple(np.asarray(seen.quantiles) for seen in sums if seen.quantiles is not None),
        common=rates.get("common"),
        information=tuple(np.asarray(seen.information) for seen in sums if seen.information is not None),
    )


def _rates(statistics: list[RoundStatistics], level: str, rung: int) -> dict[str, np.ndarray]:
    """Mean acceptance over all shards, by kind of move, of the kinds that were made."""
    total: LevelRates = summed([shard.rates[level][rung] for shard in statistics])
    return {kind: rate.mean() for kind, rate in total._asdict().items() if rate is not None}


def _gradients(statistics: list[RoundStatistics], level: str, rung: int) -> list[GradientSums]:
    """What each shard saw of the gradients of a level that follows them."""
    found = [shard.moments[level][rung].gradients for shard in statistics]
    return [sums for sums in found if sums is not None]


def bounds(
    kernels: dict[str, LevelKernel], statistics: list[RoundStatistics], before: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The largest forces of the next round, [rungs] for each level that follows the gradient."""
    found = dict(before)
    for name, kernel in kernels.items():
        if isinstance(kernel, TrajectoryKernel):
            usual = [
                np.mean([sums.steepness for sums in _gradients(statistics, name, rung)])
                for rung in range(len(before[name]))
            ]
            found[name] = kernel.steepest(np.asarray(usual))
    return found


def _with_sketches(tuning: TuningState, moments: EnsembleMoments, statistics: list[RoundStatistics]) -> TuningState:
    """The low-rank metrics, and the directions that the next round looks along."""
    levels, sketches = dict(tuning.levels), dict(tuning.sketch)
    for name, directions in tuning.sketch.items():
        rungs, following = [], []
        for rung, old in enumerate(tuning.levels[name]):
            known = moments.states[name][rung], moments.gradients[name][rung]
            seen = summed([sums.sketch for sums in _gradients(statistics, name, rung)])
            assert isinstance(old.factor, LowRank)
            assert seen is not None
            factor, sketch = pooled_metric.low_rank(*known, old.factor, directions[rung], seen)
            rungs.append(old._replace(factor=factor))
            following.append(sketch)
        levels[name], sketches[name] = tuple(rungs), np.stack(following)
    return tuning._replace(levels=levels, sketch=sketches)


def trajectory_lengths(
    tuning: TuningState,
    spec: SweepSpec,
    sweeps: int,
    round_: int,
    *,
    depth_limit: int,
    length_range: tuple[float, float],
    first: bool,
    joins: bool = True,
) -> dict[str, np.ndarray]:
    """The lengths of a round's trajectories, [rungs, sweeps] for each level that follows the gradient.

    depth_limit: doublings allowed. length_range: of the factor on the usual length of trajectories that do not double.
    first: the first round of a run, in which nothing moves: it measures the gradients at the starts. joins: whether
    joint moves end the round; its other sweeps have none.
    """
    numbers, found, joint = round_ * sweeps + np.arange(sweeps), {}, {level.name for level in spec.joint}
    for name, kernel in level_kernels(spec).items():
        if isinstance(kernel, TrajectoryKernel):
            step_sizes = np.exp([np.median(rung.log_scale) for rung in tuning.levels[name]])
            chosen = kernel.lengths(step_sizes, numbers, depth_limit, length_range)
            ends = joins & (np.arange(sweeps) == sweeps - 1) if name in joint else np.ones(sweeps, bool)
            found[name] = np.where(ends & (not first), chosen, 0)
    return found


def common_draws(tuning: TuningState, sweeps: int, round_: int) -> dict[str, np.ndarray]:
    """The coordinates that the sweeps of a round draw from common laws, [sweeps] for each level that has some: what the
    cold rung's say, at all rungs."""
    cold = {name: rungs[0].common for name, rungs in tuning.levels.items()}
    return {name: schedule(law, sweeps, round_) for name, law in cold.items() if law is not None}


def carried(
    before: TuningState, first: TuningState, moments: EnsembleMoments, spec: SweepSpec, *, anew: bool
) -> TuningState:
    """The tuning of a new stage: what was learned, for as many rungs as the stage has, and betas as they were where
    that is as many as before.

    anew: kernels adapt afresh to the ensemble as it is.
    """
    levels = {}
    for name, kernel in level_kernels(spec).items():
        known: list[LevelTuning] = []
        for rung in range(len(first.levels[name])):
            source = min(rung, len(before.levels[name]) - 1)
            old = before.levels[name][source]
            known.append(kernel.restarted(old, moments.states[name][source]) if anew else old)
        levels[name] = tuple(known)
    steepest, sketch = _kept(before.steepest, first.steepest), _kept(before.sketch, first.sketch)
    betas = before.betas if len(before.betas) == len(first.betas) else first.betas
    first = first._replace(levels=levels, betas=betas, interweave=before.interweave)
    spread = {name: spread_of(moments.states[name][0]) for name in first.spread}
    return first._replace(steepest=steepest, sketch=sketch, spread=spread)


def _kept(before: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays [rungs, ...] for as many rungs as the stage has."""
    return {name: known[np.minimum(np.arange(len(first[name])), len(known) - 1)] for name, known in before.items()}
