"""Pseudo-marginal HMC and NUTS: theta and all of u in one trajectory, in which u rotates under its prior.

H = -log p(theta) - log phat(theta, u) + u'u / 2 + (|rho|^2 + |p|^2) / 2, with theta in units of a factor L: the mass of
theta is (L L')^-1, that of u is 1. See `splitting` for the step. As N grows the force on u fades while the rotation
stays exact: acceptance at a given step size does not fall with N.
Source: Alenlov, Doucet and Lindsten (2021), Journal of Machine Learning Research 22, 1-45 (HMC with ROTATION_OUTSIDE).
"""

from kernels.dynamics.integrators import ROTATION_OUTSIDE, STRANG, Scheme
from kernels.dynamics.splitting import Auxiliary
from kernels.state import LevelView
from kernels.structure.joining import level_of_all_sites
from kernels.structure.levels import Structure
from kernels.target import Target
from kernels.transitions.hmc import Hmc
from kernels.transitions.nuts.sampler import Nuts
from kernels.transitions.pseudo_marginal.target import AUXILIARY


def joint_view(target: Target, structure: Structure, tempered: frozenset[str] | None = None) -> LevelView:
    """theta and u as one block, u last."""
    return LevelView(target, structure, level_of_all_sites(target, structure), tempered)


def pseudo_marginal_hmc(view: LevelView, scheme: Scheme = ROTATION_OUTSIDE) -> Hmc:
    """A fixed number of steps and one Metropolis test of all; on the level of the individuals, one of each of them.

    parameters.factor: metric.Leading of theta's factor; on the level of the individuals ones [N p, T]. A step costs one
    gradient: with ROTATION_OUTSIDE half-way, with STRANG at its end.
    """
    return Hmc(view, scheme, Auxiliary(view, AUXILIARY))


def pseudo_marginal_nuts(view: LevelView, max_depth: int, *, joint: bool = False) -> Nuts:
    """NUTS that stops when theta turns; joint: when the whole of (theta, u) does or its cap fires, for comparison.

    parameters.factor: metric.Leading of theta's factor. STRANG has the potential of each leaf for its one gradient,
    where ROTATION_OUTSIDE would need another evaluation.
    """
    return Nuts(view, max_depth, STRANG, Auxiliary(view, AUXILIARY), joint=joint)
