"""Runs that are watched: the real coordinator on the fleet of this process, a look after every round, nothing kept."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ensemble.fleet.local import Fleet, LocalFleet
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult
from ensemble.run.coordinator import Coordinator
from ensemble.run.sitting import Sitting
from ensemble.store.opening import create
from workflows.sampling.fleets import runner_spec
from workflows.sampling.problem import Problem
from workflows.sampling.run_settings import run_settings
from workflows.sampling.store_plan import layout
from workflows.settings.loading import Settings

Look = Callable[[Fleet, RoundPlan, list[RoundResult]], None]
"""What is done after every round, with the fleet as the round left it."""

SETTINGS: Mapping[str, Any] = {
    "store": {"chains": 8, "commit_rounds": 1000, "budget_mb": 1e6},
    "goals": {"draws": 4},
}
"""Of such a run, in 8 superchains (or 2, or 4): few chains are recorded, and commits are rare."""
CHUNK_DRAWS = 4
"""Draws in a chunk of its store."""


class Watched:
    """A fleet whose every round is looked at."""

    def __init__(self, fleet: Fleet, look: Look) -> None:
        self.fleet, self.look = fleet, look

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fleet, name)

    def run(self, plan: RoundPlan) -> list[RoundResult]:
        """One round of the fleet, and the look at it."""
        results = self.fleet.run(plan)
        self.look(self.fleet, plan, results)
        return results


def run(
    chosen: Settings,
    problem: Problem,
    look: Look,
    starts: list[Arrays] | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> None:
    """Run to the end, or until a stop is requested. starts: of every superchain, None where each draws its own.

    Raises StartError where no start has a finite density.
    """
    settings = run_settings(chosen, problem)
    fleet = Watched(LocalFleet(runner_spec(problem, chosen, settings.shard), settings.superchains), look)
    fleet.initialise(starts)
    arrays = layout(problem, settings.shard, settings.superchains, CHUNK_DRAWS)
    with (
        tempfile.TemporaryDirectory() as folder,
        create(Path(folder) / "run.zarr", arrays, {}) as store,
    ):
        Coordinator(fleet, store, problem.spec, settings, Sitting(stop_requested=stop_requested)).run()


def gradients(results: list[RoundResult]) -> float:
    """Gradients of a chain in a round, one after another: the mean over shards."""
    return float(np.mean([result.statistics.gradients[0] for result in results]))
