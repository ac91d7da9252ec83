"""The one protocol behind which shards run, here in this process; on Ray in ray_fleet."""

import importlib
import resource
import sys
from collections.abc import Callable
from typing import Protocol

from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult, Runner, RunnerSpec


class Fleet(Protocol):
    """Carries the shards. Every list is in shard order; reductions over it are therefore reproducible."""

    shards: int
    workers: int
    remote: bool
    """Whether the shards run in other processes than the coordinator's."""

    def initialise(self, starts: list[Arrays] | None = None) -> None:
        """Put every shard at its initial state, epoch -1: that of the start given for it, or of its own."""

    def load(self, epoch: int, states: list[Arrays]) -> None:
        """Put every shard at a committed state."""

    def run(self, plan: RoundPlan) -> list[RoundResult]:
        """Run one round on every shard."""

    def states(self) -> list[Arrays]:
        """The complete state of every shard after the last round."""

    def committed(self) -> None:
        """The states last handed out are safe: a lost worker restarts from them, earlier plans may be forgotten."""

    def peak_memory(self) -> list[int]:
        """The largest resident size of every worker so far, in bytes."""

    def heed(self, stop_requested: Callable[[], bool]) -> None:
        """Replace no worker once a stop was asked for: what needs one that is lost then raises WorkersLost."""

    def close(self) -> None:
        """Release the workers."""


def build_runner(spec: RunnerSpec) -> Runner:
    """Call the factory that `spec` names."""
    module, _, function = spec.factory.partition(":")
    factory = getattr(importlib.import_module(module), function)
    runner: Runner = factory(**spec.arguments, data=spec.data)
    return runner


class LocalFleet:
    """All shards in this process, one after another: `--local`, tests, debugging."""

    workers = 1
    remote = False

    def __init__(self, spec: RunnerSpec, shards: int) -> None:
        self.shards = shards
        self._runner = build_runner(spec)

    def initialise(self, starts: list[Arrays] | None = None) -> None:
        for shard in range(self.shards):
            start = None if starts is None else starts[shard]
            self._runner.load(shard, -1, self._runner.initial(shard, start))

    def load(self, epoch: int, states: list[Arrays]) -> None:
        for shard, state in enumerate(states):
            self._runner.load(shard, epoch, state)

    def run(self, plan: RoundPlan) -> list[RoundResult]:
        return [self._runner.run(shard, plan) for shard in range(self.shards)]

    def states(self) -> list[Arrays]:
        return [self._runner.state(shard) for shard in range(self.shards)]

    def committed(self) -> None:
        """Nothing to forget: this process is the only worker."""

    def peak_memory(self) -> list[int]:
        return [peak_resident()]

    def heed(self, stop_requested: Callable[[], bool]) -> None:
        """Nothing to replace."""

    def close(self) -> None:
        """Nothing to release."""


def peak_resident() -> int:
    """The largest resident size of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
