"""Diffusive Metropolis and ensemble-fitted independence proposals on all blocks of a level at once."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.metric import multiply, squared_norm
from kernels.numerics.special import log
from kernels.state import LevelView, State, decide
from kernels.transitions import common_law
from kernels.transitions.per_replica import PerReplica
from kernels.types import Data

BEST = 2.38
"""Times 1 / sqrt(p): the step of a walk in units of a normal law's covariance (Gelman, Roberts and Gilks 1996, Bayesian
Statistics 5, 599-607)."""
SPREADS = np.array([1.0, 2.0, 5.0])
WEIGHTS = np.array([0.75, 0.2, 0.05])
"""The fitted proposal: a scale mixture of normals, heavy-tailed like a Student t but with one uniform to draw it."""


class MetropolisParameters(NamedTuple):
    """What steers a step.

    beta: inverse temperature.
    log_scale: [B] of the random walk.
    mean: [p, B] of the ensemble's blocks.
    factor: [p, p, B] or [p, B], of their covariance.
    mix: [B], the probability of the fitted proposal instead of a random-walk step.
    coordinate: that this step draws from what all blocks have in common, one number; negative for none.
    knots: of that coordinate's common law, see kernels.transitions.common_law; None where there is none.
    share: [B], the probability that a block does so in such a step; None where there is no common law.
    given: [p, p, B] or [p, B], factor of the covariance given all other levels: fitted proposals are then steps in its
        units; None: independent draws.
    """

    beta: jax.Array
    log_scale: jax.Array
    mean: jax.Array
    factor: jax.Array
    mix: jax.Array
    coordinate: jax.Array | None = None
    knots: jax.Array | None = None
    share: jax.Array | None = None
    given: jax.Array | None = None


class MetropolisInfo(NamedTuple):
    """What a step of a replica reports.

    acceptance_probability: of each block's decision, [B].
    use_fit: whether the proposal was a fitted one, [B] bool.
    nonfinite: proposals rejected because their log density was not finite, a count.
    common: whether the proposal was drawn from a coordinate's common law, [B] bool.
    infinite: those rejected where the log density was +inf, a count.
    """

    acceptance_probability: jax.Array
    use_fit: jax.Array
    nonfinite: jax.Array
    common: jax.Array
    infinite: jax.Array | None = None

    @property
    def walk(self) -> tuple[jax.Array, jax.Array]:
        """(acceptance probability where a random-walk step was proposed, else 0; whether it was)."""
        walked = ~self.use_fit & ~self.common
        return jnp.where(walked, self.acceptance_probability, 0.0), walked

    @property
    def fitted(self) -> tuple[jax.Array, jax.Array]:
        """(acceptance probability where the fitted proposal was drawn, else 0; whether it was)."""
        return jnp.where(self.use_fit, self.acceptance_probability, 0.0), self.use_fit

    @property
    def drawn(self) -> tuple[jax.Array, jax.Array]:
        """(acceptance probability where the common law was drawn from, else 0; whether it was)."""
        return jnp.where(self.common, self.acceptance_probability, 0.0), self.common


def fitted_log_density(square: jax.Array, sizes: np.ndarray) -> jax.Array:
    """log q up to the factor's determinant, which cancels in the ratio; square [B] = |L^-1 (x - mean)|^2.

    q(x) = sum_k w_k N(x; mean, s_k^2 L L').
    """
    widest = SPREADS[-1] ** 2
    # Relative to the widest component, whose exponent is the largest.
    density = sum(
        weight * spread ** (-1.0 * sizes) * jnp.exp(0.5 * square * (1 / widest - 1 / spread**2))
        for weight, spread in zip(WEIGHTS, SPREADS, strict=True)
    )
    return log(density) - 0.5 * square / widest


class Metropolis(PerReplica):
    """Metropolis-Hastings for a level, every block on its own terms. Exact.

    With probability mix_b, x' is drawn from the frozen heavy-tailed fit of that block's marginal across the ensemble
    (independence sampler, log ratio f(x') - f(x) + log q(x) - log q(x')); otherwise x' = x + s_b L_b z (diffusive
    Metropolis, log ratio f(x') - f(x)). f = beta * (terms of the block). The choice is drawn before x is looked at,
    so the kernel is a mixture of two reversible kernels. Of parents, which their children hold far tighter in some
    directions than the ensemble varies, the first kernel is a walk too, x' = x + BEST / sqrt(p) M_b z, M M' their
    covariance given the children. A step that is told a coordinate draws that one of some blocks, each with its frozen
    probability share_b, from its frozen law across the blocks instead, another independence sampler.
    Source: Hastings (1970), Biometrika 57, 97-109; Tierney (1994), Annals of Statistics 22, 1701-1762 (independence
    samplers and mixtures of kernels). Proposals fitted to an ensemble: Gilks, Roberts and George (1994), The
    Statistician 43, 179-189 (adaptive direction sampling); Andrieu and Thoms (2008), Statistics and Computing 18,
    343-373 (fits of mixtures, and independence steps mixed with local ones); heavy tails of the fit, which keep the
    ratio of the densities bounded, as in importance sampling: Geweke (1989), Econometrica 57, 1317-1339.
    """

    exact = True

    def __init__(self, view: LevelView) -> None:
        super().__init__(view.target.dimension)
        self.view = view

    def one(
        self, key: jax.Array, state: State, data: Data, parameters: MetropolisParameters
    ) -> tuple[State, MetropolisInfo]:
        """One proposal for every block."""
        noise_key, choice_key, accept_key = jax.random.split(key, 3)
        level = self.view.level
        noise = jax.random.normal(noise_key, (level.width, level.n_blocks), jnp.float32).astype(jnp.float64)
        if level.mask is not None:
            noise = noise * level.mask
        choices = 1 if parameters.coordinate is None else 2
        choice = jax.random.uniform(choice_key, (choices, level.n_blocks), jnp.float32)
        old = self.view.blocks(state.position)
        new, use_fit, common, correction = self._propose(old, noise, choice, parameters)
        cells = self.view.cells_at(level.scatter(state.position, new), data)
        change = self.view.change(state.cells, cells, parameters.beta) + correction
        accepted, info = decide(accept_key, change)
        state = self.view.select(accepted, state, new, old, cells)
        return state, MetropolisInfo(info.acceptance_probability, use_fit, info.nonfinite, common, info.infinite)

    def _propose(
        self, old: jax.Array, noise: jax.Array, choice: jax.Array, parameters: MetropolisParameters
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Proposals [p, B], which of them are fitted and which from a common law [B], and log q(x) - log q(x') [B] for
        those that are drawn. choice: [1 or 2, B], uniform."""
        new, use_fit, correction = self._local(old, noise, choice[0], parameters)
        none = jnp.zeros(use_fit.shape, bool)
        if parameters.coordinate is None:
            return new, use_fit, none, correction

        def some_common() -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
            assert parameters.share is not None
            common = choice[1] < parameters.share
            drawn, ratio = self._common(old, choice[1] / parameters.share, parameters)
            return jnp.where(common, drawn, new), use_fit & ~common, common, jnp.where(common, ratio, correction)

        return jax.lax.cond(  # type: ignore[no-any-return]
            parameters.coordinate >= 0, some_common, lambda: (new, use_fit, none, correction)
        )

    def _common(
        self, old: jax.Array, uniform: jax.Array, parameters: MetropolisParameters
    ) -> tuple[jax.Array, jax.Array]:
        """One coordinate of every block from its common law, [p, B], and log q(x) - log q(x') [B]. uniform: [B], in
        [0, 1) where it is used."""
        assert parameters.knots is not None
        before, after = old[parameters.coordinate], common_law.draw(parameters.knots, uniform)
        density = partial(common_law.log_density, parameters.knots)
        return old.at[parameters.coordinate].set(after), density(before) - density(after)

    def _local(
        self, old: jax.Array, noise: jax.Array, choice: jax.Array, parameters: MetropolisParameters
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """A random-walk step or a draw from the fit of its own for every block."""
        # One uniform chooses both the proposal and the fit's component: below mix it is uniform on the components.
        use_fit = choice < parameters.mix
        rank = choice / jnp.maximum(parameters.mix, 1e-300)
        edges = np.cumsum(WEIGHTS)
        spread = jnp.where(rank < edges[0], SPREADS[0], jnp.where(rank < edges[1], SPREADS[1], SPREADS[2]))
        step = multiply(parameters.factor, noise)
        walked = old + jnp.exp(parameters.log_scale) * step
        drawn = parameters.mean + spread * step
        sizes = self.view.level.sizes
        if parameters.given is not None:
            near = old + BEST / np.sqrt(np.maximum(sizes, 1)) * multiply(parameters.given, noise)
            return jnp.where(use_fit, near, walked), use_fit, jnp.zeros(choice.shape)
        before = fitted_log_density(squared_norm(parameters.factor, old - parameters.mean), sizes)
        after = fitted_log_density(spread**2 * jnp.sum(noise**2, axis=0), sizes)
        return jnp.where(use_fit, drawn, walked), use_fit, jnp.where(use_fit, before - after, 0.0)
