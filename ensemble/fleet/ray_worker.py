"""What runs on a Ray worker, and what the driver notes of its calls to one: nothing here needs Ray itself."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ensemble.errors import WorkInterrupted
from ensemble.fleet.local import build_runner, peak_resident
from ensemble.fleet.stop_signals import disregarded
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult, Runner, RunnerSpec


class Worker:
    """One process that holds shards. Ray runs its calls one at a time, in the order in which the driver made them."""

    def __init__(self, spec: RunnerSpec, data: Any) -> None:
        disregarded()
        self._spec = spec._replace(data=data)

    @functools.cached_property
    def _runner(self) -> Runner:
        """Built in the first call, not in the constructor: there its errors would look like the death of the worker."""
        return build_runner(self._spec)

    def pid(self) -> int:
        return os.getpid()

    def restore(self, shard: int, epoch: int, state: Arrays | None, begin: bool, *plans: RoundPlan) -> None:
        """Put a shard at `state`, then replay `plans`, reported before. begin: at the initial state of the start
        `state`, None for the shard's own."""
        with _interrupts_told():
            complete = self._runner.initial(shard, state) if begin or state is None else state
            self._runner.load(shard, epoch, complete)
            for plan in plans:
                self._runner.run(shard, plan)

    def run(self, shard: int, plan: RoundPlan) -> tuple[RoundResult, int]:
        """The result of one round and the most memory this process has used [bytes]."""
        with _interrupts_told():
            return self._runner.run(shard, plan), peak_resident()

    def state(self, shard: int) -> Arrays:
        return self._runner.state(shard)


@contextmanager
def _interrupts_told() -> Iterator[None]:
    """Stop signals do nothing here: a KeyboardInterrupt is the model's own, and Ray would call it a cancelled task."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise WorkInterrupted("the model's code raised KeyboardInterrupt") from interrupt


class Restart(NamedTuple):
    """Where a lost shard starts again: states (None: the initial ones) after `epoch`, and the plans run since then.

    plans: references to them. begin: the states are starts, which the runners have to complete.
    """

    epoch: int
    states: list[Arrays] | None
    plans: list[Any]
    begin: bool = False

    def arguments(self, shard: int) -> tuple[Any, ...]:
        """The arguments of Worker.restore."""
        return shard, self.epoch, None if self.states is None else self.states[shard], self.begin, *self.plans


class Call(NamedTuple):
    """What to do with the answer of a call: pass it through `take` and file it under `shard`; None: drop it."""

    shard: int
    take: Callable[[Any], Any] | None


def unchanged(answer: Any) -> Any:
    """The answer as it came."""
    return answer


def copied(state: Arrays) -> Arrays:
    """Arrays of this process's own: what `ray.get` returns occupies the object store for as long as it is held."""
    return {name: np.array(values) for name, values in state.items()}
