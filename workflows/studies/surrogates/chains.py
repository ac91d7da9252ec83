"""Moments of a density that is a product over neighbours, p(x) ~ prod a_i(x_i) prod b(x_i, x_(i+1)), by quadrature."""

from collections.abc import Sequence

import numpy as np

Moments = tuple[np.ndarray, np.ndarray]
"""Means and sds of all coordinates, [d] each."""


class Chain:
    """Forward and backward messages on an equidistant grid: exact but for the grid, whose error for smooth densities
    that vanish at its ends falls faster than any power of its spacing."""

    def __init__(self, grid: np.ndarray, own: Sequence[np.ndarray], pair: np.ndarray) -> None:
        """grid: [G]; own: log a_i there, each [G]; pair: log b, [G, G], the same between all neighbours."""
        self.grid, factors, kernel = grid, [np.exp(values - values.max()) for values in own], np.exp(pair - pair.max())
        self._forward, self._backward = [factors[0]], [np.ones_like(grid)]
        for factor in factors[1:]:
            self._forward.append(_scaled(factor * (self._forward[-1] @ kernel)))
        for factor in reversed(factors[1:]):
            self._backward.append(_scaled(kernel @ (factor * self._backward[-1])))
        self._backward.reverse()

    def marginal(self, i: int) -> np.ndarray:
        """Weights of the grid's points in the law of x_i, which add up to 1: [G]."""
        product = self._forward[i] * self._backward[i]
        return product / product.sum()

    def moments(self) -> Moments:
        """Of all coordinates."""
        laws = np.stack([self.marginal(i) for i in range(len(self._forward))])
        mean = laws @ self.grid
        return mean, np.sqrt(laws @ self.grid**2 - mean**2)


def _scaled(message: np.ndarray) -> np.ndarray:
    return message / message.max()
