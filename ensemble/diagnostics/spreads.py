"""How wide the ensemble is in each coordinate, by what a round of warm-up says, and which coordinates are widest."""

import jax.numpy as jnp
import numpy as np

from ensemble.errors import MaxwellError
from ensemble.protocol.statistics import MomentSums, RoundStatistics
from kernels.structure.levels import Level, Structure

NAMED = 6
"""Coordinates that a message names at most."""

ROUNDING = 1e-12
"""Of the square of a mean, below which a variance about it is not known."""

AS_WIDE = np.log(1e3)
"""A coordinate this much narrower than the widest is not named beside it."""


class ImproperPosterior(MaxwellError):
    """The ensemble spreads without end: there is no posterior to sample."""


def largest_spreads(statistics: list[RoundStatistics], structure: Structure, replicas: int) -> tuple[float, ...]:
    """Of each level the largest log spread of a coordinate; NaN where nothing is known. replicas: of a shard."""
    return tuple(_largest(log_spread(statistics, level, replicas)) for level in structure.levels)


def start_spreads(statistics: list[RoundStatistics], structure: Structure, replicas: int) -> tuple[float, ...]:
    """Of each level the largest log standard deviation of the superchains' means after the first round, at least 0: as
    far as the starts lie from each other, or as the unit of the coordinates."""
    found = []
    for level in structure.levels:
        sums = [_cold(shard, level) for shard in statistics]
        means = np.asarray([_mean(one, replicas) for one in sums if one is not None])
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.log(means.std(axis=0)) if len(means) else np.zeros(1)
        found.append(float(np.max(spread, initial=0.0, where=np.isfinite(spread))))
    return tuple(found)


def log_spread(statistics: list[RoundStatistics], level: Level, replicas: int) -> np.ndarray:
    """Of every coordinate of a level [p, B] the mean over superchains of the log of its standard deviation within them,
    which one that is far out does not decide; NaN where it is known of none."""
    total, known = np.zeros((level.width, level.n_blocks)), np.zeros((level.width, level.n_blocks))
    for shard in statistics:
        if (sums := _cold(shard, level)) is None:
            continue
        weight = replicas if sums.weight is None else np.asarray(sums.weight)
        outer = np.asarray(sums.outer)
        squares = np.einsum("iib->ib", outer) if outer.ndim == 3 else outer
        with np.errstate(all="ignore"):
            about, square = squares / weight, _mean(sums, replicas) ** 2
            # What is left of a difference of its own rounding is no variance.
            found = 0.5 * np.log(np.where(about - square > ROUNDING * square, about - square, np.nan))
        finite = np.isfinite(found)
        total, known = total + np.where(finite, found, 0.0), known + finite
    with np.errstate(invalid="ignore"):
        spread: np.ndarray = total / known
    return spread


def improper(statistics: list[RoundStatistics], levels: list[Level], replicas: int) -> ImproperPosterior:
    """What a user is told of a posterior whose spread in these levels has no end."""
    named = [name for level in levels for name in _widest(level, log_spread(statistics, level, replicas))]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ImproperPosterior(
        f"the posterior seems improper: the ensemble spreads without end in {', '.join(named[:NAMED])}{more}, by "
        "now to more than 1e8 times the width that it began with. The log density does not fall there, or too "
        "slowly to have a finite integral: give these parameters proper priors, and see whether the data say anything "
        "about them (a term left out, parameters that enter as a sum alone)."
    )


def still_growing(levels: list[Level]) -> str:
    """What a user is told where warm-up ends before the ensemble has found its width."""
    sites = ", ".join(site for level in levels for site in level.sites)
    return (
        f"warm-up ended while the ensemble was still spreading, in some of {sites}: the posterior is improper there, "
        "or far wider than its starts. See whether these parameters have proper priors; then raise "
        "equilibrate.max_rounds, or start wider (start.radius)."
    )


def _widest(level: Level, spread: np.ndarray) -> list[str]:
    """The coordinates of a level that are about as wide as the widest, by site and index."""
    by_site = level.scatter({}, jnp.asarray(np.where(np.isfinite(spread), spread, -np.inf)))
    limit = _largest(spread) - AS_WIDE
    wide = {site: np.argwhere(np.asarray(by_site[site]) >= limit).tolist() for site in level.sites}
    return [f"{site}{where or ''}" for site, found in wide.items() for where in found]


def _largest(spread: np.ndarray) -> float:
    return float(np.nanmax(spread)) if np.isfinite(spread).any() else float("nan")


def _cold(shard: RoundStatistics, level: Level) -> MomentSums | None:
    """What a shard says of a level's cold replicas."""
    rungs = shard.moments.get(level.name, ())
    return rungs[0].states if rungs else None


def _mean(sums: MomentSums, replicas: int) -> np.ndarray:
    """Of the coordinates about the tuning's mean, which is the same in all superchains."""
    return np.asarray(sums.sum) / (replicas if sums.weight is None else np.asarray(sums.weight))
