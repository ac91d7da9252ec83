"""What kernels have in common that follow the gradient: step sizes, a pooled metric, lengths, bounds on forces."""

from abc import ABC, abstractmethod
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation import pooled_metric
from ensemble.adaptation.moments import Moments
from ensemble.adaptation.steering import steered_step
from ensemble.protocol.sweep_spec import KernelSpec, Metric
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.shard.level_kernels.base import TRAJECTORY_FACTS, LevelKernel, Needs, Seen
from kernels.dynamics.forces import log_density_gradients
from kernels.dynamics.integrators import SCHEMES, Scheme
from kernels.dynamics.metric import Factor, LowRank
from kernels.state import LevelView, State
from kernels.structure.levels import Level
from kernels.types import Data

STEEPEST = 2.0
"""Largest force, in units of the usual one; with room for 3 more, which is far out where p is small."""
WIDEST_POOLED = 512
"""Widest block for which a dense metric is pooled by default: d^2 numbers travel in each round of the warm-up. One of
low rank is for wider ones: on 2,429 coordinates of a volatile walk b2 is a tenth of the diagonal's after 1,200
gradients."""
STATES_PER_COORDINATE = 4
"""Replicas for each direction of a metric of low rank, from which on it is the default."""
COORDINATES_PER_STATE = 4
"""Coordinates of a dense metric for each replica, up to which it is the default: moments are pooled over many rounds,
and gradients tell of directions in which states hardly differ."""


def affordable(width: int, replicas: int) -> Metric:
    """The best form of the metric of one block that so many replicas can estimate."""
    if width <= min(WIDEST_POOLED, replicas * COORDINATES_PER_STATE):
        return "dense"
    enough = width > WIDEST_POOLED and replicas >= STATES_PER_COORDINATE * KernelSpec().rank
    return "low_rank" if enough else "auto"


class TrajectoryKernel(LevelKernel, ABC):
    """A kernel whose trajectories follow the gradient in units of a metric pooled over the ensemble."""

    needs = Needs(gradient=True)
    statistics: ClassVar[tuple[str, ...]] = TRAJECTORY_FACTS

    @property
    def scheme(self) -> Scheme:
        """Of its trajectories: as it is told."""
        return SCHEMES[self.told.integrator]

    @classmethod
    def metric(cls, asked: Metric, level: Level, replicas: int) -> Metric:
        """As asked; of one block what the ensemble can estimate; of low rank for one block alone."""
        if asked == "auto" and level.n_blocks == 1:
            return affordable(level.width, replicas)
        return "auto" if asked == "low_rank" and level.n_blocks > 1 else asked

    def first_log_scale(self) -> np.ndarray:
        """p^(-1/4), the scaling that keeps the acceptance of HMC (Beskos et al. 2013)."""
        return -0.25 * np.log(self.level.sizes.astype(float))

    def adapted(self, old: LevelTuning, seen: Seen) -> LevelTuning:
        """The step size by the acceptance, the metric by the pooled moments; one of low rank by its sketch, apart."""
        wanted = 1.0 - (1.0 - self.target_acceptance()) / 2.0**seen.care
        scale = steered_step(old.log_scale, seen.walk, wanted, seen.round_)
        new = old._replace(log_scale=scale, mean=seen.states.mean)
        if isinstance(old.factor, LowRank):
            return new
        assert seen.gradients is not None
        return new._replace(factor=pooled_metric.factor(seen.states, seen.gradients, old.factor))

    def restarted(self, old: LevelTuning, states: Moments) -> LevelTuning:
        """As it was: the metric of few rounds is already good."""
        return old

    def steepest(self, usual: np.ndarray) -> np.ndarray:
        """The largest force of the next round, by the usual squared norm of forces, [rungs] both: STEEPEST times the
        usual norm, that of equilibrium or, while the ensemble is still far from it, that of most replicas."""
        return 3.0 + STEEPEST * np.sqrt(np.maximum(usual, self.level.width))

    @abstractmethod
    def lengths(
        self, step_sizes: np.ndarray, numbers: np.ndarray, depth_limit: int, length_range: tuple[float, float]
    ) -> np.ndarray:
        """The lengths of the trajectories of a round, [rungs, sweeps], integers.

        step_sizes: [rungs]. numbers: of the sweeps since the stage began, [sweeps]. depth_limit: doublings allowed,
        beside those that the level's kernel is told. length_range: of the factor on the usual length.
        """

    def slopes(self, view: LevelView, states: State, data: Data, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Gradients [R, p, B] of the level's tempered density, and squared norms [R, 1] of the force on auxiliary
        variables that move along."""
        found = log_density_gradients(view, states.position, data, beta)
        return found, jnp.zeros((len(found), 1))

    def factor(self, tuning: LevelTuning) -> Factor:
        """What the transition takes, of the factor that is adapted for the level."""
        known: Factor = jax.tree.map(jnp.asarray, tuning.factor)
        return known

    def length(self, tuning: TuningState, rung: int, sweep: jax.Array) -> jax.Array:
        """The length of a sweep's trajectories."""
        return jnp.asarray(tuning.lengths[self.level.name])[rung, sweep]

    def bound(self, tuning: TuningState, rung: int) -> jax.Array:
        """The largest norm of a force."""
        return jnp.asarray(tuning.steepest[self.level.name][rung])
