"""When an ensemble has arrived in the typical set, and what it has spent on the way.

It has arrived at the first of three rounds in a row whose mean log density is within one standard deviation (of one
replica in equilibrium) of its equilibrium value.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ensemble.fleet.local import Fleet
from ensemble.protocol.plans import RoundPlan, RoundResult
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run.settings import RunSettings
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.starts.approximations import ITERATIONS, path_draws
from workflows.sampling.problem import Problem
from workflows.sampling.run_settings import run_settings
from workflows.settings.loading import Settings
from workflows.studies import watched
from workflows.studies.scouts.targets import Equilibrium

IN_A_ROW = 3


class Arrival(NamedTuple):
    """What it took, up to and including the round of arrival: see Seen."""

    rounds: int
    evaluations: float
    gradients: float
    seconds: float
    stage: str


def arrived(means: Sequence[float], equilibrium: Equilibrium, in_a_row: int = IN_A_ROW) -> int | None:
    """Index of the first of `in_a_row` means in a row within one sd of equilibrium, or None. NaN is never within."""
    within = [abs(mean - equilibrium.mean) <= equilibrium.sd for mean in means]
    run = 0
    for index, inside in enumerate(within):
        run = run + 1 if inside else 0
        if run == in_a_row:
            return index - in_a_row + 1
    return None


def evaluations(plan: RoundPlan, spec: SweepSpec, settings: RunSettings) -> float:
    """Log densities that a chain evaluates in a round, without those that come with a gradient.

    An update of a level by Metropolis is one, whatever share of the terms it needs; so is an interweaving move. A
    trajectory of momentum diffusion of n steps with K directions is n (2 K + 1) + 1 for each leaf level, and the terms
    computed anew after it are one more. Audits and moments are not counted.
    """
    scout = settings.shard.scout
    if settings.shard.runs_scout(plan.stage):
        trajectory = scout["trajectory"] * (2 * scout["directions"] + 1) + 1
        return 1.0 + sum(trajectory if level.leaf else scout["repeats"] for level in spec.structure.levels)
    kernels = [kernel for kernel in level_kernels(spec).values() if not kernel.needs.gradient]
    updates = [settings.shard.repeats if kernel.is_repeated else 1 for kernel in kernels]
    interweaving = int(np.sum(plan.tuning["schedule"] < len(spec.interweavings)))
    return float(plan.sweeps * sum(updates) + interweaving)


def path_cost(settings: Settings, dimension: int) -> tuple[float, float]:
    """(log densities, gradients) of a start: those of Pathfinder are counted for a full path, without the extra steps
    of its line searches, which BlackJAX does not report."""
    if settings.start.kind != "pathfinder":
        return 0.0, 0.0
    points = ITERATIONS + 1
    return float(points * path_draws(dimension)), float(points)


class Seen:
    """What is noted of every round: the log densities of all replicas, what a chain evaluated (`evaluations`, and
    `gradients` one after another), the kernel seconds of all shards and the stage."""

    def __init__(self, chosen: Settings, problem: Problem) -> None:
        self.problem, self.settings = problem, run_settings(chosen, problem)
        self.densities: list[np.ndarray] = []
        self.stages: list[str] = []
        start = path_cost(chosen, problem.model.target.dimension)
        self.spent: list[tuple[float, float, float]] = [(*start, 0.0)]

    def look(self, fleet: Fleet, plan: RoundPlan, results: list[RoundResult]) -> None:
        """Note one round and its costs."""
        self.densities.append(np.concatenate([result.statistics.lp for result in results]))
        self.stages.append(plan.stage.name)
        evaluated = evaluations(plan, self.problem.spec, self.settings)
        self.spent.append((evaluated, watched.gradients(results), sum(result.kernel_seconds for result in results)))

    @property
    def means(self) -> list[float]:
        """Mean log density of the ensemble after every round."""
        return [float(values.mean()) for values in self.densities]

    @property
    def seconds(self) -> float:
        """Kernel seconds so far."""
        return sum(cost[2] for cost in self.spent)

    def arrival(self, equilibrium: Equilibrium) -> Arrival | None:
        """When the ensemble arrived, if it did."""
        index = arrived(self.means, equilibrium)
        if index is None:
            return None
        evaluated, gradients, seconds = (float(cost) for cost in np.sum(self.spent[: index + 2], axis=0))
        return Arrival(index + 1, evaluated, gradients, seconds, self.stages[index])
