"""New auxiliary variables of each individual on its own estimate, theta being held: u' = rho u + sqrt(1 - rho^2) xi.

rho = (1 + s^2)^(-1/2) with the scale s that the acceptance steers: s of a small step, independent draws for s to
infinity. Exact.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.sweep_spec import Metric
from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.base import Needs, StepSums
from ensemble.shard.level_kernels.pm_metropolis import refreshed
from ensemble.shard.level_kernels.pseudo_marginal import levels_of_u, misfit_of
from ensemble.shard.level_kernels.walks import WalkKernel
from kernels.dynamics.splitting import Auxiliary
from kernels.state import Info, LevelView
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.transitions.pseudo_marginal.metropolis import PseudoMarginalMetropolis, PseudoMarginalMetropolisParameters
from kernels.transitions.pseudo_marginal.target import AUXILIARY


def correlation(log_scale: jax.Array) -> jax.Array:
    """rho = (1 + s^2)^(-1/2) of a refresh with the scale s."""
    return jax.lax.rsqrt(1.0 + jnp.exp(2.0 * log_scale))


class Kernel(WalkKernel):
    """A refresh of every individual."""

    needs = Needs(auxiliary=True)

    @classmethod
    def misfit(cls, target: Target, structure: Structure, level: str) -> str | None:
        return misfit_of(level in levels_of_u(target, structure), target, structure)

    @classmethod
    def is_default(cls, target: Target, structure: Structure, level: Level) -> bool:
        """Of u."""
        return level.name in levels_of_u(target, structure)

    @classmethod
    def metric(cls, asked: Metric, level: Level, replicas: int) -> Metric:
        """The cheapest: it is not read."""
        return "diagonal"

    def first_log_scale(self) -> np.ndarray:
        """0, a correlation of 2^(-1/2)."""
        return np.zeros(self.level.n_blocks)

    def transition(self, view: LevelView) -> PseudoMarginalMetropolis:
        return PseudoMarginalMetropolis(view, Auxiliary(view, AUXILIARY))

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> PseudoMarginalMetropolisParameters:
        level = jax.tree.map(jnp.asarray, tuning.levels[self.level.name][rung])
        beta, rho = jnp.asarray(tuning.betas[rung]), correlation(level.log_scale)
        return PseudoMarginalMetropolisParameters(beta, level.log_scale, level.factor, rho)

    def sums(self, info: Info, parameters: PseudoMarginalMetropolisParameters) -> StepSums:
        return refreshed(info, self.level.n_blocks)
