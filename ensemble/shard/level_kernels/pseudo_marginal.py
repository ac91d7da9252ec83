"""What kernels have in common that move the auxiliary variables u of a pseudo-marginal model, alone or with theta."""

from functools import partial

import jax
import jax.numpy as jnp

from ensemble.protocol.tuning import LevelTuning
from ensemble.shard.level_kernels.trajectories import TrajectoryKernel
from kernels.dynamics.forces import log_density_gradient
from kernels.dynamics.metric import Factor, Leading
from kernels.dynamics.splitting import Auxiliary
from kernels.numerics.batching import over_replicas
from kernels.state import LevelView, State
from kernels.structure.levels import Structure
from kernels.structure.probing import GLOBAL
from kernels.target import Target
from kernels.transitions.pseudo_marginal.target import AUXILIARY
from kernels.transitions.pseudo_marginal.trajectories import joint_view
from kernels.types import Data


def with_auxiliary(view: LevelView) -> LevelView:
    """theta, whose level `view` is of, and u as one block."""
    return joint_view(view.target, view.structure, view.tempered)


def levels_of_u(target: Target, structure: Structure) -> list[str]:
    """The levels that have auxiliary variables alone."""
    return [level.name for level in structure.levels if target.auxiliary.issuperset(level.sites)]


def has_theta_alone(target: Target, structure: Structure, level: str) -> bool:
    """Whether the level has all of theta and u a level of its own, as kernels of both need."""
    of_u = levels_of_u(target, structure)
    others = [one.name for one in structure.levels if one.name not in of_u]
    return bool(of_u) and level == GLOBAL and others == [GLOBAL]


def misfit_of(fits: bool, target: Target, structure: Structure) -> str | None:
    """Why a level cannot have a kernel that moves auxiliary variables, None where it `fits`."""
    if not target.auxiliary:
        return "which moves the auxiliary variables of a pseudo-marginal model, and this model has none"
    if fits:
        return None
    of_u = ", ".join(levels_of_u(target, structure)) or "none"
    return (
        f"which is out of place there: pm_ kernels need all of theta on level {GLOBAL} and no other level than those "
        f"of the auxiliary variables, refresh one of these ({of_u})"
    )


class JointTrajectoryKernel(TrajectoryKernel):
    """Trajectories of theta and u together: in theta's pooled metric, with unit mass for u."""

    @classmethod
    def misfit(cls, target: Target, structure: Structure, level: str) -> str | None:
        reason = misfit_of(has_theta_alone(target, structure, level), target, structure)
        return reason or super().misfit(target, structure, level)

    def factor(self, tuning: LevelTuning) -> Factor:
        """1 for each coordinate of u."""
        known = super().factor(tuning)
        assert not isinstance(known, Leading)
        return Leading(known)

    def slopes(self, view: LevelView, states: State, data: Data, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Gradients of theta, and the force on u without that of its normal law, under which it moves exactly."""
        moving = with_auxiliary(view)
        slope = partial(log_density_gradient, moving, data=data, beta=beta)
        slopes = over_replicas(slope, view.target.dimension)(states.position)
        auxiliary = Auxiliary(moving, AUXILIARY)
        u = jax.vmap(moving.blocks)(states.position)[:, auxiliary.first :]
        force = slopes[:, auxiliary.first :] + auxiliary.weight(beta) * u
        return slopes[:, : auxiliary.first], jnp.sum(force**2, axis=1)
