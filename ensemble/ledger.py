"""The coordinator's books: where the run stands, as JSON, committed with every checkpoint."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Pair = tuple[float, float]


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
    trace: for each round of a warm-up stage and each superchain, the mean log density, then the mean of every term.
    rates: sums and counts of acceptance of the stage by kind and level. useful: interweaving moves in use. wall, core,
    kernel, compile: seconds, kept apart from results: nothing is decided by them but limits.minutes.
    """

    epoch: int = 0
    stage: str = "scout"
    stage_round: int = 0
    settled: int | None = None
    sweeps: int = 0
    draws: int = 0
    trace: tuple[tuple[tuple[float, ...], ...], ...] = ()
    rates: Mapping[str, Pair] = MappingProxyType({})
    useful: tuple[bool, ...] = ()
    nonfinite: int = 0
    goals: Goals = Goals()
    seconds: Mapping[str, float] = MappingProxyType({"wall": 0.0, "core": 0.0, "kernel": 0.0, "compile": 0.0})

    @property
    def phase_round(self) -> int:
        """Rounds since the stage began or, if it has, since the ensemble settled."""
        return self.stage_round - (self.settled or 0)

    def to_json(self) -> dict[str, Any]:
        """Values that json keeps."""
        books = {"goals": self.goals._asdict(), "rates": dict(self.rates), "seconds": dict(self.seconds)}
        return {**self._asdict(), **books}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Ledger":
        """The inverse of to_json."""
        return cls(
            **{
                **values,
                "trace": tuple(tuple(tuple(means) for means in row) for row in values["trace"]),
                "rates": {name: (pair[0], pair[1]) for name, pair in values["rates"].items()},
                "useful": tuple(values["useful"]),
                "goals": Goals(**values["goals"]),
            }
        )
