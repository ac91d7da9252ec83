"""The tapered Student t integrates to 1, draws from its density, and has the tails of a normal law."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from workflows.modelling.distributions.tapered_t import TaperedT

TAPER = 4.0


def density(x: float, freedom: float, scale: float) -> float:
    """Without its normaliser."""
    return float(stats.t.pdf(x / scale, freedom) / scale * np.exp(-0.5 * (x / TAPER) ** 2))


def integral(freedom: float, scale: float, upper: float = 40.0 * TAPER) -> float:
    """From 0, by quadrature over pieces of the scale's size and larger."""
    edges = sorted({0.0, *(min(scale * 10.0**k, upper) for k in range(-1, 5)), upper})
    return sum(
        integrate.quad(density, a, b, (freedom, scale), epsabs=1e-14, epsrel=1e-12)[0] for a, b in pairwise(edges)
    )


@pytest.mark.parametrize("freedom", [1.001, 1.7, 4.0, 30.0])
@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0, 8.0])
def test_the_normaliser_is_the_integral(freedom: float, scale: float) -> None:
    found = TaperedT(jnp.asarray(freedom), jnp.asarray(scale), TAPER).log_normaliser()
    # The rule's own error, stated with it, grows with the degrees of freedom and falls with the scale.
    assert np.isclose(np.exp(found), 2.0 * integral(freedom, scale), rtol=1e-12 if freedom < 10 else 2e-6)


def test_the_log_density_is_the_tapered_t() -> None:
    law = TaperedT(jnp.array([1.5, 3.0]), jnp.array([0.05, 1.0]), TAPER)
    x = np.array([[-0.02, 2.0], [3.0, -9.0]])
    expected = [
        [
            np.log(density(v, f, s)) - np.log(2 * integral(f, s))
            for v, f, s in zip(row, (1.5, 3.0), (0.05, 1.0), strict=True)
        ]
        for row in x
    ]
    np.testing.assert_allclose(law.log_prob(jnp.asarray(x)), expected, rtol=1e-10)


def test_draws_are_from_it() -> None:
    """By Kolmogorov and Smirnov's test, with a false alarm in 1e7; the heavy t is often beyond the taper."""
    law = TaperedT(jnp.asarray(1.2), jnp.asarray(2.0), TAPER)
    found = np.abs(np.asarray(law.sample(jax.random.key(0), (20_000,))))
    grid = np.linspace(0.0, 40.0, 4001)
    heights = integrate.cumulative_simpson([density(x, 1.2, 2.0) for x in grid], x=grid, initial=0.0)
    assert stats.kstest(found, lambda x: np.interp(x, grid, heights / heights[-1])).pvalue > 1e-7


def test_gradients_are_finite_where_it_is_narrow() -> None:
    def log_prob(freedom: jax.Array, scale: jax.Array, x: jax.Array) -> jax.Array:
        return TaperedT(freedom, scale, TAPER).log_prob(x)

    slopes = jax.grad(log_prob, (0, 1, 2))(jnp.asarray(1.0), jnp.asarray(1e-4), jnp.asarray(3.0))
    assert all(np.isfinite(slope) for slope in slopes)
