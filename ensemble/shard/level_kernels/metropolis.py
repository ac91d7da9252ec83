"""Metropolis on all blocks of a level at once: random walk, and fitted proposals on leaf levels. Exact."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.steering import gain
from ensemble.protocol.statistics import Rate
from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.base import Seen, StepSums
from ensemble.shard.level_kernels.walks import WalkKernel
from kernels.state import LevelView
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.transitions.metropolis import Metropolis, MetropolisInfo, MetropolisParameters

FITTED_ROUND = 6
"""First round of a phase of `equilibrate` with fitted proposals: before it the covariances are too uncertain."""


def metropolis_parameters(tuning: TuningState, level: str, rung: int) -> MetropolisParameters:
    """What steers Metropolis on a level at a rung."""
    return MetropolisParameters(*jax.tree.map(jnp.asarray, (tuning.betas[rung], *tuning.levels[level][rung])))


class Kernel(WalkKernel):
    """Metropolis: what a level does unless something else suits it better."""

    @classmethod
    def is_default(cls, target: Target, structure: Structure, level: Level) -> bool:
        """Where no other kernel is."""
        return True

    def mix(self, old: np.ndarray, seen: Seen) -> np.ndarray:
        """Share of fitted proposals: half at first, then more where they are accepted, never without the random
        walk."""
        if not self.level.leaf or self.told.metric != "dense" or seen.round_ < FITTED_ROUND:
            return np.zeros_like(old)
        wanted = np.clip(np.where(np.isnan(seen.fitted), 0.5, seen.fitted), 0.1, 0.7)
        return np.where(old == 0, 0.5, old + (wanted - old) * min(1.0, gain(seen.round_)))

    def transition(self, view: LevelView) -> Metropolis:
        return Metropolis(view)

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> MetropolisParameters:
        return metropolis_parameters(tuning, self.level.name, rung)

    def sums(self, info: MetropolisInfo, parameters: MetropolisParameters) -> StepSums:
        walk, fitted = (Rate(jnp.sum(a, axis=0), jnp.sum(b, axis=0)) for a, b in (info.walk, info.fitted))
        return StepSums(walk, fitted, jnp.sum(info.nonfinite), jnp.zeros(2))
