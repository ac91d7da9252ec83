"""Pseudo-marginal NUTS: theta and all auxiliary variables in a trajectory that ends where theta turns. Exact."""

from ensemble.shard.level_kernels import nuts
from ensemble.shard.level_kernels.base import Needs
from ensemble.shard.level_kernels.pseudo_marginal import JointTrajectoryKernel, with_auxiliary
from kernels.dynamics.integrators import STRANG, Scheme
from kernels.state import LevelView
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.transitions.nuts.sampler import Nuts
from kernels.transitions.pseudo_marginal.trajectories import pseudo_marginal_nuts


class Kernel(JointTrajectoryKernel, nuts.Kernel):
    """NUTS whose integrator turns the auxiliary variables under their normal law."""

    needs = Needs(gradient=True, one_block=True, auxiliary=True, doubles=True)

    @classmethod
    def is_default(cls, target: Target, structure: Structure, level: Level) -> bool:
        """Nowhere: pm_hmc is."""
        return False

    @property
    def scheme(self) -> Scheme:
        """Of its trajectories, whatever the settings say of others."""
        return STRANG

    def transition(self, view: LevelView) -> Nuts:
        return pseudo_marginal_nuts(with_auxiliary(view), self.told.max_depth, joint=self.told.joint_turning)
