"""Block swaps between two temperatures: one block's values change places, all blocks at once."""

from typing import NamedTuple

import jax

from kernels.state import Info, LevelView, State, decide
from kernels.transitions.per_replica import PerReplica
from kernels.types import Data


class BlockSwapParameters(NamedTuple):
    """What steers a swap.

    beta_cold: inverse temperature of the colder replica.
    beta_hot: of the hotter one.
    """

    beta_cold: jax.Array
    beta_hot: jax.Array


class BlockSwap(PerReplica):
    """Exchange of the blocks of a leaf level between a cold replica c and a hot replica h. Exact.

    log alpha_b = beta_c (f_c(x_h) - f_c(x_c)) + beta_h (f_h(x_c) - f_h(x_h)), where f_r(x) are the terms of block b
    (priors and Jacobians included) with the other levels as replica r has them. The product of both densities is
    invariant because the exchange is its own inverse and preserves volume. `states` of a step are pairs (cold, hot).

    Deciding block by block is a swap of exchange Monte Carlo for each factor that is left when the other levels of both
    replicas are held fixed.
    Source: Swendsen and Wang (1986), Physical Review Letters 57, 2607-2609, who exchange clusters, parts of two
    replicas, and not the whole of them; Geyer (1991), Computing Science and Statistics 23, 156-163, and Hukushima and
    Nemoto (1996), Journal of the Physical Society of Japan 65, 1604-1608, for the acceptance of whole replicas.
    """

    exact = True

    def __init__(self, view: LevelView) -> None:
        super().__init__(view.target.dimension)
        self.view = view

    def one(
        self, key: jax.Array, state: tuple[State, State], data: Data, parameters: BlockSwapParameters
    ) -> tuple[tuple[State, State], Info]:
        """One proposed exchange of every block between the (cold, hot) pair."""
        cold, hot = state
        scatter = self.view.level.scatter
        cold_blocks, hot_blocks = self.view.blocks(cold.position), self.view.blocks(hot.position)
        cold_cells = self.view.cells_at(scatter(cold.position, hot_blocks), data)
        hot_cells = self.view.cells_at(scatter(hot.position, cold_blocks), data)
        log_ratio = self.view.change(cold.cells, cold_cells, parameters.beta_cold)
        log_ratio = log_ratio + self.view.change(hot.cells, hot_cells, parameters.beta_hot)
        accepted, info = decide(key, log_ratio)
        cold = self.view.select(accepted, cold, hot_blocks, cold_blocks, cold_cells)
        hot = self.view.select(accepted, hot, cold_blocks, hot_blocks, hot_cells)
        return (cold, hot), info
