"""What a kernel of a level is: where it fits, how its tuning starts and adapts, how all replicas of a rung step."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.moments import Moments
from ensemble.protocol.statistics import Rate
from ensemble.protocol.sweep_spec import KernelSpec, Metric
from ensemble.protocol.tuning import LevelTuning, TuningState
from kernels.dynamics.metric import LowRank
from kernels.state import LevelView, State
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.types import Data


class Needs(NamedTuple):
    """What a kernel asks of a level.

    gradient: that the model has one, which the kernel follows.
    one_block: that all blocks are joined into one.
    auxiliary: that the model is pseudo-marginal, and moves its auxiliary variables.
    doubles: that its trajectories' lengths are given as doublings and not as steps.
    """

    gradient: bool = False
    one_block: bool = False
    auxiliary: bool = False
    doubles: bool = False


class StepSums(NamedTuple):
    """Sums over the replicas of a step.

    walk: of moves from where a block was, [B].
    fitted: of independence proposals, [B].
    nonfinite: proposals rejected for a non-finite density.
    gradients: [2] evaluations of the gradient one after another, which all replicas wait for, and evaluations that the
        replicas needed, summed.
    common: of draws from common laws, by coordinate; None where there are none.
    infinite: those of the proposals rejected where the density was +inf; None where the kernel does not tell.
    """

    walk: Rate
    fitted: Rate
    nonfinite: jax.Array
    gradients: jax.Array
    common: Rate | None = None
    infinite: jax.Array | None = None


class ChainFacts(NamedTuple):
    """What a kernel knows of each replica's step, [R] each, None where it knows no such thing.

    acceptance_probability: mean over the blocks.
    n_steps: integrator steps of the trajectory.
    tree_depth: doublings that joined it.
    diverging: whether H rose by more than 1000 along it, in any block, or was not finite.
    step_size: h, the mean over the blocks.
    energy: H of the point where the step ends, with the terms of the level alone in U.
    """

    acceptance_probability: jax.Array
    n_steps: jax.Array | None = None
    tree_depth: jax.Array | None = None
    diverging: jax.Array | None = None
    step_size: jax.Array | None = None
    energy: jax.Array | None = None


TRAJECTORY_FACTS = ("acceptance_probability", "n_steps", "diverging", "step_size", "energy")
"""What all kernels of trajectories know."""


class Seen(NamedTuple):
    """What a level's tuning adapts to after a round, at one rung.

    walk: mean acceptance of moves from where a block was, [B], NaN where nothing was tried.
    fitted: the same of independence proposals.
    states: pooled moments of the blocks.
    gradients: the same of the gradient, None where it is not followed.
    round_: number of the round in its phase.
    care: how often trajectories were found to diverge in a settled ensemble.
    quantiles: that each shard saw, where the level has common laws. common: acceptance of draws from these, [p].
    information: that each shard saw, where the level asks for it.
    """

    walk: np.ndarray
    fitted: np.ndarray
    states: Moments
    gradients: Moments | None
    round_: int
    care: int = 0
    quantiles: tuple[np.ndarray, ...] = ()
    common: np.ndarray | None = None
    information: tuple[np.ndarray, ...] = ()


class Transition(Protocol):
    """A kernel of kernels.transitions, all of which are called alike."""

    exact: ClassVar[bool]

    def step(self, keys: jax.Array, states: Any, data: Data, parameters: Any) -> tuple[Any, Any]:
        """keys [R], every array of `states` with a leading axis R -> the states after the step, what it reports."""


class LevelKernel(ABC):
    """One kernel on one level. `level`: whose blocks it updates, joined where it needs that; `told`: what the settings
    tell it, its metric no longer `auto`."""

    needs: ClassVar[Needs] = Needs()
    statistics: ClassVar[tuple[str, ...]] = ("acceptance_probability",)
    """The fields of ChainFacts that its steps know."""

    learns: ClassVar[bool] = False
    """Whether it has a network that learns the gradient in warm-up, see level_kernels.surrogate."""

    def __init__(self, level: Level, told: KernelSpec) -> None:
        self.level = level
        self.told = told

    # Where it fits.

    @classmethod
    def misfit(cls, target: Target, structure: Structure, level: str) -> str | None:
        """Why the level of this name cannot have the kernel, as a clause of a sentence on it; None where it can."""
        return cls.unfit(target)

    @classmethod
    def unfit(cls, target: Target) -> str | None:
        """Why no level of the target can have the kernel, as a clause; None where some may."""
        if cls.needs.gradient and not target.has_gradient:
            return (
                "which would follow the gradient, and the model is a black box without one (a density given as a JAX "
                "function has one)"
            )
        return None

    @classmethod
    def is_default(cls, target: Target, structure: Structure, level: Level) -> bool:
        """Whether a level that the settings do not name has this kernel."""
        return False

    @classmethod
    def metric(cls, asked: Metric, level: Level, replicas: int) -> Metric:
        """The form of the factor where `asked` is what the settings say and so many replicas learn it."""
        return "auto"

    # How its tuning starts and adapts.

    def first(self) -> LevelTuning:
        """The tuning before anything is known: unit covariances, no fitted proposals."""
        return LevelTuning(
            log_scale=self.first_log_scale(),
            mean=np.zeros((self.level.width, self.level.n_blocks)),
            factor=identity_factor(self.level, self.told),
            mix=np.zeros(self.level.n_blocks),
        )

    @abstractmethod
    def first_log_scale(self) -> np.ndarray:
        """Log of the first scale, [B]."""

    @abstractmethod
    def target_acceptance(self) -> np.ndarray | float:
        """Acceptance that its scale is steered to, of each block or all."""

    @abstractmethod
    def adapted(self, old: LevelTuning, seen: Seen) -> LevelTuning:
        """The tuning after a round."""

    @abstractmethod
    def restarted(self, old: LevelTuning, states: Moments) -> LevelTuning:
        """The tuning for a stage that adapts afresh to the ensemble as it is."""

    # How it steps.

    @abstractmethod
    def transition(self, view: LevelView) -> Transition:
        """The kernel that it steps, on the blocks that `view` is of."""

    @abstractmethod
    def parameters(self, tuning: TuningState, rung: int, sweep: jax.Array) -> Any:
        """What steers that kernel at a rung in sweep number `sweep` of the round."""

    @abstractmethod
    def sums(self, info: Any, parameters: Any) -> StepSums:
        """What is summed of a step's info, every array of which has a leading axis of replicas."""

    @property
    def is_repeated(self) -> bool:
        """Whether a sweep has several updates, which are cheap against those of the leaves."""
        return not (self.level.leaf or self.needs.gradient)


class LevelStep:
    """A step of all replicas [R] of a rung at a level: its kernel, bound to a model."""

    def __init__(self, kernel: LevelKernel, view: LevelView) -> None:
        self.kernel = kernel
        self.transition = kernel.transition(view)

    def __call__(
        self, keys: jax.Array, states: State, data: Data, tuning: TuningState, *, rung: int, sweep: jax.Array
    ) -> tuple[State, StepSums, ChainFacts]:
        """The states after the step in sweep number `sweep` of the round."""
        parameters = self.kernel.parameters(tuning, rung, sweep)
        states, info = self.transition.step(keys, states, data, parameters)
        facts = {name: _by_replica(getattr(info, name)) for name in self.kernel.statistics}
        return states, self.kernel.sums(info, parameters), ChainFacts(**facts)


def _by_replica(values: jax.Array) -> jax.Array:
    """The mean over the blocks, where there is one number for each."""
    return values if values.ndim == 1 else jnp.mean(values, axis=1)


def nothing(blocks: int) -> Rate:
    """Of what is never tried."""
    return Rate(jnp.zeros(blocks), jnp.zeros(blocks))


def counted(of_replicas: jax.Array | None) -> jax.Array | None:
    """The sum of a count over replicas, where there is one."""
    return None if of_replicas is None else jnp.sum(of_replicas)


def identity_factor(level: Level, told: KernelSpec) -> np.ndarray | LowRank:
    """The factor of unit covariances in the form that the kernel is told."""
    if told.metric == "dense":
        return np.repeat(np.eye(level.width)[:, :, None], level.n_blocks, axis=2)
    if told.metric == "low_rank":
        return LowRank(np.ones((level.width, 1)), np.eye(level.width, told.rank), np.ones(told.rank))
    return np.ones((level.width, level.n_blocks))
