"""The scout round of a shard: cheap approximate trajectories from dispersed starts to the typical set."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.statistics import ChainSums, LevelRates, Rate
from ensemble.protocol.tuning import TuningState
from ensemble.shard.chain_sums import finest_leaf
from ensemble.shard.level_kernels.metropolis import metropolis_parameters
from kernels.state import LevelView, State
from kernels.structure.levels import Structure
from kernels.target import Target
from kernels.transitions.metropolis import Metropolis, MetropolisParameters
from kernels.transitions.momentum_diffusion import MomentumDiffusion, MomentumDiffusionParameters
from kernels.types import Data

KERNELS = {"momentum_diffusion": MomentumDiffusion}
"""Approximate kernels by name: fit for the scout stage only."""


def scouts_by_name(settings: dict[str, Any]) -> bool:
    """Whether the scout stage has a kernel of its own, and not the levels' kernels with short trajectories."""
    return settings["kernel"] in KERNELS


class ScoutSums(NamedTuple):
    """What a round of a shard says.

    rates: level -> of the one rung there is: scores of leaf levels, acceptance of the walks of others, [B].
    nonfinite: points without a finite density.
    chains: of every replica the score of the finest leaf level's trajectories.
    """

    rates: dict[str, tuple[LevelRates, ...]]
    nonfinite: jax.Array
    chains: ChainSums


ScoutRound = Callable[[State, jax.Array, Data, TuningState], tuple[State, ScoutSums]]


def scout_tuning(structure: Structure, settings: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """What the coordinator adapts: the step size of every block of the leaf levels."""
    steps = {lv.name: np.full(lv.n_blocks, float(settings["step"])) for lv in structure.levels if lv.leaf}
    return {name: {"step_size": step} for name, step in steps.items()}


def make_scout(target: Target, structure: Structure, settings: dict[str, Any]) -> ScoutRound:
    """A function (cold states [R], keys [R], data, tuning) -> (states, sums over the replicas): one trajectory of every
    block of the leaf levels, then random-walk Metropolis on the others, `repeats` times."""
    views = [LevelView(target, structure, level) for level in reversed(structure.levels)]
    kernel = KERNELS[settings["kernel"]]
    scouts = {v.level.name: kernel(v, settings["trajectory"], settings["directions"]) for v in views if v.level.leaf}
    finest = finest_leaf(structure.levels)
    walks = {view.level.name: Metropolis(view) for view in views if not view.level.leaf}

    def scout_round(states: State, keys: jax.Array, data: Data, tuning: TuningState) -> tuple[State, ScoutSums]:
        rates: dict[str, tuple[LevelRates, ...]] = {}
        scores, nonfinite = {}, []
        for number, (name, scout) in enumerate(scouts.items()):
            states, info = scout.step(_purpose(keys, number), states, data, _scout_parameters(tuning, name, settings))
            rates[name] = (LevelRates(score=Rate(info.score, jnp.ones_like(info.score))),)
            nonfinite.append(info.nonfinite)
            scores[name] = jnp.mean(info.score, axis=1)
        for number, (name, kernel) in enumerate(walks.items()):
            parameters, fresh = (
                metropolis_parameters(tuning, name, 0, jnp.zeros((), int)),
                _purpose(keys, len(scouts) + number),
            )
            states, walk, rejected = _repeated(kernel, fresh, states, data, parameters, settings["repeats"])
            rates[name] = (LevelRates(walk=walk),)
            nonfinite.append(rejected)
        total = sum(nonfinite, start=jnp.zeros(len(keys), jnp.int64))
        rates, rejected = jax.tree.map(lambda values: jnp.sum(values, axis=0), (rates, total))
        chains = ChainSums(Rate(scores[finest], jnp.ones_like(scores[finest])))
        return states, ScoutSums(rates, rejected, chains)

    return scout_round


def _purpose(keys: jax.Array, purpose: int | jax.Array) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, purpose))(keys)


def _repeated(
    kernel: Metropolis, keys: jax.Array, states: State, data: Data, parameters: MetropolisParameters, repeats: int
) -> tuple[State, Rate, jax.Array]:
    """Several steps of one kernel: the states, their acceptance, [R, B], and the counts of proposals without a finite
    density, [R]."""

    def body(repeat: jax.Array, carry: Any) -> Any:
        states, accepted, tried, nonfinite = carry
        states, info = kernel.step(_purpose(keys, repeat), states, data, parameters)
        return states, accepted + info.walk[0], tried + info.walk[1], nonfinite + info.nonfinite

    nothing = jnp.zeros((len(keys), kernel.view.level.n_blocks))
    start = states, nothing, nothing, jnp.zeros(len(keys), jnp.int64)
    states, accepted, tried, nonfinite = jax.lax.fori_loop(0, repeats, body, start)
    return states, Rate(accepted, tried), nonfinite


def _scout_parameters(tuning: TuningState, name: str, settings: dict[str, Any]) -> MomentumDiffusionParameters:
    level = tuning.levels[name][0]
    factor = jnp.asarray(level.factor)
    scale = factor if factor.ndim == 2 else jnp.sqrt(jnp.sum(factor**2, axis=1))
    constants = {
        field: jnp.asarray(float(settings[field]))
        for field in ("difference", "noise", "viscosity", "hot_start", "trigger", "delta", "slack")
    }
    return MomentumDiffusionParameters(step_size=jnp.asarray(tuning.scout[name]["step_size"]), scale=scale, **constants)
