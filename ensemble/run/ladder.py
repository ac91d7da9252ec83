"""The coordinator's books of the ladder: swaps on its present betas, better betas, round trips, evidence, a table."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ensemble.adaptation.moments import summed
from ensemble.protocol.plans import Arrays
from ensemble.protocol.stages import Stage
from kernels.ladder import evidence
from kernels.ladder import schedule as ladder
from kernels.ladder.evidence import Stones

Pair = tuple[float, float]
Row = Mapping[str, Any]
"""One round in the table: stage, round, betas, accepted by pair, energy by rung, flow; plain numbers, as JSON keeps."""


class LadderBooks(NamedTuple):
    """Of the present stage. swaps: for each pair of neighbours sum and count of acceptance since the betas last
    changed; sweeps, trips: sweeps and round trips of all walkers since the stage began; energies: of the last round,
    the mean of what beta multiplies at each rung; evidence: name -> (value, error), at the last goal
    check; rows: of the rounds 1, 2, 4, 8, ... of each tempered stage and of the last one.
    """

    swaps: tuple[Pair, ...] = ()
    sweeps: int = 0
    trips: int | None = None
    energies: tuple[float, ...] = ()
    evidence: Mapping[str, Pair] | None = None
    rows: tuple[Row, ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LadderBooks":
        """The inverse of _asdict after json."""
        found = values["evidence"]
        return cls(
            swaps=tuple((pair[0], pair[1]) for pair in values["swaps"]),
            sweeps=values["sweeps"],
            trips=values["trips"],
            energies=tuple(values["energies"]),
            evidence=None if found is None else {name: (pair[0], pair[1]) for name, pair in found.items()},
            rows=tuple(values["rows"]),
        )


def absorb(
    books: LadderBooks, statistics: list[Arrays], betas: np.ndarray, stage: Stage, round_: int, sweeps: int, chains: int
) -> LadderBooks:
    """The books after a round of a stage with hot rungs; as they were where there are none. chains: cold replicas."""
    if "energy" not in statistics[0]:
        return books
    fresh = round_pairs(statistics, len(betas) - 1)
    before = books.swaps or ((0.0, 0.0),) * len(fresh)
    draws = sweeps * chains
    energies = tuple(float(total) / draws for total in summed(statistics, "energy"))
    row = {
        "stage": stage.name,
        "round": round_ + 1,
        "betas": [float(beta) for beta in betas],
        "accepted": [accepted / tried if tried else None for accepted, tried in fresh],
        "energy": list(energies),
        "flow": float(summed(statistics, "flow")) / chains,
    }
    return books._replace(
        swaps=tuple((a + b, m + n) for (a, m), (b, n) in zip(before, fresh, strict=True)),
        sweeps=books.sweeps + sweeps,
        trips=int(summed(statistics, "trips")) if "trips" in statistics[0] else None,
        energies=energies,
        rows=(*_kept(books.rows), row),
    )


def _kept(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows without the last one, unless it is of a round that stays."""
    return rows if not rows or math.log2(rows[-1]["round"]).is_integer() else rows[:-1]


def round_pairs(statistics: list[Arrays], pairs: int) -> list[Pair]:
    """A round's sum and count of acceptance for each pair of neighbours, over blocks, levels and shards."""
    found = []
    for rung in range(pairs):
        names = [n[:-2] for n in statistics[0] if n.startswith("swap/") and n.endswith(f"/{rung}-{rung + 1}/0")]
        sums = [[float(np.sum(summed(statistics, f"{name}/{part}"))) for part in (0, 1)] for name in names]
        found.append((sum(a for a, _ in sums), sum(n for _, n in sums)))
    return found


def rejections(books: LadderBooks, pairs: int) -> np.ndarray:
    """Of each of so many pairs, since the betas last changed; NaN where none was tried."""
    sums = np.asarray(books.swaps or ((0.0, 0.0),) * pairs, float)
    return ladder.rejections(sums[:, 0], sums[:, 1])


def adapted(books: LadderBooks, betas: np.ndarray, round_: int) -> tuple[LadderBooks, np.ndarray]:
    """Betas at which all pairs should reject equally, and books that begin anew with them.

    After rounds 1, 2, 4, 8, ... of a phase only: in between the ladder stands, so that its rejections are its own, and
    each adaptation rests on twice the rounds of the one before (Syed et al. 2022, section 5.4).
    """
    if len(betas) < 3 or not math.log2(round_ + 1).is_integer():
        return books, betas
    rejected = rejections(books, len(betas) - 1)
    return books._replace(swaps=()), ladder.adapted_betas(betas, rejected)


def absorb_stones(kept: Arrays, statistics: list[Arrays]) -> Arrays:
    """The coordinator's arrays with a round's sums for the evidence, one row a superchain."""
    names = [name for name in statistics[0] if name.startswith("stones/")]
    if not names:
        return kept
    fresh = _stones({name: np.stack([arrays[name] for arrays in statistics]) for name in names})
    total = evidence.merge(_stones(kept), fresh) if names[0] in kept else fresh
    return {**kept, **{f"stones/{field}": np.asarray(values) for field, values in total._asdict().items()}}


def with_evidence(books: LadderBooks, kept: Arrays, betas: np.ndarray) -> LadderBooks:
    """The books with the evidence so far, if the ladder ends at the prior and tells it.

    Moves to points of likelihood 0 are refused at every rung, the prior's included: where the prior has such points, it
    is the mean likelihood over the rest of the prior, so that the log of the rest's share is missing.
    """
    if "stones/hot" not in kept or betas[-1] != 0.0:
        return books
    found = evidence.log_evidence(_stones(kept), betas)
    return books._replace(evidence={way: tuple(estimate) for way, estimate in found._asdict().items()})


def _stones(arrays: Arrays) -> Stones:
    return Stones(*(arrays[f"stones/{field}"] for field in Stones._fields))


def describe(books: LadderBooks, betas: np.ndarray, chains: int) -> dict[str, Any] | None:
    """What the summary says of the ladder; None without hot rungs. chains: cold replicas, that is ladders side by side.

    round_trips: of all walkers in this stage; expected: those of swaps that know nothing of the past, at the present
    rejections; only where whole replicas travel.
    """
    if len(betas) < 2:
        return None
    rejected = rejections(books, len(betas) - 1)
    accepted = [*(_known(1.0 - r) for r in rejected), None]
    energies = books.energies or (None,) * len(betas)
    rate = ladder.round_trip_rate(rejected)
    return {
        "rungs": [
            {
                "rung": rung,
                "temperature": float(1.0 / beta) if beta else None,
                "beta": float(beta),
                "swap": swap,
                "energy": energy,
            }
            for rung, (beta, swap, energy) in enumerate(zip(betas, accepted, energies, strict=True))
        ],
        "barrier": _known(ladder.communication_barrier(rejected)),
        "round_trips": books.trips,
        "round_trips_expected": None if books.trips is None else _known(rate * books.sweeps * chains),
        "log_evidence": None if books.evidence is None else books.evidence["stepping_stone"][0],
        "log_evidence_error": None if books.evidence is None else books.evidence["stepping_stone"][1],
        "log_evidence_by": None if books.evidence is None else dict(books.evidence),
        "rounds": list(books.rows),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
