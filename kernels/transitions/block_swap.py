"""Block swaps between two temperatures: one block's values change places, all blocks at once."""

from typing import NamedTuple

import jax

from kernels.state import Info, LevelView, State, decide
from kernels.types import Data


class Controls(NamedTuple):
    """beta_cold, beta_hot: inverse temperatures of the two replicas."""

    beta_cold: jax.Array
    beta_hot: jax.Array


class BlockSwap:
    """Exchange of the blocks of a leaf level between a cold replica c and a hot replica h. Exact.

    log alpha_b = beta_c (f_c(x_h) - f_c(x_c)) + beta_h (f_h(x_c) - f_h(x_h)), where f_r(x) are the terms of block b
    (priors and Jacobians included) with the other levels as replica r has them. The product of both densities is
    invariant because the exchange is its own inverse and preserves volume.
    """

    exact = True

    def __init__(self, view: LevelView) -> None:
        self.view = view

    def step(
        self, key: jax.Array, pair: tuple[State, State], data: Data, controls: Controls
    ) -> tuple[tuple[State, State], Info]:
        """One proposed exchange of every block between the (cold, hot) pair."""
        cold, hot = pair
        scatter = self.view.level.scatter
        cold_blocks, hot_blocks = self.view.blocks(cold.position), self.view.blocks(hot.position)
        cold_cells = self.view.cells_at(scatter(cold.position, hot_blocks), data)
        hot_cells = self.view.cells_at(scatter(hot.position, cold_blocks), data)
        log_ratio = self.view.change(cold.cells, cold_cells, controls.beta_cold)
        log_ratio = log_ratio + self.view.change(hot.cells, hot_cells, controls.beta_hot)
        accepted, info = decide(key, log_ratio)
        cold = self.view.select(accepted, cold, hot_blocks, cold_blocks, cold_cells)
        hot = self.view.select(accepted, hot, cold_blocks, hot_blocks, hot_cells)
        return (cold, hot), info
