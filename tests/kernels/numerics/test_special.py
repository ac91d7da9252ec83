"""The fast special functions against references, at their edges, and their coefficients against a new derivation."""

import math
from decimal import Decimal, getcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from kernels.numerics import special

EDGES = [0.0, -0.0, -1.0, math.inf, -math.inf, math.nan, 5e-324]


def grid(low: float, high: float, n: int = 20_000) -> np.ndarray:
    """Positive numbers whose logarithms are spread evenly, jittered with a fixed seed."""
    return 10.0 ** np.random.default_rng(0).uniform(low, high, n)


@pytest.mark.parametrize("x", [grid(-307, 308), grid(-0.3, 0.3), 1.0 + 1e-6 * grid(-8, 0)], ids=["wide", "near", "one"])
def test_log_is_within_two_units_in_the_last_place(x: np.ndarray) -> None:
    exact = np.log(x.astype(np.longdouble))
    error = np.abs(np.asarray(jax.jit(special.log)(x)) - exact) / np.spacing(np.abs(exact.astype(float)))
    assert error.max() <= 2.0


def test_log_at_the_edges_is_that_of_numpy_with_subnormals_as_zero() -> None:
    found = np.asarray(special.log(jnp.array(EDGES)))
    np.testing.assert_array_equal(found, [-math.inf, -math.inf, math.nan, math.inf, math.nan, math.nan, -math.inf])


def test_log_of_float32_stays_float32() -> None:
    x = np.float32([0.0, 1e-30, 0.7, 3.0, np.inf, -1.0])
    found = special.log(jnp.asarray(x))
    assert found.dtype == np.float32
    with np.errstate(divide="ignore", invalid="ignore"):
        np.testing.assert_allclose(found, np.log(x), rtol=1e-6)


def test_log_quotient_is_accurate_where_the_quotient_is_near_one() -> None:
    rng = np.random.default_rng(1)
    b = rng.uniform(1.0, 1e8, 10_000)
    difference = b * rng.uniform(-1.0, 1.0, b.size) * 10.0 ** rng.uniform(-15, -0.3, b.size)
    found = jax.jit(special.log_quotient)(b + difference, b, difference)
    np.testing.assert_allclose(found, np.log1p(difference / b), rtol=1e-14)


def test_log_quotient_is_accurate_far_from_one() -> None:
    a, b = grid(-150, 150), grid(-140, 140)[::-1].copy()
    found = jax.jit(special.log_quotient)(a, b, a - b)
    np.testing.assert_allclose(found, np.log(a.astype(np.longdouble) / b), rtol=1e-14)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_log_quotient_refuses_what_is_not_positive_and_finite(bad: float) -> None:
    assert math.isnan(special.log_quotient(jnp.float64(bad), jnp.float64(2.0), jnp.float64(1.0)))
    assert math.isnan(special.log_quotient(jnp.float64(2.0), jnp.float64(bad), jnp.float64(1.0)))


def test_log_gamma_and_digamma_agree_with_scipy() -> None:
    x = np.concatenate([grid(-10, 10), np.random.default_rng(2).uniform(0.5, 20.0, 20_000)])
    for ours, reference in ((special.log_gamma, scipy.special.gammaln), (special.digamma, scipy.special.digamma)):
        exact = reference(x)
        assert np.max(np.abs(np.asarray(jax.jit(ours)(x)) - exact) / np.maximum(1.0, np.abs(exact))) < 1e-13


def test_log_gamma_at_the_edges() -> None:
    found = np.asarray(special.log_gamma(jnp.array([0.0, math.inf, -1.5, math.nan])))
    np.testing.assert_array_equal(found, [math.inf, math.inf, math.nan, math.nan])


def test_gradients_are_the_derivatives() -> None:
    x = jnp.asarray(grid(-2, 4, 500))
    np.testing.assert_allclose(jax.vmap(jax.grad(special.log))(x), 1.0 / x, rtol=1e-14)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(special.log_gamma))(x), scipy.special.digamma(x), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(
        jax.vmap(jax.grad(special.digamma))(x), scipy.special.polygamma(1, np.asarray(x)), rtol=1e-8
    )
    by_a, by_b = jax.vmap(jax.grad(special.log_quotient, (0, 1)), (0, None, 0))(x, 3.0, x - 3.0)
    np.testing.assert_allclose(by_a, 1.0 / x, rtol=1e-14)
    np.testing.assert_allclose(by_b, -1.0 / 3.0, rtol=1e-14)


@pytest.mark.parametrize("x", [0.3, 5.0, 40.0, 1e7])
@pytest.mark.parametrize("b", [0.2, 30.0, 1e7])
def test_excesses_are_their_definitions(x: float, b: float) -> None:
    step = special.shift_step(jnp.float64(x))
    found = special.stirling_excess(jnp.float64(x), jnp.float64(b), jnp.float64(x - b), step)
    expected = math.lgamma(x) - x * math.log(b) + x - 0.5 * math.log(2.0 * math.pi)
    assert float(found) == pytest.approx(expected, rel=1e-12, abs=1e-15 * x * abs(math.log(x)) + 1e-13)
    slope = special.digamma_excess(jnp.float64(x), jnp.float64(b), jnp.float64(x - b), step)
    assert float(slope) == pytest.approx(scipy.special.digamma(x) - math.log(b), rel=1e-12, abs=1e-13)


def test_materialised_changes_no_bit_and_passes_derivatives() -> None:
    x = jnp.array([1.0, -0.0, math.inf, -math.inf, 1e-300, 3.14, math.nan])
    assert np.asarray(special.materialised(x)).tobytes() == np.asarray(x).tobytes()
    assert float(jax.grad(lambda v: special.materialised(v) ** 2)(3.0)) == 6.0


def atanh_remainder(z: Decimal) -> Decimal:
    """(2 atanh(s) - 2 s) / s^3 with z = s^2, by its Taylor series."""
    return sum((Decimal(2) / (2 * k + 3) * z**k for k in range(45)), Decimal(0))


def stirling_remainder(w: Decimal) -> Decimal:
    """z (log Gamma(z) - its leading terms) with w = 1 / z^2: telescoped to large z, then the asymptotic series."""
    z = first = 1 / w.sqrt()
    total = Decimal(0)
    while z < 60:
        total += (z + Decimal("0.5")) * ((z + 1) / z).ln() - 1
        z += 1
    numerators, denominators = (1, -1, 1, -1, 1, -691, 1), (12, 360, 1260, 1680, 1188, 360360, 156)
    tail = sum(
        Decimal(n) / Decimal(m) / z ** (2 * k + 1)
        for k, (n, m) in enumerate(zip(numerators, denominators, strict=True))
    )
    return first * (total + tail)


@pytest.mark.parametrize(
    ("coefficients", "function", "low", "high", "tolerance"),
    [
        (special._ATANH, atanh_remainder, "1e-9", "0.02943", 1e-14),
        (special._ATANH_WIDE, atanh_remainder, "1e-9", "0.0412", 1e-14),
        (special._STIRLING, stirling_remainder, "1e-5", "0.015625", 4e-15),
    ],
)
def test_coefficients_reproduce_their_functions(coefficients, function, low, high, tolerance) -> None:
    getcontext().prec = 50
    for i in range(50):
        x = Decimal(low) + (Decimal(high) - Decimal(low)) * i / 49
        polynomial = sum(Decimal(c) * x**power for power, c in enumerate(coefficients))
        assert abs(float(polynomial - function(x))) < tolerance
