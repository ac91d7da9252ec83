"""NUTS on the density that a network has learned, its draw accepted on the true one (two stages). Exact."""

from typing import Any

import jax

from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels import nuts
from ensemble.shard.level_kernels.base import Needs, StepSums
from ensemble.shard.level_kernels.surrogate.hmc import without_gradients
from ensemble.shard.level_kernels.surrogate.learning import LearningKernel
from kernels.state import LevelView
from kernels.transitions.nuts.sampler import NutsParameters
from kernels.transitions.nuts.surrogate import SurrogateNuts


class Kernel(LearningKernel, nuts.Kernel):
    """Trajectories of the network that end where they turn: a draw costs one density and no gradient."""

    needs = Needs(gradient=True, one_block=True, doubles=True)

    def transition(self, view: LevelView) -> SurrogateNuts:
        return SurrogateNuts(view, self.told.max_depth, self.scheme)

    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> NutsParameters:
        return super().parameters(tuning, rung, sweep)._replace(network=self.network(tuning, rung, sweep))

    def sums(self, info: Any, parameters: NutsParameters) -> StepSums:
        return without_gradients(super().sums(info, parameters), parameters)
