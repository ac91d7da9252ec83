"""Pseudo-marginal Metropolis: theta by a random walk with new auxiliary variables, accepted at once. Exact."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.statistics import Rate
from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.base import Needs, StepSums, counted, nothing
from ensemble.shard.level_kernels.pseudo_marginal import has_theta_alone, misfit_of, with_auxiliary
from ensemble.shard.level_kernels.walks import WalkKernel
from kernels.dynamics.splitting import Auxiliary
from kernels.state import Info, LevelView
from kernels.structure.levels import Structure
from kernels.target import Target
from kernels.transitions.pseudo_marginal.metropolis import PseudoMarginalMetropolis, PseudoMarginalMetropolisParameters
from kernels.transitions.pseudo_marginal.target import AUXILIARY

ACCEPTANCE = 0.07
"""Of a random walk whose density is estimated anew at every proposal: at the best noise (a variance of 3.3 of the log
estimate) the best scale accepts that often (Sherlock, Thiery, Roberts and Rosenthal 2015, Annals of Statistics 43,
238-275). Noise alone may reject more than a walk without noise should, whose rule would shrink the scale to nothing."""


class Kernel(WalkKernel):
    """u' = rho u + sqrt(1 - rho^2) xi with the rho that it is told, theta' by a walk of the scale that adapts."""

    needs = Needs(one_block=True, auxiliary=True)

    @classmethod
    def misfit(cls, target: Target, structure: Structure, level: str) -> str | None:
        return misfit_of(has_theta_alone(target, structure, level), target, structure)

    def target_acceptance(self) -> np.ndarray | float:
        return ACCEPTANCE

    def transition(self, view: LevelView) -> PseudoMarginalMetropolis:
        moving = with_auxiliary(view)
        return PseudoMarginalMetropolis(moving, Auxiliary(moving, AUXILIARY))

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> PseudoMarginalMetropolisParameters:
        level = jax.tree.map(jnp.asarray, tuning.levels[self.level.name][rung])
        beta, rho = jnp.asarray(tuning.betas[rung]), jnp.asarray(self.told.correlation)
        return PseudoMarginalMetropolisParameters(beta, level.log_scale, level.factor, rho)

    def sums(self, info: Info, parameters: PseudoMarginalMetropolisParameters) -> StepSums:
        return refreshed(info, self.level.n_blocks)


def refreshed(info: Info, blocks: int) -> StepSums:
    """The sums of a step with new auxiliary variables."""
    walk = Rate(jnp.sum(info.acceptance_probability, axis=0), jnp.full(blocks, 1.0 * info.nonfinite.shape[0]))
    return StepSums(walk, nothing(blocks), jnp.sum(info.nonfinite), jnp.zeros(2), infinite=counted(info.infinite))
