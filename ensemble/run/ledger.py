"""The coordinator's ledger: where the run stands, as JSON, committed with every checkpoint."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ensemble.protocol.stages import SCOUT, Stage, stage_named
from ensemble.run.goals import GoalCheck
from ensemble.run.ladder import LadderState, Pair


class Outlier(NamedTuple):
    """A replica that is outside the typical range, see decisions.typical.

    coordinate: the number of the watched one in which it is, see protocol.watched.
    values: where it stood there after each round since, of which the last few are kept.
    """

    coordinate: int
    values: tuple[float, ...]


class Ledger(NamedTuple):
    """Where the run stands. Seconds are kept apart from results: nothing is decided by them but limits.minutes.

    epoch: finished rounds.
    stage: of the next round.
    stage_round: number of the next round in its stage.
    settled_round: the round of `equilibrate` in which the ensemble had stopped drifting, from which adaptation starts
        afresh.
    held: until then tuning stays as it is, for it was taken over from another run.
    sweeps: done so far.
    draws: stored so far, of each chain.
    trace: for each round of a warm-up stage and each superchain, the mean log density, then the mean of every term.
    heights: log densities of all cold replicas after the last round of warm-up.
    fallen: replicas that fell below the others by their own moves, see decisions.stragglers.
    quartiles: of every watched coordinate after that round, see decisions.typical.
    outliers: by replica, those that it found outside the typical range, and where they have been since; at the freeze,
        in `sample`.
    floor: of the log densities of `sample`, below which a draw is a stray: the mean of those that the ensemble had at
        the freeze and after each round since; None before it, and where it is not known.
    floors: rounds of `sample` that are in this mean.
    lowest: of each chain, the lowest log density that a round of `sample` ended in; empty before it.
    mass: for each of these rounds and superchains the log mass of where it is, see decisions.lost.
    redrawn: superchains that began each of these rounds at a new start.
    spreads: for each of these rounds and level the largest log spread of a coordinate, see diagnostics.spreads.
    start_spreads: for each level that of the starts.
    virial: of the last round of warm-up and each superchain, the mean virial of each level that follows the gradient.
    relocated: stragglers that took others' places, in each round of `scout` that looked for them.
    rates: sums and counts of acceptance of the stage by kind and level.
    interweavings_kept: which of the interweaving moves are in use.
    care: how often trajectories were made shorter-stepped because they diverged.
    refined: trajectories since the ensemble settled, or since the last such change: how many diverged, and all of them.
    refined_failed: of these, as in `failed`.
    failed: trajectories of the stage that were nearly certain to be rejected, and all that are looked at for it.
    taught: whether the networks of kernels that learn the gradient had their training; true where there are none.
    joined: whether joint moves are in use; what was found of them where tuning is frozen.
    nonfinite: proposals without a finite density so far, but for those where it is +inf.
    infinite: these, by level; levels without are missing.
    goals: what the last check of the goals found.
    ladder: swaps and temperatures of the stage.
    seconds: wall, core, kernel, compile, of all sittings.
    stages: rounds and sweeps of each stage that has begun, by name.
    stage_seconds: wall time of each.
    divergences: of each stage that has trajectories of the cold replicas, how many diverged and how many there were.
    stage_gradients: evaluations a replica in each, one after another (which all replicas of a shard wait for) and its
        own on average.
    """

    epoch: int = 0
    stage: Stage = SCOUT
    stage_round: int = 0
    settled_round: int | None = None
    held: bool = False
    sweeps: int = 0
    draws: int = 0
    trace: tuple[tuple[tuple[float, ...], ...], ...] = ()
    heights: tuple[float, ...] = ()
    fallen: tuple[int, ...] = ()
    quartiles: tuple[tuple[float, ...], ...] = ()
    outliers: Mapping[str, Outlier] = MappingProxyType({})
    floor: float | None = None
    floors: int = 0
    lowest: tuple[float, ...] = ()
    mass: tuple[tuple[float, ...], ...] = ()
    redrawn: tuple[tuple[int, ...], ...] = ()
    spreads: tuple[tuple[float, ...], ...] = ()
    start_spreads: tuple[float, ...] = ()
    virial: tuple[tuple[float, ...], ...] = ()
    relocated: tuple[int, ...] = ()
    rates: Mapping[str, Pair] = MappingProxyType({})
    interweavings_kept: tuple[bool, ...] = ()
    care: int = 0
    refined: tuple[int, int] = (0, 0)
    refined_failed: tuple[int, int] = (0, 0)
    failed: tuple[int, int] = (0, 0)
    taught: bool = True
    joined: bool = True
    nonfinite: int = 0
    infinite: Mapping[str, int] = MappingProxyType({})
    goals: GoalCheck = GoalCheck()
    ladder: LadderState = LadderState()
    seconds: Mapping[str, float] = MappingProxyType({"wall": 0.0, "core": 0.0, "kernel": 0.0, "compile": 0.0})
    stages: Mapping[str, tuple[int, int]] = MappingProxyType({})
    stage_seconds: Mapping[str, float] = MappingProxyType({})
    divergences: Mapping[str, tuple[int, int]] = MappingProxyType({})
    stage_gradients: Mapping[str, Pair] = MappingProxyType({})

    @property
    def strays(self) -> dict[str, float]:
        """The chains that have been where no posterior explains the log density in `sample`, and the lowest of each."""
        if self.floor is None:
            return {}
        return {str(chain): low for chain, low in enumerate(self.lowest) if not low >= self.floor}

    @property
    def gradients(self) -> Pair:
        """stage_gradients of all stages."""
        lockstep, own = (sum(pair[part] for pair in self.stage_gradients.values()) for part in (0, 1))
        return lockstep, own

    @property
    def phase_round(self) -> int:
        """Rounds since the stage began or, if it has, since the ensemble settled."""
        return self.stage_round - (self.settled_round or 0)

    def with_seconds(self, stage: Stage, spent: Mapping[str, float]) -> "Ledger":
        """The ledger with the seconds of a round of a stage. spent: by the names of `seconds`."""
        of_stage = self.stage_seconds.get(stage.name, 0.0) + spent["wall"]
        return self._replace(
            seconds={name: before + spent[name] for name, before in self.seconds.items()},
            stage_seconds={**self.stage_seconds, stage.name: of_stage},
        )

    def to_json(self) -> dict[str, Any]:
        """Values that json keeps."""
        parts = {"stage": self.stage.name, "goals": self.goals._asdict(), "ladder": self.ladder._asdict()}
        maps = {name: dict(value) for name, value in self._asdict().items() if isinstance(value, Mapping)}
        return {**self._asdict(), **parts, **maps}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Ledger":
        """The inverse of to_json; what earlier versions kept beside is left out."""
        return cls(
            **{
                **{name: value for name, value in values.items() if name in cls._fields},
                "stage": stage_named(values["stage"]),
                "trace": tuple(tuple(tuple(means) for means in row) for row in values["trace"]),
                **{
                    name: tuple(tuple(row) for row in values.get(name, ()))
                    for name in ("mass", "redrawn", "spreads", "virial", "quartiles")
                },
                **{
                    name: tuple(values.get(name, ()))
                    for name in ("relocated", "heights", "fallen", "start_spreads", "lowest")
                },
                "outliers": {
                    replica: Outlier(coordinate, tuple(path))
                    for replica, (coordinate, path) in values.get("outliers", {}).items()
                },
                **{name: tuple(values.get(name, (0, 0))) for name in ("refined", "refined_failed", "failed")},
                **{name: _pairs(values[name]) for name in ("rates", "stages", "divergences", "stage_gradients")},
                "interweavings_kept": tuple(values["interweavings_kept"]),
                "goals": GoalCheck(**values["goals"]),
                "ladder": LadderState.from_json(values["ladder"]),
            }
        )


def _pairs(values: Mapping[str, Any]) -> dict[str, Pair]:
    return {name: (pair[0], pair[1]) for name, pair in values.items()}
