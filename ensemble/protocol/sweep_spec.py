"""What a sweep is composed of: a model's structure, the kernel of each level, the interweaving moves."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from kernels.dynamics.metric import WIDEST_DENSE
from kernels.structure.levels import Interweaving, Level, Structure

Metric = Literal["auto", "dense", "diagonal", "low_rank"]
"""Forms of the factor that is kept for the blocks of a level, see kernels.dynamics.metric."""


class KernelSpec(NamedTuple):
    """How the blocks of a level are updated: a kernel by name, and what kernels of its kind may be told.

    kernel: a name in ensemble.shard.level_kernels.registry.
    integrator: the scheme of its trajectories, see kernels.dynamics.integrators.
    max_depth: the most doublings of a NUTS trajectory; HMC's have at most 2 to the power of it steps.
    metric: the form of the factor; auto: dense for narrow blocks, else diagonal.
    rank: directions of a factor of low rank.
    correlation: of old and new auxiliary variables with pm_metropolis, in [0, 1).
    joint_turning: whether auxiliary variables have a say in where a pm_nuts trajectory ends.
    hidden: units of each layer of a surrogate's network.
    """

    kernel: str = "metropolis"
    integrator: str = "leapfrog"
    max_depth: int = 10
    metric: Metric = "auto"
    rank: int = 16
    correlation: float = 0.0
    joint_turning: bool = False
    hidden: tuple[int, ...] = (64, 64)


MOST_INTERWEAVINGS = 16
"""Interweaving moves of one sweep."""


class SweepSpec(NamedTuple):
    """All that a sweep is composed of, the same for every shard and for the coordinator.

    structure: levels and cells, blocks joined where a kernel takes one decision for all.
    kernels: level name -> how it is updated; a level that is not named moves by Metropolis.
    interweavings: moves of a parent together with its children, one a sweep in turn.
    joint: levels beside those of the structure, whose moves take coordinates of several of these at once.
    """

    structure: Structure
    kernels: Mapping[str, KernelSpec]
    interweavings: tuple[Interweaving, ...] = ()
    joint: tuple[Level, ...] = ()

    @property
    def levels(self) -> tuple[Level, ...]:
        """All that a sweep moves: the structure's levels, coarse to fine, then the joint ones."""
        return (*self.structure.levels, *self.joint)

    @property
    def dimension(self) -> int:
        """Coordinates in all."""
        return sum(int(level.sizes.sum()) for level in self.structure.levels)

    @property
    def interweavings_a_sweep(self) -> int:
        """Moves of one sweep: one, or each of them twice where a sweep is one long trajectory of all parameters."""
        alone = len(self.levels) == 1 and self.kernel_of(self.levels[0]).kernel == "nuts"
        return min(2 * len(self.interweavings), MOST_INTERWEAVINGS) if alone and self.interweavings else 1

    def kernel_of(self, level: Level) -> KernelSpec:
        """How a level is updated."""
        return self.kernels.get(level.name, KernelSpec())

    def metric_of(self, level: Level) -> Metric:
        """The form of a level's factor: dense, diagonal or low_rank."""
        metric = self.kernel_of(level).metric
        if metric != "auto":
            return metric
        return "dense" if level.width <= WIDEST_DENSE else "diagonal"
