"""What kernels have in common whose scale follows from their acceptance, and their shape from the covariance."""

from abc import ABC

import numpy as np

from ensemble.adaptation.covariance import covariance_factor
from ensemble.adaptation.moments import Moments
from ensemble.adaptation.steering import steered, target_acceptance
from ensemble.protocol.tuning import LevelTuning
from ensemble.shard.level_kernels.base import LevelKernel, Seen
from kernels.transitions.metropolis import BEST


class WalkKernel(LevelKernel, ABC):
    """A random walk of blocks, in units of the ensemble's covariance."""

    def first_log_scale(self) -> np.ndarray:
        """BEST / sqrt(p)."""
        return np.log(BEST / np.sqrt(self.level.sizes.astype(float)))

    def target_acceptance(self) -> np.ndarray | float:
        """By the size of the blocks."""
        return target_acceptance(self.level.sizes)

    def adapted(self, old: LevelTuning, seen: Seen) -> LevelTuning:
        """The scale by the acceptance, the shape by the pooled covariance."""
        scale = steered(old.log_scale, seen.walk, self.target_acceptance(), seen.round_)
        factor = covariance_factor(seen.states, np.asarray(old.factor))
        return old._replace(log_scale=scale, mean=seen.states.mean, factor=factor, mix=self.mix(old.mix, seen))

    def mix(self, old: np.ndarray, seen: Seen) -> np.ndarray:
        """Share of fitted proposals, [B]."""
        return np.zeros_like(old)

    def restarted(self, old: LevelTuning, states: Moments) -> LevelTuning:
        """Scales from their first values, in units of the ensemble's covariances."""
        factor = covariance_factor(states, np.asarray(old.factor))
        return self.first()._replace(mean=states.mean, factor=factor, common=old.common)
