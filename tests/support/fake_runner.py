"""A runner without a sampler, for tests of fleets: a state that evolves deterministically, and failures on request.

Failures are asked for by marker files in `folder`:
kill-SHARD-EPOCH: the process kills itself in that round, once (it removes the file first);
poison-SHARD: the process kills itself in every round of that shard;
fail-SHARD-EPOCH: the round raises FakeFailure.
Every round run, replays included, adds a line "SHARD EPOCH" to the file `log` there.
"""

import os
import signal
from pathlib import Path

import numpy as np

from ensemble.errors import MaxwellError
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult
from ensemble.protocol.statistics import ChainSums, Rate, RoundStatistics


def _statistics(x: np.ndarray) -> RoundStatistics:
    """The squares as log densities and the sum as a term: this file alone is shipped to the machines of a test."""
    return RoundStatistics(
        lp=x * x,
        nonfinite=np.asarray(0),
        gradients=np.zeros(2),
        rates={},
        interweaving=None,
        swaps={},
        ladder=None,
        moments={},
        term_means={"sum": x.sum()},
        chains=ChainSums(Rate(np.zeros(len(x)), np.zeros(len(x)))),
    )


class FakeFailure(MaxwellError):
    """A failure of the work itself, with more than a message."""

    def __init__(self, shard: int, epoch: int) -> None:
        super().__init__(shard, epoch)
        self.shard = shard
        self.epoch = epoch


class FakeRunner:
    """x' = sin(1.1 x + noise(seed, epoch, shard) + scale): depends on every earlier round and on the plan."""

    def __init__(self, folder: str, data: np.ndarray) -> None:
        self.folder = Path(folder)
        self.data = data
        self.epochs: dict[int, int] = {}
        self.positions: dict[int, np.ndarray] = {}

    def initial(self, shard: int, start: Arrays | None = None) -> Arrays:
        return {"x": self.data + shard if start is None else start["x"] + 0.5}

    def load(self, shard: int, epoch: int, state: Arrays) -> None:
        self.epochs[shard], self.positions[shard] = epoch, np.array(state["x"])

    def run(self, shard: int, plan: RoundPlan) -> RoundResult:
        if plan.epoch != self.epochs[shard] + 1:
            raise ValueError(f"shard {shard} stands at epoch {self.epochs[shard]} and was given {plan.epoch}")
        self.misbehave(shard, plan.epoch)
        noise = np.random.default_rng([plan.epoch, shard]).standard_normal(self.data.shape)
        x = np.sin(1.1 * self.positions[shard] + noise + plan.tuning["scale"])
        self.epochs[shard], self.positions[shard] = plan.epoch, x
        draws = {"posterior": {"x": x[None]}} if plan.record else {}
        return RoundResult(plan.epoch, shard, _statistics(x), draws, 0.0, 0.0)

    def state(self, shard: int) -> Arrays:
        return {"x": self.positions[shard]}

    def misbehave(self, shard: int, epoch: int) -> None:
        with (self.folder / "log").open("a") as log:
            log.write(f"{shard} {epoch}\n")
        once = self.folder / f"kill-{shard}-{epoch}"
        if once.exists():
            once.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (self.folder / f"poison-{shard}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if (self.folder / f"fail-{shard}-{epoch}").exists():
            raise FakeFailure(shard, epoch)


def build(folder: str, data: np.ndarray) -> FakeRunner:
    """The factory that a RunnerSpec names."""
    return FakeRunner(folder, data)
