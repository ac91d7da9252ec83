"""What the statistics of rounds say of the ensemble: acceptance rates, traces, virials, evaluations, stragglers."""

import re
from collections.abc import Mapping

import numpy as np

from ensemble.protocol.plans import Arrays
from ensemble.protocol.stages import Stage
from ensemble.run.ladder import Pair
from kernels.structure.levels import Structure

RATE = re.compile(r"(?P<name>(?:walk|fitted|score|swap|interweave)(?:/.+)?)/(?P<part>[01])$")


def trace_of(statistics: Arrays) -> tuple[float, ...]:
    """A superchain's row of the ledger's trace: the mean over its replicas of the log density, then of each term."""
    terms = [float(value) for name, value in sorted(statistics.items()) if name.startswith("term/")]
    return (float(statistics["lp"].mean()), *terms)


def add_rates(rates: Mapping[str, Pair], statistics: list[Arrays]) -> dict[str, Pair]:
    """Add a round's acceptance (sums and counts, over blocks and shards) to those of the stage.

    interweave is kept by move, everything else as one number a level and rung.
    """
    added = dict(rates)
    for name in statistics[0]:
        match = RATE.match(name)
        if match is None or match["part"] == "1":
            continue
        pair = [sum(np.atleast_1d(s[f"{match['name']}/{part}"]).astype(float) for s in statistics) for part in (0, 1)]
        entries = enumerate(zip(*pair, strict=True)) if match["name"] == "interweave" else [("", pair)]
        for index, (accepted, tried) in entries:
            key = f"{match['name']}/{index}" if index != "" else match["name"]
            old = added.get(key, (0.0, 0.0))
            added[key] = (old[0] + float(np.sum(accepted)), old[1] + float(np.sum(tried)))
    return added


def virial_of(statistics: Arrays) -> tuple[float, ...]:
    """A superchain's mean virial -x.g / p of each level that follows the gradient, at the cold rung."""
    found = (value for name, value in sorted(statistics.items()) if re.fullmatch(r"moments/virial/.+/0", name))
    return tuple(float(value) for value in found)


def relocated_in(statistics: list[Arrays]) -> tuple[int, ...]:
    """How many stragglers of all shards a round of the scout stage relocated; nothing of another round."""
    counts = [int(arrays["relocated"]) for arrays in statistics if "relocated" in arrays]
    return (sum(counts),) if counts else ()


def add_gradients(
    gradients: Mapping[str, Pair], stage: Stage, statistics: list[Arrays], replicas: int
) -> dict[str, Pair]:
    """Add a round's evaluations of the gradient to those of its stage: the mean over shards of those in lock-step, the
    mean over replicas of their own. replicas: of a shard."""
    lockstep, own = (float(np.mean([s["gradients"][part] for s in statistics])) for part in (0, 1))
    before = gradients.get(stage.name, (0.0, 0.0))
    return {**gradients, stage.name: (before[0] + lockstep, before[1] + own / replicas)}


def rate_of(rates: Mapping[str, Pair], kind: str, count: int) -> np.ndarray:
    """Mean acceptance of the numbered entries of a kind, NaN where nothing was tried."""
    pairs = [rates.get(f"{kind}/{index}", (0.0, 0.0)) for index in range(count)]
    return np.asarray([accepted / tried if tried else np.nan for accepted, tried in pairs])


def mean_of(pair: Pair) -> float | None:
    """The mean of a sum and a count, None where nothing was counted."""
    return pair[0] / pair[1] if pair[1] else None


def acceptance_by_level(rates: Mapping[str, Pair], structure: Structure) -> dict[str, float]:
    """Acceptance of the cold replicas' moves by level: walk and fitted together, or the scout's score."""
    found = {}
    for level in structure.levels:
        pairs = [rates[n] for kind in ("walk", "fitted", "score") if (n := f"{kind}/{level.name}/0") in rates]
        value = mean_of((sum(p[0] for p in pairs), sum(p[1] for p in pairs)))
        if value is not None:
            found[level.name] = value
    return found


def swap_rates(rates: Mapping[str, Pair]) -> dict[str, float]:
    """Acceptance of swaps by "LEVEL/r-s": of a level's blocks, or of whole replicas, between the rungs r and s."""
    found = {name.removeprefix("swap/"): mean_of(pair) for name, pair in rates.items() if name.startswith("swap/")}
    return {name: value for name, value in found.items() if value is not None}
