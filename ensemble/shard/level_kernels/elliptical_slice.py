"""Elliptical slice sampling on all blocks of a level at once, by the ensemble's normal fit. Exact."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.covariance import covariance_factor
from ensemble.adaptation.moments import Moments
from ensemble.protocol.statistics import Rate
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.shard.level_kernels.base import LevelKernel, Seen, StepSums, nothing
from kernels.state import LevelView
from kernels.transitions.elliptical_slice import EllipticalSlice, EllipticalSliceInfo, EllipticalSliceParameters


class Kernel(LevelKernel):
    """Without a step size and without rejections: for blocks whose posterior is near normal and hard to tune for."""

    def first_log_scale(self) -> np.ndarray:
        """0, which is not read: there is no scale."""
        return np.zeros(self.level.n_blocks)

    def target_acceptance(self) -> np.ndarray | float:
        """1, to which nothing is steered: every search ends with a point."""
        return 1.0

    def adapted(self, old: LevelTuning, seen: Seen) -> LevelTuning:
        """The fit is that of the pooled moments."""
        return self.restarted(old, seen.states)

    def restarted(self, old: LevelTuning, states: Moments) -> LevelTuning:
        """The same: the fit forgets nothing but what the moments do."""
        return old._replace(mean=states.mean, factor=covariance_factor(states, np.asarray(old.factor)))

    def transition(self, view: LevelView) -> EllipticalSlice:
        return EllipticalSlice(view)

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> EllipticalSliceParameters:
        level = tuning.levels[self.level.name][rung]
        return EllipticalSliceParameters(*jax.tree.map(jnp.asarray, (tuning.betas[rung], level.mean, level.factor)))

    def sums(self, info: EllipticalSliceInfo, parameters: EllipticalSliceParameters) -> StepSums:
        found = info.acceptance_probability
        walk = Rate(jnp.sum(found, axis=0), jnp.full(self.level.n_blocks, 1.0 * len(found)))
        counts = jnp.sum(info.nonfinite), jnp.zeros(2)
        return StepSums(walk, nothing(self.level.n_blocks), *counts, infinite=jnp.sum(info.infinite))
