"""What a round keeps of the cold replicas, to be stored as draws."""

from typing import NamedTuple

import jax
import numpy as np

from ensemble.protocol.statistics import ChainSums
from ensemble.shard.sweeps.walkers import Walkers
from kernels.state import State, log_density
from kernels.types import Position


class Kept(NamedTuple):
    """A row for each draw of a round.

    position: of the first `stored` replicas, [draws, stored, ...].
    lp: log density of all cold replicas, [draws, R].
    numbers: of the walkers in the cold slots, [draws, R]; None where replicas stay at their rung.
    chains: what the steps since the draw before say of every replica, [draws, R] each.
    """

    position: Position
    lp: jax.Array | np.ndarray
    numbers: jax.Array | np.ndarray | None
    chains: ChainSums


def kept(cold: State, walkers: Walkers, chains: ChainSums, stored: int) -> Kept:
    """One draw, without the leading axis. chains: sums over the steps since the draw before."""
    position = {name: values[:stored] for name, values in cold.position.items()}
    return Kept(position, jax.vmap(log_density)(cold.cells), walkers[0].number if walkers else None, chains)
