"""Whether trajectories on all parameters pay beside the levels' moves: what each does for the slowest coordinate."""

from typing import NamedTuple

import numpy as np

from ensemble.adaptation.moments import EnsembleMoments, variances
from ensemble.protocol.statistics import ByLevel, RoundStatistics, summed
from ensemble.protocol.sweep_spec import SweepSpec
from kernels.dynamics.integrators import SCHEMES

GRADIENT = 3.0
"""Evaluations of the density that a gradient costs."""

ALONE, BESIDE = 0, 1
"""Rounds without trajectories, and with them."""

PREFERENCE = 3.0
"""How many times as good the levels' moves must be alone to do without trajectories, which are the more robust."""


class Jumps(NamedTuple):
    """What rounds of both kinds have moved.

    squares: by level, [2, p, B], squared distances from the first to the last state of a round, summed over rounds and
        cold replicas.
    rounds: how many there were, [2].
    steps: integrator steps of the trajectories of one replica, summed over rounds, [2].
    """

    squares: ByLevel
    rounds: np.ndarray
    steps: np.ndarray


def no_jumps(spec: SweepSpec) -> Jumps:
    """Before any round; without arrays where there is nothing to weigh."""
    shapes = {level.name: (2, level.width, level.n_blocks) for level in spec.structure.levels if spec.joint}
    return Jumps({name: np.zeros(shape) for name, shape in shapes.items()}, np.zeros(2), np.zeros(2))


def absorb_jumps(jumps: Jumps, statistics: list[RoundStatistics], kind: int, replicas: int) -> Jumps:
    """The jumps with those of a round of a kind. replicas: in all."""
    found, steps = summed([(shard.jumps or {}, shard.chains.n_steps) for shard in statistics])
    squares = dict(jumps.squares)
    for name, values in found.items():
        squares[name] = squares[name] + np.stack([values * (kind == each) for each in (ALONE, BESIDE)])
    here = np.arange(2) == kind
    return Jumps(squares, jumps.rounds + here, jumps.steps + here * np.sum(np.asarray(steps)) / replicas)


def worth_joining(
    jumps: Jumps, moments: EnsembleMoments, spec: SweepSpec, sweeps: int, repeats: int, replicas: int
) -> bool:
    """Whether rounds that end with trajectories make more of the slowest coordinate for their operations.

    A coordinate of variance v whose squared jump over a round is 2 v (1 - rho) on average gives (1 - rho) / (1 + rho)
    effective draws a round. The levels' own moves cost an evaluation of the density each, trajectories a gradient a
    step. sweeps: of a round. repeats: updates of a level that is no leaf in a sweep. replicas: in all.
    """
    if not jumps.rounds.all():
        return True
    own = sweeps * (1.0 + sum(1 if level.leaf else repeats for level in spec.structure.levels))
    scheme = SCHEMES[spec.kernel_of(spec.joint[0]).integrator]
    cost = own + GRADIENT * scheme.gradients * jumps.steps / jumps.rounds
    slowest = np.full(2, np.inf)
    for level in spec.structure.levels:
        if level.name not in jumps.squares:
            continue
        variance = variances(moments.states[level.name][0])
        there = variance > 0
        moved = jumps.squares[level.name][:, there] / (replicas * jumps.rounds[:, None])
        left = np.clip(moved / (2.0 * variance[there]), 0.0, 1.0)
        slowest = np.minimum(slowest, (left / (2.0 - left)).min(axis=1, initial=np.inf))
    alone, beside = slowest / cost
    return bool(alone <= PREFERENCE * beside)
