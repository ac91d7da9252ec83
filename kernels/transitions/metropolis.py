"""Diffusive Metropolis and ensemble-fitted independence proposals on all blocks of a level at once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.metric import multiply, solve
from kernels.numerics.special import log
from kernels.state import LevelView, State, decide
from kernels.types import Data

SPREADS = np.array([1.0, 2.0, 5.0])
WEIGHTS = np.array([0.75, 0.2, 0.05])
"""The fitted proposal: a scale mixture of normals, heavy-tailed like a Student t but with one uniform to draw it."""


class Controls(NamedTuple):
    """beta: inverse temperature; log_scale [B] of the random walk; mean [p, B] and factor [p, p, B] or [p, B] of the
    ensemble's blocks; mix [B]: probability of the fitted proposal instead of a random-walk step."""

    beta: jax.Array
    log_scale: jax.Array
    mean: jax.Array
    factor: jax.Array
    mix: jax.Array


class MetropolisInfo(NamedTuple):
    """walk and fitted: (acceptance probability where that proposal was used, else 0; whether it was used), [B]."""

    walk: tuple[jax.Array, jax.Array]
    fitted: tuple[jax.Array, jax.Array]
    nonfinite: jax.Array


def fitted_log_density(standardised: jax.Array, sizes: np.ndarray) -> jax.Array:
    """log q up to the factor's determinant, which cancels in the ratio; standardised [p, B] = L^-1 (x - mean).

    q(x) = sum_k w_k N(x; mean, s_k^2 L L').
    """
    square = jnp.sum(standardised**2, axis=0)
    widest = SPREADS[-1] ** 2
    # Relative to the widest component, whose exponent is the largest.
    density = sum(
        weight * spread ** (-1.0 * sizes) * jnp.exp(0.5 * square * (1 / widest - 1 / spread**2))
        for weight, spread in zip(WEIGHTS, SPREADS, strict=True)
    )
    return log(density) - 0.5 * square / widest


class Metropolis:
    """Metropolis-Hastings for a level, every block on its own terms. Exact.

    With probability mix_b, x' is drawn from the frozen heavy-tailed fit of that block's marginal across the ensemble
    (independence sampler, log ratio f(x') - f(x) + log q(x) - log q(x')); otherwise x' = x + s_b L_b z (diffusive
    Metropolis, log ratio f(x') - f(x)). f = beta * (terms of the block). The choice is drawn before x is looked at,
    so the kernel is a mixture of two reversible kernels (Tierney 1994).
    """

    exact = True

    def __init__(self, view: LevelView) -> None:
        self.view = view

    def step(self, key: jax.Array, state: State, data: Data, controls: Controls) -> tuple[State, MetropolisInfo]:
        """One proposal for every block."""
        noise_key, choice_key, accept_key = jax.random.split(key, 3)
        level = self.view.level
        noise = jax.random.normal(noise_key, (level.width, level.n_blocks), jnp.float32).astype(jnp.float64)
        if level.mask is not None:
            noise = noise * level.mask
        choice = jax.random.uniform(choice_key, (level.n_blocks,), jnp.float32)
        old = self.view.blocks(state.position)
        new, use_fit, correction = self._propose(old, noise, choice, controls)
        cells = self.view.cells_at(level.scatter(state.position, new), data)
        change = self.view.change(state.cells, cells, controls.beta) + correction
        accepted, info = decide(accept_key, change)
        state = self.view.select(accepted, state, new, old, cells)
        walk = jnp.where(use_fit, 0.0, info.accepted), ~use_fit
        fitted = jnp.where(use_fit, info.accepted, 0.0), use_fit
        return state, MetropolisInfo(walk, fitted, info.nonfinite)

    def _propose(
        self, old: jax.Array, noise: jax.Array, choice: jax.Array, controls: Controls
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Proposals [p, B], which of them are fitted [B], and log q(x) - log q(x') [B] for those."""
        # One uniform chooses both the proposal and the fit's component: below mix it is uniform on the components.
        use_fit = choice < controls.mix
        rank = choice / jnp.maximum(controls.mix, 1e-300)
        edges = np.cumsum(WEIGHTS)
        spread = jnp.where(rank < edges[0], SPREADS[0], jnp.where(rank < edges[1], SPREADS[1], SPREADS[2]))
        step = multiply(controls.factor, noise)
        walked = old + jnp.exp(controls.log_scale) * step
        drawn = controls.mean + spread * step
        sizes = self.view.level.sizes
        before = fitted_log_density(solve(controls.factor, old - controls.mean), sizes)
        after = fitted_log_density(spread * noise, sizes)
        return jnp.where(use_fit, drawn, walked), use_fit, jnp.where(use_fit, before - after, 0.0)
