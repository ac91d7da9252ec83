"""Pure adaptation: from the shards' statistics of a round to the controls of the next. In NumPy and in shard order."""

import jax.numpy as jnp
import numpy as np

from ensemble.adaptation import pooled_metric
from ensemble.adaptation.moments import LevelMoments, Moments, summed
from ensemble.protocol.plans import Arrays
from ensemble.protocol.tuning import Controls, LevelControls, is_dense
from kernels.dynamics.metric import LowRank
from kernels.structure.discovery import Interweaving, Level, Structure

SCORE = 0.7
"""Energy score that scout step sizes are steered to."""
SHRINKAGE = 10.0
"""Pseudo-observations that pull a block's correlations towards zero."""
LEAST_USEFUL = 0.02
"""A move whose expected squared step is below this share of its parent's variance is not worth its evaluation."""
GOLDEN = (5.0**0.5 - 1.0) / 2.0
"""Multiples of it fill the unit interval evenly (Weyl's sequence)."""
ACCEPTANCE = {"hmc": 0.85, "nuts": 0.8, "pm_hmc": 0.85, "pm_nuts": 0.8, "pm_metropolis": 0.07}
"""Acceptance that kernels are steered to where it does not depend on the size of their blocks. pm_metropolis: a random
walk whose density is estimated anew at every proposal; at the best noise (a variance of 3.3 of the log estimate) the
best scale accepts that often (Sherlock, Thiery, Roberts and Rosenthal 2015, Annals of Statistics 43, 238-275). Noise
alone may reject more than a walk without noise should, whose rule would shrink the scale to nothing."""
STEEPEST = 2.0
"""Largest force, in units of the usual one; with room for 3 more, which is far out where p is small."""
CAREFUL = 0.3
"""Share of the gain for step sizes of trajectories, which begin near their place and oscillate where they overshoot."""
FITTED_ROUND = 6
"""First round of a phase of `equilibrate` with fitted proposals: before it the covariances are too uncertain."""


def rate(statistics: list[Arrays], name: str) -> np.ndarray:
    """Mean acceptance, NaN where nothing was tried."""
    tried = summed(statistics, f"{name}/1")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = summed(statistics, f"{name}/0") / tried
    return mean


def wanted_acceptance(level: Level) -> np.ndarray | float:
    """Acceptance that the moves of a level are steered to, of each block or all."""
    return ACCEPTANCE.get(level.move.kernel, target_acceptance(level.sizes))


def target_acceptance(sizes: np.ndarray) -> np.ndarray:
    """0.44 for one coordinate falling towards 0.234 (Gelman, Roberts and Gilks 1996)."""
    return 0.234 + 0.206 / sizes


def gain(round_: int) -> float:
    """Step of the stochastic approximation in a phase's round (a phase: a stage, or what follows its settling)."""
    return 3.0 / (1.0 + round_) ** 0.6


def steered(
    log_value: np.ndarray, seen: np.ndarray, wanted: np.ndarray | float, round_: int, share: float = 1.0
) -> np.ndarray:
    """One Robbins-Monro step where something was seen."""
    return np.where(np.isnan(seen), log_value, log_value + share * gain(round_) * (np.nan_to_num(seen) - wanted))


def covariance_factor(moments: Moments, previous: np.ndarray) -> np.ndarray:
    """Factor of the shrunk covariance of each block; a block without spread keeps its previous factor."""
    if moments.scatter.ndim == 2:
        variance = moments.scatter / moments.weight
        return np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), previous)
    width = len(moments.scatter)
    diagonal = np.eye(width)[:, :, None]
    covariance = moments.scatter * np.where(diagonal > 0, 1.0, moments.weight / (moments.weight + SHRINKAGE))
    covariance = covariance / moments.weight
    # Padding of narrow blocks has no spread: a unit there factors to a unit.
    padded = np.einsum("iib->ib", covariance) <= 0
    covariance = np.where(diagonal * padded[None] > 0, 1.0, covariance)
    factor = cholesky(covariance)
    return np.where(np.isfinite(factor).all(axis=(0, 1)), factor, previous)


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Lower factors of [p, p, B] matrices, NaN where one is not positive definite; no threads, no LAPACK."""
    width = len(matrices)
    factor = np.zeros_like(matrices)
    with np.errstate(invalid="ignore", divide="ignore"):
        for j in range(width):
            factor[j, j] = np.sqrt(matrices[j, j] - (factor[j, :j] ** 2).sum(axis=0))
            for i in range(j + 1, width):
                factor[i, j] = (matrices[i, j] - (factor[i, :j] * factor[j, :j]).sum(axis=0)) / factor[j, j]
    return factor


def adapt_scout(controls: Controls, statistics: list[Arrays], round_: int) -> Controls:
    """Step sizes of the trajectories and scales of the other levels' walks."""
    scout = {}
    for name, numbers in controls.scout.items():
        score = rate(statistics, f"score/{name}/0")
        scout[name] = {"step": np.exp(steered(np.log(numbers["step"]), score, SCORE, round_))}
    levels = dict(controls.levels)
    for name in levels:
        if f"walk/{name}/0/0" in statistics[0]:
            seen = rate(statistics, f"walk/{name}/0")
            scale = steered(levels[name][0].log_scale, seen, target_acceptance(np.asarray(2.0)), round_)
            levels[name] = (levels[name][0]._replace(log_scale=scale), *levels[name][1:])
    return controls._replace(scout=scout, levels=levels)


def adapt(
    controls: Controls,
    moments: LevelMoments,
    statistics: list[Arrays],
    structure: Structure,
    moves: tuple[Interweaving, ...],
    round_: int,
) -> Controls:
    """Scales, covariances, fitted proposals and their share, step sizes of the interweaving moves."""
    levels = {
        level.name: tuple(
            _adapt_level(old, moments, statistics, level, rung, round_)
            for rung, old in enumerate(controls.levels[level.name])
        )
        for level in structure.levels
    }
    steepest = bounds(structure, statistics, controls.steepest)
    controls = _with_sketches(controls._replace(levels=levels, steepest=steepest), moments, statistics)
    if not moves:
        return controls
    interweave = steered(controls.interweave, rate(statistics, "interweave"), 0.44, round_)
    return controls._replace(interweave=interweave)


def _with_sketches(controls: Controls, moments: LevelMoments, statistics: list[Arrays]) -> Controls:
    """The low-rank metrics, and the directions that the next round looks along."""
    levels, sketches = dict(controls.levels), dict(controls.sketch)
    for name, directions in controls.sketch.items():
        rungs, following = [], []
        for rung, old in enumerate(controls.levels[name]):
            known = moments[name][rung], moments[f"gradient/{name}"][rung]
            prefix = f"moments/sketch/{name}/{rung}"
            assert isinstance(old.factor, LowRank)
            factor, sketch = pooled_metric.low_rank(*known, old.factor, directions[rung], statistics, prefix)
            rungs.append(old._replace(factor=factor))
            following.append(sketch)
        levels[name], sketches[name] = tuple(rungs), np.stack(following)
    return controls._replace(levels=levels, sketch=sketches)


def _adapt_level(
    old: LevelControls, moments: LevelMoments, statistics: list[Arrays], level: Level, rung: int, round_: int
) -> LevelControls:
    seen, known = rate(statistics, f"walk/{level.name}/{rung}"), moments[level.name][rung]
    if level.move.gradients:
        scale = steered(old.log_scale, seen, wanted_acceptance(level), round_, CAREFUL)
        new = old._replace(log_scale=scale, mean=known.mean)
        if isinstance(old.factor, LowRank):
            return new
        factor = pooled_metric.factor(known, moments[f"gradient/{level.name}"][rung], old.factor)
        return new._replace(factor=factor)
    scale = steered(old.log_scale, seen, wanted_acceptance(level), round_)
    factor = covariance_factor(known, np.asarray(old.factor))
    mix = _mix(old.mix, statistics, level, rung, round_)
    return LevelControls(log_scale=scale, mean=known.mean, factor=factor, mix=mix)


def _mix(old: np.ndarray, statistics: list[Arrays], level: Level, rung: int, round_: int) -> np.ndarray:
    """Share of fitted proposals: half at first, then more where they are accepted, never without the random walk."""
    if level.move.kernel != "metropolis" or not level.leaf or not is_dense(level) or round_ < FITTED_ROUND:
        return np.zeros_like(old)
    accepted = rate(statistics, f"fitted/{level.name}/{rung}")
    wanted = np.clip(np.where(np.isnan(accepted), 0.5, accepted), 0.1, 0.7)
    return np.where(old == 0, 0.5, old + (wanted - old) * min(1.0, gain(round_)))


def bounds(structure: Structure, statistics: list[Arrays], before: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The largest forces of the next round, [rungs] for each level that follows the gradient: STEEPEST times the usual
    norm, that of equilibrium or, while the ensemble is still far from it, that of most replicas."""
    found = dict(before)
    for level in structure.levels:
        if level.name in before:
            usual = [
                np.mean([s[f"moments/steepness/{level.name}/{rung}"] for s in statistics])
                for rung in range(len(before[level.name]))
            ]
            found[level.name] = 3.0 + STEEPEST * np.sqrt(np.maximum(usual, level.width))
    return found


def trajectories(
    controls: Controls,
    structure: Structure,
    sweeps: int,
    round_: int,
    *,
    most: int,
    span: tuple[float, float],
    first: bool,
) -> dict[str, np.ndarray]:
    """The lengths of a round's trajectories, [rungs, sweeps] for each level that follows the gradient.

    NUTS: doublings, at most `most` and what the level allows. HMC: integrator steps, at most 2 to the power of those,
    of a time of pi / 2 in units of the metric, where an oscillator has forgotten its start; times a quasi-random factor
    from the span, the same for all replicas, lest a frequency be in step with it. first: the first round of a run, in
    which nothing moves: it measures the gradients at the starts.
    """
    found = {}
    for level in structure.levels:
        if not level.move.gradients:
            continue
        depth = min(most, level.move.max_depth)
        steps = np.exp([np.median(rung.log_scale) for rung in controls.levels[level.name]])
        if level.move.doubles:
            chosen = np.full((len(steps), sweeps), depth)
        else:
            numbers = round_ * sweeps + np.arange(sweeps)
            factor = span[0] + (span[1] - span[0]) * ((0.5 + numbers * GOLDEN) % 1.0)
            chosen = np.clip(np.rint(0.5 * np.pi * factor / steps[:, None]), 1, 2**depth).astype(np.int64)
        found[level.name] = np.zeros_like(chosen) if first else chosen
    return found


def schedule(sweeps: int, round_: int, useful: np.ndarray) -> np.ndarray:
    """The interweaving move of each sweep of a round: the useful ones in turn, `moves` (nothing) where there is none.

    A function of the round's number and frozen flags, never of the states: so any order is exact.
    """
    chosen = np.flatnonzero(useful)
    if not chosen.size:
        return np.full(sweeps, len(useful))
    return chosen[(np.arange(sweeps) + round_ * sweeps) % chosen.size]


def useful_moves(
    controls: Controls, moments: LevelMoments, seen: np.ndarray, structure: Structure, moves: tuple[Interweaving, ...]
) -> np.ndarray:
    """Which interweaving moves are worth their evaluation: E step^2 x acceptance against the parent's variance."""
    flags = []
    for number, move in enumerate(moves):
        level = next(level for level in structure.levels if move.parent in level.sites)
        variances = moments[level.name][0].scatter / moments[level.name][0].weight
        diagonal = np.einsum("iib->ib", variances) if variances.ndim == 3 else variances
        variance = float(level.scatter({}, jnp.asarray(diagonal))[move.parent])
        flags.append(np.exp(2 * controls.interweave[number]) * np.nan_to_num(seen[number]) > LEAST_USEFUL * variance)
    return np.asarray(flags, bool)


def carried(before: Controls, first: Controls, moments: LevelMoments, structure: Structure, *, anew: bool) -> Controls:
    """The controls of a new stage: what was learned, for as many rungs as the stage has, and betas as they were where
    that is as many as before.

    anew: step scales start from their defaults, in units of the ensemble's covariances.
    """
    levels = {}
    for structured in structure.levels:
        name, level = structured.name, []
        for rung, blank in enumerate(first.levels[name]):
            source = min(rung, len(before.levels[name]) - 1)
            old, known = before.levels[name][source], moments[name][source]
            if anew and not structured.move.gradients:
                factor = covariance_factor(known, np.asarray(old.factor))
                old = blank._replace(mean=known.mean, factor=factor)
            level.append(old)
        levels[name] = tuple(level)
    steepest, sketch = _kept(before.steepest, first.steepest), _kept(before.sketch, first.sketch)
    betas = before.betas if len(before.betas) == len(first.betas) else first.betas
    first = first._replace(levels=levels, betas=betas, interweave=before.interweave)
    return first._replace(steepest=steepest, sketch=sketch)


def _kept(before: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays [rungs, ...] for as many rungs as the stage has."""
    return {name: known[np.minimum(np.arange(len(first[name])), len(known) - 1)] for name, known in before.items()}
