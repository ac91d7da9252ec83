"""The ladder as the coordinator keeps it: swaps on its present betas, better betas, round trips, evidence, a table."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ensemble.protocol.stages import Stage
from ensemble.protocol.statistics import RoundStatistics, summed
from kernels.ladder import evidence
from kernels.ladder import schedule as ladder
from kernels.ladder.evidence import Stones

Pair = tuple[float, float]
Row = Mapping[str, Any]
"""One round in the table: stage, round, betas, accepted by pair, energy by rung, flow; plain numbers, as JSON keeps."""


class LadderState(NamedTuple):
    """The ladder in the present stage.

    swaps: for each pair of neighbours sum and count of acceptance since the betas last changed.
    sweeps: since the stage began.
    trips: round trips of all walkers since then, None where only blocks change places.
    energies: of the last round, the mean of what beta multiplies at each rung.
    evidence: name -> (value, error), at the last check of the goals.
    rows: a table of the rounds 1, 2, 4, 8, ... of each tempered stage and of the last one.
    """

    swaps: tuple[Pair, ...] = ()
    sweeps: int = 0
    trips: int | None = None
    energies: tuple[float, ...] = ()
    evidence: Mapping[str, Pair] | None = None
    rows: tuple[Row, ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LadderState":
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


def absorb_swaps(
    state: LadderState,
    statistics: list[RoundStatistics],
    betas: np.ndarray,
    stage: Stage,
    round_: int,
    sweeps: int,
    chains: int,
) -> LadderState:
    """The state after a round of a stage with hot rungs; as it was where there are none. chains: cold replicas."""
    seen = [shard.ladder for shard in statistics if shard.ladder is not None]
    if not seen:
        return state
    energy, flow, trips = summed([(ladder.energy, ladder.flow, ladder.trips) for ladder in seen])
    fresh = round_pairs(statistics, len(betas) - 1)
    before = state.swaps or ((0.0, 0.0),) * len(fresh)
    draws = sweeps * chains
    energies = tuple(float(total) / draws for total in energy)
    row = {
        "stage": stage.name,
        "round": round_ + 1,
        "betas": [float(beta) for beta in betas],
        "accepted": [accepted / tried if tried else None for accepted, tried in fresh],
        "energy": list(energies),
        "flow": float(flow) / chains,
    }
    return state._replace(
        swaps=tuple((a + b, m + n) for (a, m), (b, n) in zip(before, fresh, strict=True)),
        sweeps=state.sweeps + sweeps,
        trips=None if trips is None else int(trips),
        energies=energies,
        rows=(*_lasting(state.rows), row),
    )


def _lasting(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows without the last one, unless it is of a round that stays."""
    return rows if not rows or math.log2(rows[-1]["round"]).is_integer() else rows[:-1]


def round_pairs(statistics: list[RoundStatistics], pairs: int) -> list[Pair]:
    """A round's sum and count of acceptance for each pair of neighbours, over blocks, levels and shards."""
    found = []
    swaps = summed([shard.swaps for shard in statistics])
    for rung in range(pairs):
        sums = [[float(np.sum(part)) for part in rates[rung]] for rates in swaps.values()]
        found.append((sum(a for a, _ in sums), sum(n for _, n in sums)))
    return found


def rejections(state: LadderState, pairs: int) -> np.ndarray:
    """Of each of so many pairs, since the betas last changed; NaN where none was tried."""
    sums = np.asarray(state.swaps or ((0.0, 0.0),) * pairs, float)
    return ladder.rejections(sums[:, 0], sums[:, 1])


def adapted(state: LadderState, betas: np.ndarray, round_: int) -> tuple[LadderState, np.ndarray]:
    """Betas at which all pairs should reject equally, and a state that begins anew with them.

    After rounds 1, 2, 4, 8, ... of a phase only: in between the ladder stands, so that its rejections are its own, and
    each adaptation rests on twice the rounds of the one before (Syed et al. 2022, section 5.4).
    """
    if len(betas) < 3 or not math.log2(round_ + 1).is_integer():
        return state, betas
    rejected = rejections(state, len(betas) - 1)
    return state._replace(swaps=()), ladder.adapted_betas(betas, rejected)


def absorb_stones(stones: Stones | None, statistics: list[RoundStatistics]) -> Stones | None:
    """The sums for the evidence with those of a round, one row a superchain; as they were where it has none."""
    seen = [shard.ladder.stones for shard in statistics if shard.ladder is not None and shard.ladder.stones is not None]
    if not seen:
        return stones
    fresh = Stones(*(np.stack([np.asarray(values) for values in field]) for field in zip(*seen, strict=True)))
    return fresh if stones is None else Stones(*(np.asarray(values) for values in evidence.merge(stones, fresh)))


def with_evidence(state: LadderState, stones: Stones | None, betas: np.ndarray) -> LadderState:
    """The state with the evidence so far, if the ladder ends at the prior and tells it.

    Moves to points of likelihood 0 are refused at every rung, the prior's included: where the prior has such points, it
    is the mean likelihood over the rest of the prior, so that the log of the rest's share is missing.
    """
    if stones is None or betas[-1] != 0.0:
        return state
    found = evidence.log_evidence(stones, betas)
    return state._replace(evidence={way: tuple(estimate) for way, estimate in found._asdict().items()})
