"""What the statistics of rounds say of the ensemble: acceptance rates, traces, virials, evaluations, stragglers."""

from collections import Counter
from collections.abc import Mapping

import jax
import numpy as np

from ensemble.protocol.stages import Stage
from ensemble.protocol.statistics import Rate, RoundStatistics, summed
from ensemble.run.ladder import Pair
from kernels.structure.levels import Level

# The keys of the ledger's rates, which are names in JSON.


def level_key(kind: str, level: str, rung: int) -> str:
    """Of a kind of move (a field of LevelRates)."""
    return f"{kind}/{level}/{rung}"


def move_key(move: int) -> str:
    """Of an interweaving move."""
    return f"interweave/{move}"


SWAP = "swap/"
"""What the keys of swaps begin with."""


def swap_key(level: str, rung: int) -> str:
    """Of swaps between a rung and the next."""
    return f"{SWAP}{level}/{rung}-{rung + 1}"


def _keyed(statistics: list[RoundStatistics]) -> dict[str, Rate]:
    """Acceptance in all shards together, by the ledger's keys."""
    levels, swaps, moves = summed([(shard.rates, shard.swaps, shard.interweaving) for shard in statistics])
    found: dict[str, Rate] = {}
    for level, rungs in levels.items():
        for rung, rates in enumerate(rungs):
            known = {kind: rate for kind, rate in rates._asdict().items() if rate is not None}
            found |= {level_key(kind, level, rung): rate for kind, rate in known.items()}
    found |= {swap_key(level, rung): rate for level, pairs in swaps.items() for rung, rate in enumerate(pairs)}
    if moves is not None:
        found |= {move_key(number): Rate(*pair) for number, pair in enumerate(zip(*moves, strict=True))}
    return found


def add_rates(rates: Mapping[str, Pair], statistics: list[RoundStatistics]) -> dict[str, Pair]:
    """Add a round's acceptance (sums and counts, over blocks and shards) to those of the stage.

    That of interweaving is kept by move, everything else as one number a level and rung.
    """
    added = dict(rates)
    for key, rate in _keyed(statistics).items():
        old = added.get(key, (0.0, 0.0))
        added[key] = (old[0] + float(np.sum(rate.accepted)), old[1] + float(np.sum(rate.tried)))
    return added


def trace_of(statistics: RoundStatistics) -> tuple[float, ...]:
    """A superchain's row of the ledger's trace: the mean over its replicas of the log density, then of each term."""
    terms = [float(value) for _, value in sorted(statistics.term_means.items())]
    return (float(statistics.lp.mean()), *terms)


def masses_of(statistics: list[RoundStatistics]) -> tuple[float, ...]:
    """The log mass of where each superchain is, up to a constant: mean log density plus log volume. One whose replicas
    have not parted yet has the largest volume that is known, the benefit of the doubt; where none is known, and nothing
    moves at all, the log density alone counts."""
    heights = np.asarray([shard.lp.mean() for shard in statistics], float)
    volumes = np.asarray([shard.volume for shard in statistics], float)
    known = np.isfinite(volumes)
    largest = volumes[known].max() if known.any() else 0.0
    return tuple(float(mass) for mass in heights + np.where(known, volumes, largest))


def heights_of(statistics: list[RoundStatistics]) -> np.ndarray:
    """Log densities of all cold replicas of the run."""
    return np.concatenate([np.asarray(shard.lp, float) for shard in statistics])


def add_infinite(infinite: Mapping[str, int], statistics: list[RoundStatistics]) -> dict[str, int]:
    """Add a round's proposals with a log density of +inf to those of their levels."""
    found = Counter(infinite)
    for shard in statistics:
        found.update(shard.infinite or {})
    return dict(found)


def without_density(statistics: RoundStatistics) -> int:
    """Proposals of a round outside the support, or where the density is not a number."""
    return int(statistics.nonfinite) - sum((statistics.infinite or {}).values())


def infinite_sentence(infinite: Mapping[str, int], levels: tuple[Level, ...]) -> str:
    """What a log density of +inf means, with where it is."""
    where = "; ".join(
        f"{infinite[level.name]:,} proposals of level {level.name!r} (sites {', '.join(level.sites)}; terms "
        f"{', '.join(level.terms)})"
        for level in levels
        if level.name in infinite
    )
    return (
        f"the log density is +inf at {where}: a mistake of the model, as a density that has a finite integral is "
        "infinite nowhere that chance comes to: a division by 0, a logarithm of a number that overflows, a sign. Such "
        "points are rejected, which leaves out what the model may mean there."
    )


def has_finite_moments(statistics: RoundStatistics) -> bool:
    """Whether no sum over a superchain's states or gradients has overflowed."""
    return all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(statistics.moments))


def virial_of(statistics: RoundStatistics) -> tuple[float, ...]:
    """A superchain's mean virial -x.g / p of each level that follows the gradient, at the cold rung."""
    found = (rungs[0].gradients for _, rungs in sorted(statistics.moments.items()))
    return tuple(float(gradients.virial) for gradients in found if gradients is not None)


def relocated_in(statistics: list[RoundStatistics]) -> tuple[int, ...]:
    """How many stragglers of all shards a round of the scout stage relocated; nothing of another round."""
    counts = [shard.relocated for shard in statistics if shard.relocated is not None]
    return (sum(counts),) if counts else ()


def add_gradients(
    gradients: Mapping[str, Pair], stage: Stage, statistics: list[RoundStatistics], replicas: int
) -> dict[str, Pair]:
    """Add a round's evaluations of the gradient to those of its stage: the mean over shards of those in lock-step, the
    mean over replicas of their own. replicas: of a shard."""
    lockstep, own = (float(np.mean([shard.gradients[part] for shard in statistics])) for part in (0, 1))
    before = gradients.get(stage.name, (0.0, 0.0))
    return {**gradients, stage.name: (before[0] + lockstep, before[1] + own / replicas)}


def add_divergences(
    divergences: Mapping[str, tuple[int, int]], stage: Stage, statistics: list[RoundStatistics]
) -> dict[str, tuple[int, int]]:
    """Add a round's divergent trajectories, and all of them, to those of its stage; nothing where there are none."""
    seen = diverged_in(statistics)
    if seen is None:
        return dict(divergences)
    before = divergences.get(stage.name, (0, 0))
    return {**divergences, stage.name: (before[0] + seen[0], before[1] + seen[1])}


def diverged_in(statistics: list[RoundStatistics]) -> tuple[int, int] | None:
    """A round's divergent trajectories of the cold replicas, and all of them; None where there are none."""
    diverged, tried = summed([(shard.chains.divergences, shard.chains.trajectories) for shard in statistics])
    return None if diverged is None or tried is None else (int(np.sum(diverged)), int(np.sum(tried)))


def failed_in(statistics: list[RoundStatistics]) -> tuple[int, int] | None:
    """A round's trajectories of the cold replicas that were nearly certain to be rejected, and all of the same level;
    None where none of them double."""
    failed, tried = summed([(shard.chains.failed, shard.chains.acceptance.tried) for shard in statistics])
    return None if failed is None else (int(np.sum(failed)), int(np.sum(tried)))


def added_pairs(before: tuple[int, int], seen: tuple[int, int] | None) -> tuple[int, int]:
    """Counts with those of a round, where there are any."""
    return before if seen is None else (before[0] + seen[0], before[1] + seen[1])


def interweaving_rates(rates: Mapping[str, Pair], moves: int) -> np.ndarray:
    """Mean acceptance of every interweaving move, NaN where it was not tried."""
    pairs = [rates.get(move_key(move), (0.0, 0.0)) for move in range(moves)]
    return np.asarray([accepted / tried if tried else np.nan for accepted, tried in pairs])


def mean_of(pair: Pair) -> float | None:
    """The mean of a sum and a count, None where nothing was counted."""
    return pair[0] / pair[1] if pair[1] else None


def acceptance_by_level(rates: Mapping[str, Pair], levels: tuple[Level, ...]) -> dict[str, float]:
    """Acceptance of the cold replicas' moves by level: walk and fitted together, or the scout's score."""
    found = {}
    for level in levels:
        pairs = [rates[n] for kind in ("walk", "fitted", "score") if (n := level_key(kind, level.name, 0)) in rates]
        value = mean_of((sum(p[0] for p in pairs), sum(p[1] for p in pairs)))
        if value is not None:
            found[level.name] = value
    return found


def swap_rates(rates: Mapping[str, Pair]) -> dict[str, float]:
    """Acceptance of swaps by "LEVEL/r-s": of a level's blocks, or of whole replicas, between the rungs r and s."""
    found = {name.removeprefix(SWAP): mean_of(pair) for name, pair in rates.items() if name.startswith(SWAP)}
    return {name: value for name, value in found.items() if value is not None}
