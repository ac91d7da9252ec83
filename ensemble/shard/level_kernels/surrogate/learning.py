"""What kernels with a network have in common: where it fits, its place in the tuning, its trial before the freeze."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.surrogates.teaching import untaught
from ensemble.protocol.sweep_spec import Metric
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.shard.level_kernels.base import Needs, Seen
from ensemble.shard.level_kernels.pseudo_marginal import has_theta_alone
from ensemble.shard.level_kernels.trajectories import WIDEST_POOLED, TrajectoryKernel
from kernels.dynamics.network import Network
from kernels.structure.joining import ALL_SITES
from kernels.structure.levels import Level, Structure
from kernels.target import Target


class LearningKernel(TrajectoryKernel):
    """A trajectory kernel by the gradient until its network is trained, and where that is dropped."""

    needs = Needs(gradient=True, one_block=True)
    learns = True

    @classmethod
    def misfit(cls, target: Target, structure: Structure, level: str) -> str | None:
        """The network knows the coordinates of its level alone: there must be no others, but for auxiliary ones."""
        everything = level == ALL_SITES or len(structure.levels) == 1
        if not everything and not has_theta_alone(target, structure, level):
            return (
                "whose network would know nothing of the other levels, on which the density depends: give it all "
                f"parameters (kernels.levels.{ALL_SITES})"
            )
        width = target.dimension if everything else int(structure.level(level).sizes.sum())
        if width > WIDEST_POOLED:
            return f"whose network takes up to {WIDEST_POOLED} coordinates, and there are {width}"
        return super().misfit(target, structure, level)

    @classmethod
    def metric(cls, asked: Metric, level: Level, replicas: int) -> Metric:
        """Dense, but where a diagonal one is asked for."""
        return "diagonal" if asked == "diagonal" else "dense"

    def first(self) -> LevelTuning:
        return super().first()._replace(surrogate=untaught(self.level.width, self.told.hidden))

    def adapted(self, old: LevelTuning, seen: Seen) -> LevelTuning:
        """As by the gradient; once the network is trained nothing but what is known of it."""
        surrogate = old.surrogate
        assert surrogate is not None
        if not surrogate.network.trained:
            return super().adapted(old, seen)
        accepted = np.nan_to_num(np.mean(seen.walk))
        return old._replace(surrogate=surrogate._replace(trial=surrogate.trial + np.array([accepted, 1.0])))

    def network(self, tuning: TuningState, rung: int, sweep: jax.Array) -> Network:
        """The network of a rung, as in use in a sweep of the round."""
        surrogate = tuning.levels[self.level.name][rung].surrogate
        assert surrogate is not None
        left_aside = jnp.asarray(tuning.by_gradient[self.level.name])[sweep]
        return surrogate.network._replace(trained=surrogate.network.trained & ~left_aside)
