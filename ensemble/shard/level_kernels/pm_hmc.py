"""Pseudo-marginal HMC: theta and all auxiliary variables in one trajectory, accepted at once. Exact."""

from ensemble.shard.level_kernels import hmc
from ensemble.shard.level_kernels.base import Needs
from ensemble.shard.level_kernels.pseudo_marginal import JointTrajectoryKernel, has_theta_alone, with_auxiliary
from kernels.dynamics.integrators import ROTATION_OUTSIDE, Scheme
from kernels.state import LevelView
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.transitions.hmc import Hmc
from kernels.transitions.pseudo_marginal.trajectories import pseudo_marginal_hmc


class Kernel(JointTrajectoryKernel, hmc.Kernel):
    """HMC whose integrator turns the auxiliary variables under their normal law."""

    needs = Needs(gradient=True, one_block=True, auxiliary=True)

    @classmethod
    def is_default(cls, target: Target, structure: Structure, level: Level) -> bool:
        """Of theta, where the model has a gradient."""
        return target.has_gradient and has_theta_alone(target, structure, level.name)

    @property
    def scheme(self) -> Scheme:
        """Of its trajectories, whatever the settings say of others."""
        return ROTATION_OUTSIDE

    def transition(self, view: LevelView) -> Hmc:
        return pseudo_marginal_hmc(with_auxiliary(view), self.scheme)
