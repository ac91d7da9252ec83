"""Pure adaptation: from the shards' statistics of a round to the controls of the next. In NumPy and in shard order."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ensemble.controls import Controls, LevelControls, is_dense
from ensemble.messages import Arrays
from kernels.structure import Interweaving, Level, Structure

SCORE = 0.7
"""Energy score that scout step sizes are steered to."""
SHRINKAGE = 10.0
"""Pseudo-observations that pull a block's correlations towards zero."""
LEAST_USEFUL = 0.02
"""A move whose expected squared step is below this share of its parent's variance is not worth its evaluation."""
FITTED_ROUND = 6
"""First round of a phase of `equilibrate` with fitted proposals: before it the covariances are too uncertain."""


class Moments(NamedTuple):
    """Forgetting moments of a level's blocks at one rung: weight, mean [p, B], scatter [p, p, B] or [p, B]."""

    weight: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray


LevelMoments = dict[str, tuple[Moments, ...]]


def first_moments(controls: Controls) -> LevelMoments:
    """Before any round."""
    return {
        name: tuple(Moments(np.zeros(()), np.zeros_like(c.mean), np.zeros_like(c.factor)) for c in rungs)
        for name, rungs in controls.levels.items()
    }


def summed(statistics: list[Arrays], name: str) -> np.ndarray:
    """One statistic summed over shards, in shard order."""
    total = np.array(statistics[0][name], float)
    for arrays in statistics[1:]:
        total += arrays[name]
    return total


def rate(statistics: list[Arrays], name: str) -> np.ndarray:
    """Mean acceptance, NaN where nothing was tried."""
    tried = summed(statistics, f"{name}/1")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = summed(statistics, f"{name}/0") / tried
    return mean


def target_acceptance(sizes: np.ndarray) -> np.ndarray:
    """0.44 for one coordinate falling towards 0.234 (Gelman, Roberts and Gilks 1996)."""
    return 0.234 + 0.206 / sizes


def gain(round_: int) -> float:
    """Step of the stochastic approximation in a phase's round (a phase: a stage, or what follows its settling)."""
    return 3.0 / (1.0 + round_) ** 0.6


def steered(log_value: np.ndarray, seen: np.ndarray, wanted: np.ndarray | float, round_: int) -> np.ndarray:
    """One Robbins-Monro step where something was seen."""
    return np.where(np.isnan(seen), log_value, log_value + gain(round_) * (np.nan_to_num(seen) - wanted))


def absorb_moments(
    moments: LevelMoments, controls: Controls, statistics: list[Arrays], replicas: int, round_: int
) -> LevelMoments:
    """Merge a round's moments (Chan, Golub and LeVeque 1983), forgetting so that about the last third counts."""
    keep = max(0.0, 1.0 - 3.0 / (round_ + 3.0))
    count = replicas * len(statistics)
    merged = {}
    for name, rungs in moments.items():
        level = []
        for rung, old in enumerate(rungs):
            prefix = f"moments/{name}/{rung}"
            if f"{prefix}/sum" not in statistics[0]:
                level.append(old)
                continue
            offset = summed(statistics, f"{prefix}/sum") / count
            scatter = summed(statistics, f"{prefix}/outer") - count * _square(offset, old.scatter.ndim)
            level.append(_merge(old, keep, count, controls.levels[name][rung].mean + offset, scatter))
        merged[name] = tuple(level)
    return merged


def _square(x: np.ndarray, ndim: int) -> np.ndarray:
    return x[:, None] * x[None, :] if ndim == 3 else x**2


def _merge(old: Moments, keep: float, count: int, mean: np.ndarray, scatter: np.ndarray) -> Moments:
    before = keep * old.weight
    weight = before + count
    delta = mean - old.mean
    scatter = keep * old.scatter + scatter + before * count / weight * _square(delta, scatter.ndim)
    return Moments(weight, old.mean + delta * count / weight, scatter)


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
            levels[name] = (_walk_scale(levels[name][0], seen, round_), *levels[name][1:])
    return controls._replace(scout=scout, levels=levels)


def _walk_scale(level: LevelControls, seen: np.ndarray, round_: int, sizes: np.ndarray | float = 2.0) -> LevelControls:
    return level._replace(log_scale=steered(level.log_scale, seen, target_acceptance(np.asarray(sizes)), round_))


def adapt_equilibrate(
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
            _adapt_level(old, moments[level.name][rung], statistics, level, rung, round_)
            for rung, old in enumerate(controls.levels[level.name])
        )
        for level in structure.levels
    }
    if not moves:
        return controls._replace(levels=levels)
    interweave = steered(controls.interweave, rate(statistics, "interweave"), 0.44, round_)
    return controls._replace(levels=levels, interweave=interweave)


def _adapt_level(
    old: LevelControls, moments: Moments, statistics: list[Arrays], level: Level, rung: int, round_: int
) -> LevelControls:
    walk = rate(statistics, f"walk/{level.name}/{rung}")
    new = _walk_scale(old, walk, round_, level.sizes)
    factor = covariance_factor(moments, old.factor)
    return new._replace(mean=moments.mean, factor=factor, mix=_mix(old.mix, statistics, level, rung, round_))


def _mix(old: np.ndarray, statistics: list[Arrays], level: Level, rung: int, round_: int) -> np.ndarray:
    """Share of fitted proposals: half at first, then more where they are accepted, never without the random walk."""
    if not level.leaf or not is_dense(level) or round_ < FITTED_ROUND:
        return np.zeros_like(old)
    accepted = rate(statistics, f"fitted/{level.name}/{rung}")
    wanted = np.clip(np.where(np.isnan(accepted), 0.5, accepted), 0.1, 0.7)
    return np.where(old == 0, 0.5, old + (wanted - old) * min(1.0, gain(round_)))


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


def carried(before: Controls, first: Controls, moments: LevelMoments, *, anew: bool) -> Controls:
    """The controls of a new stage: what was learned, for as many rungs as the stage has.

    anew: step scales start from their defaults, in units of the ensemble's covariances.
    """
    levels = {}
    for name, rungs in first.levels.items():
        level = []
        for rung, blank in enumerate(rungs):
            source = min(rung, len(before.levels[name]) - 1)
            old, known = before.levels[name][source], moments[name][source]
            factor = covariance_factor(known, old.factor)
            level.append(blank._replace(mean=known.mean, factor=factor) if anew else old)
        levels[name] = tuple(level)
    return first._replace(levels=levels, interweave=before.interweave)


def extended(moments: LevelMoments, controls: Controls) -> LevelMoments:
    """The moments for the rungs that the controls have: new rungs start as the hottest known."""
    return {
        name: tuple(moments[name][min(r, len(moments[name]) - 1)] for r in range(len(rungs)))
        for name, rungs in controls.levels.items()
    }
