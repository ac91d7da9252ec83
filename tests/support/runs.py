"""Small runs for tests of the whole: one settings dictionary, and what two runs must have in common bit for bit.

As a program (`python -m tests.support.runs SIGNAL ROUND ARGUMENT...`) this is the command line `maxwell ARGUMENT...`
in a process that sends itself a signal after a round; `tree:SIGNAL` sends it to all processes below this one first, as
schedulers and systemd do, `SIGNAL*2` twice; `workers:SIGNAL` starts a Ray cluster of two places, runs there and
sends it to the workers first. `hands` are the workers of the run's own Ray, `raylet` is what starts them; `hands!` and
`raylet!` get the signal alone, and go on three seconds after a SIGSTOP.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from ensemble.protocol.plans import RunnerSpec
from ensemble.protocol.progress import NullProgress, Status
from ensemble.run.settings import RunSettings
from ensemble.store.contents import Layout
from workflows.cli import main as cli
from workflows.results import progress
from workflows.results.run import Run
from workflows.sampling.fleets import runner_spec
from workflows.sampling.problem import Problem, named_problem
from workflows.sampling.run_settings import run_settings
from workflows.sampling.store_plan import layout
from workflows.settings.loading import make_settings

GROUPS = ("posterior", "sample_stats", "warmup_posterior", "warmup_sample_stats")
SETTINGS: dict[str, Any] = {
    "model": {"name": "tests.support.models.user_model:groups"},
    "ensemble": {"replicas": 8, "superchains": 4, "workers": 2},
    "kernels": {"whole": "none"},
    "round": {"sweeps": 2},
    "scout": {"max_rounds": 3},
    "momentum_diffusion": {"trajectory": 3, "repeats": 2},
    "equilibrate": {"max_rounds": 4, "refine_rounds": 2, "global_repeats": 2},
    "tempering": {"temperatures": [1.0, 3.0], "stages": ["equilibrate", "sample"]},
    "sample": {"burn_rounds": 1},
    # Goals that the limit on sweeps forestalls: every run makes the same 20 rounds.
    "goals": {"ess": 1e6, "draws": 1000},
    "limits": {"sweeps": 37},
    "store": {"commit_rounds": 3, "commit_seconds": 0.0},
}


class Messages(NullProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


class Parts(NamedTuple):
    """What a test needs that steers a fleet by hand: problem, settings of the run, what builds a runner, arrays."""

    problem: Problem
    settings: RunSettings
    spec: RunnerSpec
    layout: Layout


def parts(content: Mapping[str, Any]) -> Parts:
    """Of a run with these settings; three draws in a chunk."""
    chosen = make_settings(content)
    problem = named_problem(chosen)
    settings = run_settings(chosen, problem)
    arrays = layout(problem, settings.shard, settings.superchains, 3)
    return Parts(problem, settings, runner_spec(problem, chosen, settings.shard), arrays)


def config(folder: Path, **changes: Any) -> Path:
    """The settings as a YAML file in a folder, with some sections changed."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SETTINGS, **changes}))
    return path


def draws(run: Any) -> dict[str, np.ndarray]:
    """Every recorded variable of every group."""
    data = run.data
    return {f"{group}/{name}": data[group][name].values for group in GROUPS for name in data[group].data_vars}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two runs are equal bit for bit."""
    return one.keys() == other.keys() and all(
        one[name].shape == other[name].shape and one[name].tobytes() == other[name].tobytes() for name in one
    )


def contents(store: Path) -> dict[str, bytes]:
    """Every byte of every file of a store, but for the lock's, which says who looked last."""
    return {
        str(file.relative_to(store)): file.read_bytes()
        for file in store.rglob("*")
        if file.is_file() and file.name != ".lock"
    }


def rounds(store: Path, burnt: int = 0) -> int:
    """How many rounds a store holds. burnt: those of `sample` that were burnt in, which are in none of its groups."""
    found = draws(Run(store))
    return found["warmup_sample_stats/lp"].shape[1] + found["sample_stats/lp"].shape[1] + burnt


class SignalAt(NullProgress):
    """Sends this process a signal after a number of rounds, some times over. first: to which processes before it."""

    def __init__(
        self,
        number: int,
        epoch: int,
        times: int = 1,
        *,
        first: Callable[[], Iterable[int]] = tuple,
        alone: bool = False,
    ) -> None:
        self.number, self.epoch, self.times, self.first, self.alone = number, epoch, times, first, alone

    def update(self, status: Status) -> None:
        if status.epoch == self.epoch:
            for _ in range(self.times):
                told = [*self.first(), *([] if self.alone else [os.getpid()])]
                _tell(told, self.number)
                if self.number == signal.SIGSTOP:
                    threading.Timer(STOPPED, _tell, (told, signal.SIGCONT)).start()


class EveryRound(NullProgress):
    """Calls something after every round, with its number."""

    def __init__(self, act: Callable[[int], None]) -> None:
        self.act = act

    def update(self, status: Status) -> None:
        self.act(status.epoch)


STOPPED = 3
"""Seconds for which processes are stopped."""


def _tell(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def below(pid: int | None = None) -> list[int]:
    """The children of a process (this one), theirs and so on (Linux)."""
    found: list[int] = []
    for children in Path(f"/proc/{pid or os.getpid()}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                found += [int(child), *below(int(child))]
    return found


def workers() -> list[int]:
    """Those of them that are Ray's workers with shards."""
    return [pid for pid in below() if "ray::Worker" in Path(f"/proc/{pid}/cmdline").read_text()]


def raylets() -> list[int]:
    """The process of Ray that starts workers, and looks after them."""
    return [pid for pid in below() if "raylet/raylet" in Path(f"/proc/{pid}/cmdline").read_text()]


FIRST: dict[str, Callable[[], Iterable[int]]] = {
    "": tuple,
    "tree": below,
    "workers": workers,
    "hands": workers,
    "raylet": raylets,
}
"""Who gets the signal before this process."""


def command(patch: pytest.MonkeyPatch, shown: NullProgress, arguments: list[str]) -> int:
    """The exit status of `maxwell ARGUMENT...` with another progress display."""
    patch.setattr(progress, "make_progress", lambda: shown)
    return cli.main(arguments)


def stopped_run(folder: Path, sweeps: int) -> Path:
    """The store of a run of `config` that stopped at this many sweeps, its goals unmet."""
    with pytest.MonkeyPatch.context() as patch:
        arguments = [
            "run",
            str(config(folder)),
            f"limits.sweeps={sweeps}",
            "--local",
            "--out",
            str(folder / "run.zarr"),
        ]
        assert command(patch, NullProgress(), arguments) == 0
    return folder / "run.zarr"


if __name__ == "__main__":
    asked, epoch, *arguments = sys.argv[1:]
    name, _, times = asked.rpartition(":")[2].partition("*")
    if asked.startswith("workers:"):
        from ray.cluster_utils import Cluster

        arguments.append(f"ensemble.address={Cluster(True, head_node_args={'num_cpus': 2}).address}")
    who = asked.rpartition(":")[0]
    shown = SignalAt(
        signal.Signals[name], int(epoch), int(times or 1), first=FIRST[who.rstrip("!")], alone=who.endswith("!")
    )
    with pytest.MonkeyPatch.context() as patch:
        sys.exit(command(patch, shown, arguments))
