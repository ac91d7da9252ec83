"""NUTS on the one block of a level, replicas in lock-step. Exact."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.statistics import Rate
from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.base import TRAJECTORY_FACTS, Needs, StepSums, nothing
from ensemble.shard.level_kernels.trajectories import TrajectoryKernel
from kernels.dynamics.metric import WIDEST_DENSE
from kernels.state import LevelView
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.transitions.nuts.sampler import Nuts, NutsInfo, NutsParameters

ACCEPTANCE = 0.8


class Kernel(TrajectoryKernel):
    """NUTS with the integrator that it is told."""

    needs = Needs(gradient=True, one_block=True, doubles=True)
    statistics = (*TRAJECTORY_FACTS, "tree_depth")

    @classmethod
    def is_default(cls, target: Target, structure: Structure, level: Level) -> bool:
        """Where the level is one block that is wide, and the model has a gradient."""
        return target.has_gradient and level.width > WIDEST_DENSE and level.n_blocks == 1

    def target_acceptance(self) -> np.ndarray | float:
        return ACCEPTANCE

    def lengths(
        self, step_sizes: np.ndarray, numbers: np.ndarray, depth_limit: int, length_range: tuple[float, float]
    ) -> np.ndarray:
        """Doublings allowed."""
        return np.full((len(step_sizes), len(numbers)), min(depth_limit, self.told.max_depth))

    def transition(self, view: LevelView) -> Nuts:
        return Nuts(view, self.told.max_depth, self.scheme)

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> NutsParameters:
        level, beta = tuning.levels[self.level.name][rung], jnp.asarray(tuning.betas[rung])
        depth_limit, steepest = self.length(tuning, rung, sweep), self.bound(tuning, rung)
        return NutsParameters(beta, jnp.exp(level.log_scale[0]), self.factor(level), depth_limit, steepest)

    def sums(self, info: NutsInfo, parameters: NutsParameters) -> StepSums:
        tried, per_step = info.n_steps > 0, self.scheme.gradients
        walk = Rate(jnp.sum(jnp.where(tried, info.acceptance_probability, 0.0))[None], jnp.sum(1.0 * tried)[None])
        own = info.n_steps.shape[0] + per_step * jnp.sum(info.n_steps)
        gradients = jnp.stack([1.0 + per_step * jnp.max(info.n_steps_lockstep), 1.0 * own])
        bad, infinite = (jnp.sum(count, dtype=jnp.int64) for count in (info.nonfinite, info.infinite))
        return StepSums(walk, nothing(1), bad, gradients, infinite=infinite)
