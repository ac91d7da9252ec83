"""The tuning of a stage before anything is known, with the shapes of what adapts."""

import numpy as np

from ensemble.protocol.events import has_tails
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.registry import level_kernels
from kernels.structure.levels import Level


def level_rungs(level: Level, rungs: int, replica_swap: bool) -> int:
    """How many rungs move a level: all where whole replicas are exchanged. Where blocks are, hot replicas move leaf
    levels only, and their other levels stay at the auxiliary's."""
    return rungs if level.leaf or replica_swap else 1


def first_tuning(spec: SweepSpec, betas: np.ndarray, sweeps: int, *, replica_swap: bool = False) -> TuningState:
    """Unit steps, no fitted proposals, trajectories of no length. replica_swap: whole replicas are exchanged."""
    levels, lengths, steepest, sketch = {}, {}, {}, {}
    for name, kernel in level_kernels(spec).items():
        rungs = level_rungs(kernel.level, len(betas), replica_swap)
        levels[name] = (kernel.first(),) * rungs
        if kernel.needs.gradient:
            lengths[name] = np.zeros((rungs, sweeps), np.int64)
            steepest[name] = np.full(rungs, np.inf)
        if kernel.told.metric == "low_rank":
            sketch[name] = np.repeat(first_sketch(kernel.level, kernel.told.rank)[None], rungs, axis=0)
    moves = len(spec.interweavings)
    common = {name: np.full(sweeps, -1) for name, rungs in levels.items() if rungs[0].common is not None}
    return TuningState(
        levels=levels,
        betas=np.asarray(betas, float),
        interweave=np.full(moves, -2.0),
        schedule=np.arange(sweeps) % (moves + 1),
        parity=np.arange(sweeps) % 2,
        lengths=lengths,
        steepest=steepest,
        sketch=sketch,
        common=common,
        by_gradient={name: np.zeros(sweeps, bool) for name, rungs in levels.items() if rungs[0].surrogate is not None},
        scout={},
        spread={v.name: np.ones((v.width, v.n_blocks)) for v in spec.structure.levels if has_tails(v)},
        height=np.zeros(()),
    )


def first_sketch(level: Level, rank: int) -> np.ndarray:
    """Random orthonormal directions [p, k], always the same."""
    noise = np.random.default_rng(0).normal(size=(level.width, rank))
    return np.linalg.qr(noise)[0]
