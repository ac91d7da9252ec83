"""The frozen or adapting numbers that steer a shard's kernels: one pytree, sent with every plan."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from kernels import metropolis
from kernels.metric import WIDEST_DENSE
from kernels.structure import Level, Structure


class LevelControls(NamedTuple):
    """For one level and rung: log_scale [B], mean [p, B], factor [p, p, B] or [p, B], mix [B] (see metropolis)."""

    log_scale: np.ndarray
    mean: np.ndarray
    factor: np.ndarray
    mix: np.ndarray


class Controls(NamedTuple):
    """levels[name][rung]; betas [rungs]; interweave: log step size of each move [moves]; schedule [sweeps of a round]:
    the move of each sweep, `moves` for none; scout: numbers of the scout kernel, per level where it adapts them."""

    levels: dict[str, tuple[LevelControls, ...]]
    betas: np.ndarray
    interweave: np.ndarray
    schedule: np.ndarray
    scout: dict[str, dict[str, np.ndarray]]


def metropolis_controls(controls: Controls, level: str, rung: int) -> metropolis.Controls:
    """What steers the Metropolis kernel of a level at a rung."""
    return metropolis.Controls(*(jnp.asarray(x) for x in (controls.betas[rung], *controls.levels[level][rung])))


def is_dense(level: Level) -> bool:
    """Whether the level keeps whole covariances of its blocks."""
    return level.width <= WIDEST_DENSE


def identity_factor(level: Level) -> np.ndarray:
    """The factor of unit covariances."""
    if is_dense(level):
        return np.repeat(np.eye(level.width)[:, :, None], level.n_blocks, axis=2)
    return np.ones((level.width, level.n_blocks))


def level_rungs(level: Level, rungs: int) -> int:
    """How many rungs move a level: hot replicas move leaf levels only, their other levels stay at the auxiliary's."""
    return rungs if level.leaf else 1


def first_controls(structure: Structure, betas: np.ndarray, moves: int, sweeps: int) -> Controls:
    """Controls before anything is known: unit steps, no fitted proposals."""
    levels = {}
    for level in structure.levels:
        one = LevelControls(
            log_scale=np.log(2.38 / np.sqrt(level.sizes)),
            mean=np.zeros((level.width, level.n_blocks)),
            factor=identity_factor(level),
            mix=np.zeros(level.n_blocks),
        )
        levels[level.name] = (one,) * level_rungs(level, len(betas))
    return Controls(levels, np.asarray(betas, float), np.full(moves, -2.0), np.arange(sweeps) % (moves + 1), {})
