"""HMC whose force is the slope of a network that has learned it, accepted on the true density. Exact."""

from typing import Any

import jax
import jax.numpy as jnp

from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels import hmc
from ensemble.shard.level_kernels.base import StepSums
from ensemble.shard.level_kernels.surrogate.learning import LearningKernel
from kernels.transitions.hmc import HmcParameters


class Kernel(LearningKernel, hmc.Kernel):
    """Trajectories of one length by the network's force: a step costs no gradient, its decision one density."""

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> HmcParameters:
        return super().parameters(tuning, rung, sweep)._replace(network=self.network(tuning, rung, sweep))

    def sums(self, info: Any, parameters: HmcParameters) -> StepSums:
        return without_gradients(super().sums(info, parameters), parameters)


def without_gradients(sums: StepSums, parameters: Any) -> StepSums:
    """The sums with no gradients of the density where the network has taken its place."""
    return sums._replace(gradients=jnp.where(parameters.network.trained, 0.0, sums.gradients))
