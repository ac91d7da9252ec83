"""Kernel throughput: nanoseconds per coordinate and sweep beside the bound measured in the same run.

    python -m workflows.studies.benchmarks.kernels            (make bench)

The bound of a move of all leaf blocks is one evaluation of log_terms plus its random numbers (p normals and two
uniforms a block); nothing that proposes and decides each block once can cost less. Medians over repeats, the variants
taken in turn so that a noisy machine disturbs all of them alike. All on one thread (PJRT_NPROC=1), as in a worker.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

os.environ["PJRT_NPROC"] = "1"

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.level_kernels.metropolis import metropolis_parameters
from ensemble.shard.sweeps.rounds import Sweeps
from kernels.state import LevelView, evaluate
from kernels.structure.discovery import discover
from kernels.structure.interweaving_discovery import find_interweavings
from kernels.structure.levels import Level
from kernels.target import Target
from kernels.transitions.metropolis import Metropolis
from workflows.modelling.registry import build
from workflows.studies.benchmarks.timing import medians

REPLICAS = 4
REPEATS = 15
SWEEPS = 8
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "airway, 2,000 genes": ("airway", {"genes": 2000}, 1),
    "airway, 22,369 genes": ("airway", {}, 1),
    "airway, 22,369 genes, cell effects": ("airway", {"cells": True}, 1),
    "scorpio, 1,000 copies, T = 1 and 3.5": ("scorpio", {"copies": 1_000}, 2),
    "scorpio, 100,000 copies, T = 1 and 3.5": ("scorpio", {"copies": 100_000}, 2),
}


class Row(NamedTuple):
    """Nanoseconds per coordinate and replica: the bound, one leaf move, one whole sweep."""

    bound: float
    move: float
    sweep: float


def measure(name: str, keys: dict[str, Any], rungs: int) -> Row:
    """Time one model's shard of REPLICAS replicas a rung."""
    model = build(name, keys)
    target, data, key = model.target, jax.tree.map(jnp.asarray, model.data), jax.random.key(0)
    start = target.initial(key, data)
    structure = discover(target, data, start, key=key)
    spec = SweepSpec(structure, {}, find_interweavings(target, structure, data, start, key))
    position = {site: jnp.repeat(x[None], REPLICAS, axis=0) for site, x in start.items()}
    state = jax.jit(jax.vmap(lambda p, d: evaluate(target, structure, p, d), in_axes=(0, None)))(position, data)
    tuning = first_tuning(spec, 1.0 / np.array([1.0, 3.5][:rungs]), SWEEPS)
    sweeps = Sweeps(target, spec, replicas=REPLICAS, rungs=rungs, repeats=4)
    leaf = next(level for level in reversed(structure.levels) if level.leaf)
    move_keys = jax.random.split(key, REPLICAS)
    round_keys = jax.random.split(key, (rungs, REPLICAS))
    calls = [
        _compiled(_bound(target, leaf), position, move_keys, data),
        _compiled(_move(sweeps.views[leaf.name], tuning), state, move_keys, data),
        _compiled(sweeps.round, (state,) * rungs, round_keys, data, tuning),
    ]
    bound, move, whole_round = (1e9 * s / (target.dimension * REPLICAS) for s in medians(calls, REPEATS))
    return Row(bound, move, whole_round / SWEEPS / rungs)


def _bound(target: Target, leaf: Level) -> Callable[..., Any]:
    """What no move of the leaf blocks can do without: the terms and the random numbers of all replicas."""

    def bound(position: Any, keys: jax.Array, data: Any) -> Any:
        shape = (leaf.width, leaf.n_blocks)
        normals = jax.vmap(lambda k: jax.random.normal(k, shape, jnp.float32))(keys)
        uniforms = jax.vmap(lambda k: jax.random.uniform(k, (2, leaf.n_blocks), jnp.float32))(keys)
        return jax.vmap(target.log_terms, in_axes=(0, None))(position, data), normals, uniforms

    return bound


def _move(view: LevelView, tuning: TuningState) -> Callable[..., Any]:
    """One Metropolis move of a level by all replicas."""
    metropolis = Metropolis(view)

    def move(state: Any, keys: jax.Array, data: Any) -> Any:
        return metropolis.step(keys, state, data, metropolis_parameters(tuning, view.level.name, 0, jnp.zeros((), int)))

    return move


def _compiled(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return partial(jax.jit(function).lower(*arguments).compile(), *arguments)


def main() -> None:
    """Print the table."""
    print(f"ns per coordinate, {REPLICAS} replicas a rung, one thread, medians of {REPEATS}")
    print(f"{'model':<42}{'bound':>8}{'move':>8}{'ratio':>8}{'sweep':>8}")
    for label, case in CASES.items():
        row = measure(*case)
        print(f"{label:<42}{row.bound:>8.1f}{row.move:>8.1f}{row.move / row.bound:>8.2f}{row.sweep:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
