"""The scout round of a shard: cheap approximate trajectories from dispersed starts to the typical set."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.tuning import Controls, metropolis_controls
from kernels.numerics.batching import over_replicas
from kernels.state import LevelView, State
from kernels.structure.discovery import Structure
from kernels.target import Target
from kernels.transitions import metropolis, momentum_diffusion
from kernels.transitions.metropolis import Metropolis
from kernels.transitions.momentum_diffusion import MomentumDiffusion
from kernels.types import Data

KERNELS = {"momentum_diffusion": MomentumDiffusion}
"""Approximate kernels by name: fit for the scout stage only."""


def scouts_by_name(settings: dict[str, Any]) -> bool:
    """Whether the scout stage has a kernel of its own, and not the levels' kernels with short trajectories."""
    return settings["kernel"] in KERNELS


ScoutRound = Callable[[State, jax.Array, Data, Controls], tuple[State, Any]]


def scout_controls(structure: Structure, settings: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """What the coordinator adapts: the step size of every block of the leaf levels."""
    steps = {lv.name: np.full(lv.n_blocks, float(settings["step"])) for lv in structure.levels if lv.leaf}
    return {name: {"step": step} for name, step in steps.items()}


def make_scout(target: Target, structure: Structure, settings: dict[str, Any]) -> ScoutRound:
    """A function (cold states [R], keys [R], data, controls) -> (states, statistics): one trajectory of every block of
    the leaf levels, then random-walk Metropolis on the others, `repeats` times.

    statistics: {"score": {leaf level: ((sum [B], count [B]),)}, "walk": the same of the other levels}, for the one rung
    there is, and "nonfinite": points without a finite density, a count; all summed over replicas.
    """
    views = [LevelView(target, structure, level) for level in reversed(structure.levels)]
    kernel = KERNELS[settings["kernel"]]
    scouts = {v.level.name: kernel(v, settings["trajectory"], settings["directions"]) for v in views if v.level.leaf}
    walks = {view.level.name: Metropolis(view) for view in views if not view.level.leaf}

    def one(key: jax.Array, state: State, data: Data, controls: Controls) -> tuple[State, Any]:
        score, walk, nonfinite = {}, {}, jnp.zeros((), jnp.int64)
        for number, (name, scout) in enumerate(scouts.items()):
            fresh = jax.random.fold_in(key, number)
            state, info = scout.step(fresh, state, data, _scout_controls(controls, name, settings))
            score[name] = ((info.accepted, jnp.ones_like(info.accepted)),)
            nonfinite = nonfinite + info.nonfinite
        for number, (name, kernel) in enumerate(walks.items()):
            level = metropolis_controls(controls, name, 0)
            fresh = jax.random.fold_in(key, len(scouts) + number)
            state, sums, rejected = _repeated(kernel, fresh, state, data, level, settings["repeats"])
            walk[name] = (sums,)
            nonfinite = nonfinite + rejected
        return state, {"score": score, "walk": walk, "nonfinite": nonfinite}

    def scout_round(states: State, keys: jax.Array, data: Data, controls: Controls) -> tuple[State, Any]:
        batched = over_replicas(lambda key, state: one(key, state, data, controls), target.dimension)
        states, statistics = batched(keys, states)
        return states, jax.tree.map(lambda values: jnp.sum(values, axis=0), statistics)

    return scout_round


def _repeated(
    kernel: Metropolis, key: jax.Array, state: State, data: Data, controls: metropolis.Controls, repeats: int
) -> tuple[State, tuple[jax.Array, jax.Array], jax.Array]:
    """Several steps of one kernel: the state, the sums of acceptance probabilities and of tries, [B], and the count of
    proposals without a finite density."""

    def body(repeat: jax.Array, carry: Any) -> Any:
        state, accepted, tried, nonfinite = carry
        state, info = kernel.step(jax.random.fold_in(key, repeat), state, data, controls)
        return state, accepted + info.walk[0], tried + info.walk[1], nonfinite + jnp.sum(info.nonfinite)

    nothing = jnp.zeros(kernel.view.level.n_blocks)
    start = state, nothing, nothing, jnp.zeros((), jnp.int64)
    state, accepted, tried, nonfinite = jax.lax.fori_loop(0, repeats, body, start)
    return state, (accepted, tried), nonfinite


def _scout_controls(controls: Controls, name: str, settings: dict[str, Any]) -> momentum_diffusion.Controls:
    level = controls.levels[name][0]
    factor = jnp.asarray(level.factor)
    scale = factor if factor.ndim == 2 else jnp.sqrt(jnp.sum(factor**2, axis=1))
    constants = {
        field: jnp.asarray(float(settings[field]))
        for field in ("difference", "noise", "viscosity", "hot_start", "trigger", "delta", "slack")
    }
    return momentum_diffusion.Controls(step=jnp.asarray(controls.scout[name]["step"]), scale=scale, **constants)
