"""The frozen or adapting numbers that steer a shard's kernels: one pytree, sent with every plan."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.metric import LowRank
from kernels.structure.discovery import Level, Structure
from kernels.transitions import metropolis


class LevelControls(NamedTuple):
    """For one level and rung: log_scale [B], mean [p, B], factor (see kernels.dynamics.metric), mix [B] (see
    metropolis).

    log_scale: log of the random walk's scale or, of a kernel that follows the gradient, of its step size; of a refresh
    see level_moves.
    """

    log_scale: np.ndarray
    mean: np.ndarray
    factor: np.ndarray | LowRank
    mix: np.ndarray


class Controls(NamedTuple):
    """levels[name][rung]; betas [rungs]; interweave: log step size of each move [moves]; schedule [sweeps of a round]:
    the move of each sweep, `moves` for none; parity [sweeps]: of the swaps, 0 or 1 (see tempering.pairs); lengths: for
    each level that follows the gradient, its trajectories: with
    HMC the number of steps [rungs, sweeps], with NUTS the most doublings [rungs, sweeps]; steepest: the largest norm of
    their forces [rungs], see kernels.dynamics.forces.bounded; sketch: for each level with a
    low-rank metric the directions [rungs, p, k] along which covariances are looked at; scout: numbers of the scout
    kernel, per level where it adapts them."""

    levels: dict[str, tuple[LevelControls, ...]]
    betas: np.ndarray
    interweave: np.ndarray
    schedule: np.ndarray
    parity: np.ndarray
    lengths: dict[str, np.ndarray]
    steepest: dict[str, np.ndarray]
    sketch: dict[str, np.ndarray]
    scout: dict[str, dict[str, np.ndarray]]


def metropolis_controls(controls: Controls, level: str, rung: int) -> metropolis.Controls:
    """What steers the Metropolis kernel of a level at a rung."""
    return metropolis.Controls(*jax.tree.map(jnp.asarray, (controls.betas[rung], *controls.levels[level][rung])))


def is_dense(level: Level) -> bool:
    """Whether the level keeps whole covariances of its blocks."""
    return level.metric == "dense"


def identity_factor(level: Level) -> np.ndarray | LowRank:
    """The factor of unit covariances."""
    if level.metric == "dense":
        return np.repeat(np.eye(level.width)[:, :, None], level.n_blocks, axis=2)
    if level.metric == "low_rank":
        return LowRank(np.ones((level.width, 1)), np.eye(level.width, level.move.rank), np.ones(level.move.rank))
    return np.ones((level.width, level.n_blocks))


def first_sketch(level: Level) -> np.ndarray:
    """Random orthonormal directions [p, k], always the same."""
    noise = np.random.default_rng(0).normal(size=(level.width, level.move.rank))
    return np.linalg.qr(noise)[0]


def first_log_scale(level: Level) -> np.ndarray:
    """Random walks: 2.38 / sqrt(p) (Gelman, Roberts and Gilks 1996). Trajectories: p^(-1/4), the scaling that keeps the
    acceptance of HMC (Beskos et al. 2013). Refreshes: 0, a correlation of 2^(-1/2)."""
    sizes = level.sizes.astype(float)
    if level.move.kernel == "refresh":
        return np.zeros_like(sizes)
    return -0.25 * np.log(sizes) if level.move.gradients else np.log(2.38 / np.sqrt(sizes))


def level_rungs(level: Level, rungs: int, whole: bool) -> int:
    """How many rungs move a level: all where whole replicas are exchanged. Where blocks are, hot replicas move leaf
    levels only, and their other levels stay at the auxiliary's."""
    return rungs if level.leaf or whole else 1


def first_controls(
    structure: Structure, betas: np.ndarray, moves: int, sweeps: int, *, whole: bool = False
) -> Controls:
    """Controls before anything is known: unit steps, no fitted proposals, trajectories of no length."""
    levels, lengths, steepest, sketch = {}, {}, {}, {}
    for level in structure.levels:
        one = LevelControls(
            log_scale=first_log_scale(level),
            mean=np.zeros((level.width, level.n_blocks)),
            factor=identity_factor(level),
            mix=np.zeros(level.n_blocks),
        )
        rungs = level_rungs(level, len(betas), whole)
        levels[level.name] = (one,) * rungs
        if level.move.gradients:
            lengths[level.name] = np.zeros((rungs, sweeps), np.int64)
            steepest[level.name] = np.full(rungs, np.inf)
        if level.metric == "low_rank":
            sketch[level.name] = np.repeat(first_sketch(level)[None], rungs, axis=0)
    interweave, schedule, parity = np.full(moves, -2.0), np.arange(sweeps) % (moves + 1), np.arange(sweeps) % 2
    return Controls(levels, np.asarray(betas, float), interweave, schedule, parity, lengths, steepest, sketch, {})
