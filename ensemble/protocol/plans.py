"""What travels between the coordinator and the workers: plain arrays and numbers, never live objects."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from ensemble.protocol.stages import Stage
from ensemble.protocol.statistics import RoundStatistics

Arrays = dict[str, np.ndarray]
"""Flat arrays by name ("position/a", "cells/y", ...)."""


def positions_of(state: Arrays) -> Arrays:
    """Of the complete state of a shard what `Runner.initial` takes as a start."""
    return {name: values for name, values in state.items() if "/position/" in name}


class RunnerSpec(NamedTuple):
    """How a worker builds its runner: by names and arrays, so that any machine with the code can do it, or by functions
    that were given as objects, which a fleet ships by value.

    factory: "module:function", called as factory(**arguments, data=data) and returning a Runner.
    arguments: names, numbers and arrays that any machine can be sent.
    data: the model's data (a pytree of arrays), apart so that a fleet can ship it once by reference.
    """

    factory: str
    arguments: dict[str, Any]
    data: Any


class TypicalRange(NamedTuple):
    """Where draws of the posterior may be, by the ensemble as it was after the last round; and who is not there.

    lower, upper: of every watched coordinate, see protocol.watched.
    followed: of every cold replica of the run the coordinate in which it was outside, negative for none.
    astray: numbers of replicas that take the places of others after the round, where they are still outside.
    """

    lower: np.ndarray
    upper: np.ndarray
    followed: np.ndarray
    astray: tuple[int, ...] = ()


class RoundPlan(NamedTuple):
    """One round for every shard: the sweeps between two visits of the coordinator.

    epoch: the number of this round since the start of the run; a runner accepts only the epoch after its own.
    stage: what the round is part of.
    round: the number of this round in its stage (part of the random key).
    sweeps: how many the round has.
    tuning: scales, covariances, ... as flat arrays; frozen in stage `sample`.
    record: whether to hand back draws.
    reset: whether the accumulators start anew.
    with_diagnostics: whether to hand back what the accumulators hold.
    floor: log density below which a straggler takes the place of another after the round; None: nobody looks for it.
    behind: numbers of the stragglers: replicas that stood below it before the round, and did not fall there.
    teaches: whether to hand back examples for networks, see statistics.Lessons.
    typical: the range outside of which replicas are followed; None: nobody looks for them.
    redraw: shards that begin the round anew, at a start of their own or, where there is one, at
    starts: by shard, as `Runner.initial` takes them.
    """

    epoch: int
    stage: Stage
    round: int
    sweeps: int
    tuning: Arrays
    record: bool = False
    reset: bool = False
    with_diagnostics: bool = False
    floor: float | None = None
    behind: tuple[int, ...] = ()
    teaches: bool = False
    typical: TypicalRange | None = None
    redraw: tuple[int, ...] = ()
    starts: Mapping[int, Arrays] = MappingProxyType({})


class RoundResult(NamedTuple):
    """What comes of one round in one shard: O(d) statistics, perhaps draws, never its states.

    epoch: that of the plan.
    shard: its number.
    statistics: sums over the shard's replicas.
    draws: {group: {variable: [draws, stored chains, ...]}}.
    kernel_seconds: spent in compiled programs.
    compile_seconds: spent compiling them.
    """

    epoch: int
    shard: int
    statistics: RoundStatistics
    draws: dict[str, Arrays]
    kernel_seconds: float
    compile_seconds: float


class Runner(Protocol):
    """Runs shards inside one worker process."""

    def initial(self, shard: int, start: Arrays | None = None) -> Arrays:
        """The complete state of a shard before the first round; at its own start where none is given."""

    def load(self, shard: int, epoch: int, state: Arrays) -> None:
        """Take over a shard whose last finished round is `epoch`."""

    def run(self, shard: int, plan: RoundPlan) -> RoundResult:
        """Run one round; the shard must stand at epoch plan.epoch - 1."""

    def state(self, shard: int) -> Arrays:
        """The complete state of a shard, from which `load` goes on bit for bit."""
