"""Which replicas stand where the ensemble is not, in a single coordinate, and what is to become of them.

The log density of many coordinates hides one: a shared parameter 16 of its deviations out costs 16 units, of a log
density that varies by 55. But no single position says that it is no draw. A Student t of 1.2 degrees of freedom has a
draw in 12 this far out, and a mode of weight .01 one in 100. What tells them from a straggler is what they do:

- A draw of a heavy tail **comes back**, or changes sides. Nobody is judged who was within the range, FAR times as far
  out as the quartiles, at the end of any of the last WINDOW rounds: moves that reach a tail leave it as fast.
- A replica that **roams** far out, over a factor STILL in its distance, is left to come back; the freeze waits for it.
- A replica that **approaches** is in no mode, which stands still. It takes the place of another where it is alone.
- A mode has **company**: others that have stood as long on the same side of the same coordinate, about as far out.
- One that stands **alone** vouches for its mode by its log density, where there are few coordinates: at no less than
  the floor of the others, and not above what they reach (a neck of no volume). The log density of many coordinates
  cannot tell: there the single replica takes the place of another, and its user is told.

Harm is bounded. `sample` starts without at most the excursions that outlast WINDOW rounds on one side, which its exact
kernels then make again. Of modes only one that holds a single chain can be emptied: its weight could be known to no
better than 1 / chains, as nothing changes between modes, and its coordinates are many.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ensemble.protocol.statistics import Whereabouts
from ensemble.run.decisions.floor import floor_of
from ensemble.run.decisions.lost import CERTAIN, NOISE
from ensemble.run.ledger import Outlier

FAR = 12.0
"""Distances of the quartile from the median, on the same side, up to which a draw is usual: 8 sds of a normal law."""

WINDOW = 8
"""Rounds that a replica is followed for before it is judged: heavy tails are left sooner."""

STILL = 3.0
"""Factor between the distances within a window up to which a replica stands where it is."""

NEARER = 0.75
"""Share of its distance in the first half of the window that a replica which approaches has left in the second."""

COMPANY = 1.5
"""Factor between the distances of two replicas up to which they are in the same place."""

Quartiles = tuple[tuple[float, ...], ...]
"""Lower quartile, median and upper quartile of every watched coordinate; empty before the first round."""


Outliers = Mapping[str, Outlier]
"""By the number of the replica, as JSON has keys; replicas that are within the range are missing."""


class Judgement(NamedTuple):
    """Replicas that have been outside for a whole window, by number.

    astray: alone, where no posterior is: to be put elsewhere.
    coming: on their way, or roaming: the freeze waits.
    apart: in modes of their own, as it seems.
    """

    astray: tuple[int, ...] = ()
    coming: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()


def pooled_quartiles(seen: list[Whereabouts]) -> Quartiles:
    """The quartiles of the ensemble: those of the quartiles of all superchains together, which are exact where these
    are alike, and wide where they stand apart."""
    rows = np.concatenate([np.asarray(shard.quartiles) for shard in seen])
    return tuple(tuple(row) for row in np.quantile(rows, (0.25, 0.5, 0.75), axis=0).tolist())


def usual_range(quartiles: Quartiles) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest usual value of every coordinate; infinite where the ensemble has no spread yet."""
    low, middle, high = np.asarray(quartiles)
    with np.errstate(invalid="ignore"):
        reach = FAR * np.stack([middle - low, high - middle])
        reach = np.where(np.isfinite(reach) & (reach > 0), reach, np.inf)
        return middle - reach[0], middle + reach[1]


def followed(outliers: Outliers, replicas: int) -> np.ndarray:
    """The coordinate in which each replica is followed, [replicas]; -1 for none."""
    found = np.full(replicas, -1)
    for replica, outlier in outliers.items():
        found[int(replica)] = outlier.coordinate
    return found


def updated(
    outliers: Outliers, seen: list[Whereabouts], quartiles: Quartiles, anew: tuple[int, ...]
) -> dict[str, Outlier]:
    """The outliers after a round. quartiles: those of the plan. anew: superchains that began the round elsewhere."""
    found: dict[str, Outlier] = {}
    middle, first = quartiles[1] if quartiles else (), 0
    for superchain, shard in enumerate(seen):
        for replica, (coordinate, value) in enumerate(zip(shard.coordinate, shard.value, strict=True), start=first):
            if coordinate < 0:
                continue
            before, side = outliers.get(str(replica)), np.sign(value - middle[coordinate])
            same = before is not None and before.coordinate == coordinate and superchain not in anew
            stays = same and np.sign(before.values[-1] - middle[coordinate]) == side if before else False
            values = (*(before.values if before and stays else ()), float(value))[-WINDOW:]
            found[str(replica)] = Outlier(int(coordinate), values)
        first += len(shard.coordinate)
    return found


def judged(outliers: Outliers, quartiles: Quartiles, heights: np.ndarray, dimension: int) -> Judgement:
    """What becomes of those that have been outside for a whole window. heights: log densities of all replicas."""
    old = {int(replica): seen for replica, seen in outliers.items() if len(seen.values) == WINDOW}
    away = {replica: np.asarray(seen.values) - quartiles[1][seen.coordinate] for replica, seen in old.items()}
    found: dict[str, list[int]] = {kind: [] for kind in Judgement._fields}
    for replica, path in away.items():
        near = [
            other
            for other, its in away.items()
            if other != replica
            and old[other].coordinate == old[replica].coordinate
            and 1 / COMPANY <= its[-1] / path[-1] <= COMPANY
        ]
        found[_fate(np.abs(path), bool(near), _vouches(heights, replica, dimension))].append(replica)
    return Judgement(**{kind: tuple(sorted(replicas)) for kind, replicas in found.items()})


def _fate(distances: np.ndarray, company: bool, vouched: bool) -> str:
    """The field of Judgement for a replica that was this far out, oldest round first."""
    before, after = distances[: WINDOW // 2], distances[WINDOW // 2 :]
    if after.max() < before.min() and after.mean() <= NEARER * before.mean():
        return "coming" if company else "astray"
    if distances.max() > STILL * distances.min():
        return "coming"
    return "apart" if company or vouched else "astray"


def _vouches(heights: np.ndarray, replica: int, dimension: int) -> bool:
    """Whether a replica's log density says that it is in a mode: where the coordinates are so few that it would show
    what is nothing, and within the range of the others."""
    if NOISE * np.sqrt(dimension / 2) > CERTAIN:
        return False
    floor, middle = floor_of(heights, dimension), float(np.median(heights))
    return bool(floor <= heights[replica] <= 2 * middle - floor)
