"""Pure adaptation: from the shards' statistics of a round to the tuning of the next. In NumPy and in shard order."""

import numpy as np

from ensemble.adaptation import pooled_metric
from ensemble.adaptation.moments import LevelMoments
from ensemble.adaptation.steering import rate, steered, target_acceptance
from ensemble.protocol.plans import Arrays
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


def adapt_scout(tuning: TuningState, statistics: list[Arrays], round_: int) -> TuningState:
    """Step sizes of the trajectories and scales of the other levels' walks."""
    scout = {}
    for name, numbers in tuning.scout.items():
        score = rate(statistics, f"score/{name}/0")
        scout[name] = {"step_size": np.exp(steered(np.log(numbers["step_size"]), score, SCORE, round_))}
    levels = dict(tuning.levels)
    for name in levels:
        if f"walk/{name}/0/0" in statistics[0]:
            seen = rate(statistics, f"walk/{name}/0")
            scale = steered(levels[name][0].log_scale, seen, target_acceptance(np.asarray(2.0)), round_)
            levels[name] = (levels[name][0]._replace(log_scale=scale), *levels[name][1:])
    return tuning._replace(scout=scout, levels=levels)


def adapt(
    tuning: TuningState, moments: LevelMoments, statistics: list[Arrays], spec: SweepSpec, round_: int
) -> TuningState:
    """What each level's kernel learns of the round, largest forces, sketches, step sizes of the interweaving moves."""
    kernels = level_kernels(spec)
    levels = {
        name: tuple(
            kernel.adapted(old, _seen(kernel, moments, statistics, rung, round_))
            for rung, old in enumerate(tuning.levels[name])
        )
        for name, kernel in kernels.items()
    }
    steepest = bounds(kernels, statistics, tuning.steepest)
    tuning = _with_sketches(tuning._replace(levels=levels, steepest=steepest), moments, statistics)
    if not spec.interweavings:
        return tuning
    interweave = steered(tuning.interweave, rate(statistics, "interweave"), INTERWEAVING, round_)
    return tuning._replace(interweave=interweave)


def _seen(kernel: LevelKernel, moments: LevelMoments, statistics: list[Arrays], rung: int, round_: int) -> Seen:
    """What a kernel adapts to at a rung."""
    name = kernel.level.name
    walk, fitted = (rate(statistics, f"{kind}/{name}/{rung}") for kind in ("walk", "fitted"))
    gradients = moments[f"gradient/{name}"][rung] if kernel.needs.gradient else None
    return Seen(walk, fitted, moments[name][rung], gradients, round_)


def bounds(
    kernels: dict[str, LevelKernel], statistics: list[Arrays], before: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The largest forces of the next round, [rungs] for each level that follows the gradient."""
    found = dict(before)
    for name, kernel in kernels.items():
        if isinstance(kernel, TrajectoryKernel):
            usual = [
                np.mean([s[f"moments/steepness/{name}/{rung}"] for s in statistics])
                for rung in range(len(before[name]))
            ]
            found[name] = kernel.steepest(np.asarray(usual))
    return found


def _with_sketches(tuning: TuningState, moments: LevelMoments, statistics: list[Arrays]) -> TuningState:
    """The low-rank metrics, and the directions that the next round looks along."""
    levels, sketches = dict(tuning.levels), dict(tuning.sketch)
    for name, directions in tuning.sketch.items():
        rungs, following = [], []
        for rung, old in enumerate(tuning.levels[name]):
            known = moments[name][rung], moments[f"gradient/{name}"][rung]
            prefix = f"moments/sketch/{name}/{rung}"
            assert isinstance(old.factor, LowRank)
            factor, sketch = pooled_metric.low_rank(*known, old.factor, directions[rung], statistics, prefix)
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
) -> dict[str, np.ndarray]:
    """The lengths of a round's trajectories, [rungs, sweeps] for each level that follows the gradient.

    depth_limit: doublings allowed. length_range: of the factor on the usual length of trajectories that do not double.
    first: the first round of a run, in which nothing moves: it measures the gradients at the starts.
    """
    numbers, found = round_ * sweeps + np.arange(sweeps), {}
    for name, kernel in level_kernels(spec).items():
        if isinstance(kernel, TrajectoryKernel):
            step_sizes = np.exp([np.median(rung.log_scale) for rung in tuning.levels[name]])
            chosen = kernel.lengths(step_sizes, numbers, depth_limit, length_range)
            found[name] = np.zeros_like(chosen) if first else chosen
    return found


def carried(
    before: TuningState, first: TuningState, moments: LevelMoments, spec: SweepSpec, *, anew: bool
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
            known.append(kernel.restarted(old, moments[name][source]) if anew else old)
        levels[name] = tuple(known)
    steepest, sketch = _kept(before.steepest, first.steepest), _kept(before.sketch, first.sketch)
    betas = before.betas if len(before.betas) == len(first.betas) else first.betas
    first = first._replace(levels=levels, betas=betas, interweave=before.interweave)
    return first._replace(steepest=steepest, sketch=sketch)


def _kept(before: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays [rungs, ...] for as many rungs as the stage has."""
    return {name: known[np.minimum(np.arange(len(first[name])), len(known) - 1)] for name, known in before.items()}
