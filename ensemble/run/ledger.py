"""The coordinator's books: where the run stands, as JSON, committed with every checkpoint."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ensemble.protocol.stages import SCOUT, Stage, stage_named
from ensemble.run.ladder import LadderBooks, Pair


class Goals(NamedTuple):
    """What the last goal check found; None before the first."""

    rounds: int = 0
    rhat_max: float | None = None
    rhat_shared_max: float | None = None
    ess_min: float | None = None
    ess_median: float | None = None
    ess_shared_min: float | None = None


class Ledger(NamedTuple):
    """epoch: finished rounds; stage and stage_round: those of the next round; sweeps, draws: done so far.

    settled: the round of `equilibrate` in which the ensemble had stopped drifting, from which adaptation starts afresh.
    held: until then controls stay as they are, for they were taken over from another run.
    trace: for each round of a warm-up stage and each superchain, the mean log density, then the mean of every term.
    virial: of the last round of warm-up and each superchain, the mean virial of each level that follows the gradient.
    relocated: stragglers that took others' places, in each round of `scout` that looked for them.
    rates: sums and counts of acceptance of the stage by kind and level. useful: interweaving moves in use. seconds:
    wall, core, kernel, compile, kept apart from results: nothing is decided by them but limits.minutes. stages: rounds
    and sweeps of each stage that has begun; stage_seconds: wall time of each; stage_gradients: evaluations a replica
    in each, one after another (which all replicas of a shard wait for) and its own on average.
    """

    epoch: int = 0
    stage: Stage = SCOUT
    stage_round: int = 0
    settled: int | None = None
    held: bool = False
    sweeps: int = 0
    draws: int = 0
    trace: tuple[tuple[tuple[float, ...], ...], ...] = ()
    virial: tuple[tuple[float, ...], ...] = ()
    relocated: tuple[int, ...] = ()
    rates: Mapping[str, Pair] = MappingProxyType({})
    useful: tuple[bool, ...] = ()
    nonfinite: int = 0
    goals: Goals = Goals()
    ladder: LadderBooks = LadderBooks()
    seconds: Mapping[str, float] = MappingProxyType({"wall": 0.0, "core": 0.0, "kernel": 0.0, "compile": 0.0})
    stages: Mapping[str, tuple[int, int]] = MappingProxyType({})
    stage_seconds: Mapping[str, float] = MappingProxyType({})
    stage_gradients: Mapping[str, Pair] = MappingProxyType({})

    @property
    def gradients(self) -> Pair:
        """stage_gradients of all stages."""
        lockstep, own = (sum(pair[part] for pair in self.stage_gradients.values()) for part in (0, 1))
        return lockstep, own

    @property
    def phase_round(self) -> int:
        """Rounds since the stage began or, if it has, since the ensemble settled."""
        return self.stage_round - (self.settled or 0)

    def to_json(self) -> dict[str, Any]:
        """Values that json keeps."""
        books = {"goals": self.goals._asdict(), "ladder": self.ladder._asdict()}
        maps = {name: dict(value) for name, value in self._asdict().items() if isinstance(value, Mapping)}
        return {**self._asdict(), **books, **maps, "stage": self.stage.name}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Ledger":
        """The inverse of to_json."""
        return cls(
            **{
                **values,
                "stage": stage_named(values["stage"]),
                "trace": tuple(tuple(tuple(means) for means in row) for row in values["trace"]),
                "virial": tuple(tuple(row) for row in values["virial"]),
                "relocated": tuple(values["relocated"]),
                **{name: _pairs(values[name]) for name in ("rates", "stages", "stage_gradients")},
                "useful": tuple(values["useful"]),
                "goals": Goals(**values["goals"]),
                "ladder": LadderBooks.from_json(values["ladder"]),
            }
        )


def _pairs(values: Mapping[str, Any]) -> dict[str, Pair]:
    return {name: (pair[0], pair[1]) for name, pair in values.items()}
