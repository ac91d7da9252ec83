"""The densities of the study and the truth about them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import dblquad

from workflows.studies.surrogates.chains import Chain
from workflows.studies.surrogates.densities import DENSITIES, density


def test_a_chain_of_normal_factors_has_the_moments_of_the_normal_law() -> None:
    """Precisions: a_i = exp(-(x_i - i)^2 / 2), b = exp(-(x - y)^2)."""
    grid, links = np.linspace(-12.0, 14.0, 1301), 3
    own = [-0.5 * (grid - i) ** 2 for i in range(links)]
    mean, sd = Chain(grid, own, -((grid[None, :] - grid[:, None]) ** 2)).moments()
    precision = np.array([[3.0, -2.0, 0.0], [-2.0, 5.0, -2.0], [0.0, -2.0, 3.0]])
    covariance = np.linalg.inv(precision)
    np.testing.assert_allclose(mean, covariance @ np.arange(3.0), atol=1e-10)
    np.testing.assert_allclose(sd, np.sqrt(np.diag(covariance)), rtol=1e-10)


def test_the_valleys_moments_by_another_quadrature() -> None:
    """Of three dimensions, the last of which integrates to a constant: scipy over q1 and q2 - q1^2."""

    def weight(e: float, x: float) -> float:
        y = x**2 + e
        return float(np.exp(-(100.0 * e**2 + (1 - x) ** 2 + (1 - y) ** 2) / 20.0))

    def integral(power: int, which: int) -> float:
        def value(e: float, x: float) -> float:
            return weight(e, x) * (x, x**2 + e)[which] ** power

        return float(dblquad(value, -6.0, 6.0, -3.0, 3.0, epsabs=1e-8, epsrel=1e-8)[0])

    total = integral(0, 0)
    mean, sd = density("rosenbrock_3").moments()
    for i in range(2):
        first, second = (integral(power, i) / total for power in (1, 2))
        assert mean[i] == pytest.approx(first, abs=1e-6)
        assert sd[i] == pytest.approx(np.sqrt(second - first**2), rel=1e-6)
    assert mean[2] == pytest.approx(integral(2, 1) / total, rel=1e-6)


@pytest.mark.parametrize("entry", DENSITIES, ids=lambda entry: entry.name)
def test_every_density_takes_a_vector_of_its_dimension(entry: object) -> None:
    """Every density takes its vector, and has a finite slope at the origin."""
    found = density(entry.name)  # type: ignore[attr-defined]
    mean, sd = found.moments()
    assert mean.shape == sd.shape == (found.dimension,)
    assert np.isfinite(jax.grad(found.log_density)(jnp.full(found.dimension, 0.1))).all()


def test_the_funnel_is_neals() -> None:
    """Its mouth is N(0, 3^2): the normalising term is there."""
    log_density, grid = density("funnel_2").log_density, jnp.linspace(-40.0, 40.0, 8001)

    def marginal(q1: float) -> float:
        return float(jax.nn.logsumexp(jax.vmap(lambda q2: log_density(jnp.stack([jnp.asarray(q1), q2])))(grid)))

    assert marginal(1.3) - marginal(0.0) == pytest.approx(-0.5 * (1.3 / 3.0) ** 2, abs=1e-9)


def test_an_unknown_density_is_refused() -> None:
    with pytest.raises(KeyError, match="rosenbrock_10"):
        density("rosenbrock")
