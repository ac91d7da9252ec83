"""HMC on all blocks of a level at once; as many steps for all replicas, so that none waits for another. Exact."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.statistics import Rate
from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.base import StepSums, counted, nothing
from ensemble.shard.level_kernels.trajectories import TrajectoryKernel
from kernels.state import Info, LevelView
from kernels.transitions.hmc import Hmc, HmcParameters

ACCEPTANCE = 0.85
GOLDEN = (5.0**0.5 - 1.0) / 2.0
"""Multiples of it fill the unit interval evenly (Weyl's sequence)."""


class Kernel(TrajectoryKernel):
    """HMC with the integrator that it is told."""

    def target_acceptance(self) -> np.ndarray | float:
        return ACCEPTANCE

    def lengths(
        self, step_sizes: np.ndarray, numbers: np.ndarray, depth_limit: int, length_range: tuple[float, float]
    ) -> np.ndarray:
        """Integrator steps, at most 2 to the power of the doublings allowed, of a time of pi / 2 in units of the
        metric, where an oscillator has forgotten its start; times a quasi-random factor from the range, the same for
        all replicas, lest a frequency be in step with it."""
        depth = min(depth_limit, self.told.max_depth)
        factor = length_range[0] + (length_range[1] - length_range[0]) * ((0.5 + numbers * GOLDEN) % 1.0)
        return np.clip(np.rint(0.5 * np.pi * factor / step_sizes[:, None]), 1, 2**depth).astype(np.int64)

    def transition(self, view: LevelView) -> Hmc:
        return Hmc(view, self.scheme)

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> HmcParameters:
        level, beta = tuning.levels[self.level.name][rung], jnp.asarray(tuning.betas[rung])
        n_steps, steepest = self.length(tuning, rung, sweep), self.bound(tuning, rung)
        return HmcParameters(beta, jnp.exp(level.log_scale), self.factor(level), n_steps, steepest)

    def sums(self, info: Info, parameters: HmcParameters) -> StepSums:
        blocks, replicas, n_steps = self.level.n_blocks, info.nonfinite.shape[0], parameters.n_steps
        spent = (0.0 if self.scheme.stale else 1.0) + self.scheme.gradients * n_steps
        walk = Rate(jnp.sum(info.acceptance_probability, axis=0), jnp.full(blocks, 1.0 * replicas))
        # A trajectory of no steps accepts for certain, which says nothing about the step size.
        walk = jax.tree.map(partial(jnp.where, n_steps > 0), walk, nothing(blocks))
        gradients = jnp.stack([spent, spent * replicas])
        return StepSums(walk, nothing(blocks), jnp.sum(info.nonfinite), gradients, infinite=counted(info.infinite))
