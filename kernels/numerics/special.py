"""Special functions in float64 that XLA's CPU backend vectorises: log, log of a quotient, log gamma and their kin.

The library's own `log` costs about 3 to 20 ns an element and `gammaln` 27 ns there, against about 1 and 4 ns here. A
logarithm splits the bits of x into exponent and fraction and sums the series of atanh; gamma functions use Stirling's
series after a shift of small arguments to 8 or more. Everything is free of branches: `where` chooses.

Polynomial coefficients interpolate the functions named beside them at Chebyshev nodes; tests derive them again.
"""

import jax
import jax.numpy as jnp

Array = jax.Array

_ATANH = (
    0.666666666666667,
    0.39999999999899505,
    0.28571428625975487,
    0.2222221113479508,
    0.18182889125261723,
    0.15331721600556042,
    0.14616449685043406,
)
"""Powers of s^2 in (2 atanh(s) - 2 s) / s^3 for |s| <= (sqrt 2 - 1) / (sqrt 2 + 1); error of log below 1e-17."""

_ATANH_WIDE = (
    0.6666666666666666,
    0.4000000000000965,
    0.28571428566517404,
    0.2222222317288732,
    0.18181727989300478,
    0.15389247405828613,
    0.13202345981729866,
    0.13664790938183702,
)
"""The same for |s| <= 0.203; error of log below 1e-17."""

_STIRLING = (
    0.08333333333333025,
    -0.002777777767912452,
    0.000793645716111539,
    -0.0005943175908563629,
    0.0007726514467211638,
)
"""Powers of 1 / z^2 in z (log Gamma(z) - (z - 1/2) log z + z - log(2 pi) / 2) for z >= 8; error below 4e-16."""

_DIGAMMA = (
    0.08333333333330019,
    -0.00833333322714055,
    0.003968199261569387,
    -0.004156728463754065,
    0.006826275239865082,
)
"""Powers of 1 / z^2 in z^2 (log z - 1 / (2 z) - psi(z)) for z >= 8; error below 6e-16."""

_SHIFT = 8.0
_LOG2_HIGH, _LOG2_LOW = 0.6931471803691238, 1.9082149292705877e-10
"""log 2 in two parts; the first ends in zeros, so that its product with an exponent is exact."""

_HALF_LOG_2PI = 0.9189385332046727
_SMALLEST_NORMAL = 2.2250738585072014e-308
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_ONE_AND_A_HALF_2_52_BITS = 0x4338000000000000


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Horner's rule, lowest power first."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


@jax.custom_jvp
def materialised(value: Array) -> Array:
    """The same float64 values, written to memory once by XLA's CPU backend before anything reads them.

    XLA fuses what it finds cheap into every reader: a row computed once per gene would be evaluated again for each of
    its counts, and a sum over an axis evaluates its whole argument in a loop without vector instructions (50 against
    6 ns an element, measured). A division it holds to be dear, and keeps apart from a reader that reads it twice.
    Dividing by 1 changes no bit (of normal numbers: XLA takes subnormal ones as 0). The 1 comes from a comparison that
    XLA cannot decide beforehand; nan stays nan.
    """
    kept = value / jnp.where(value == value, 1.0, jnp.nan)
    return jnp.where(kept == kept, kept, jnp.nan)


@materialised.defjvp
def _materialised_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return materialised(primals[0]), tangents[0]


@jax.custom_jvp
def _reciprocal(x: Array) -> Array:
    """1 / x of positive x.

    XLA does not fuse a division into a computation that reads its result more than once, but writes it to memory. The
    absolute value, which changes nothing here, is the only reader of the division and may itself be read many times.
    """
    return jnp.abs(1.0 / x)


@_reciprocal.defjvp
def _reciprocal_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value = _reciprocal(primals[0])
    return value, -tangents[0] * value * value


def _small_integer_to_float(k: Array) -> Array:
    """float64 of int64 |k| < 2^51 by an addition of bits: not every CPU has a vector conversion."""
    return jax.lax.bitcast_convert_type(k + _ONE_AND_A_HALF_2_52_BITS, jnp.float64) - 1.5 * 2.0**52


def _split(x: Array) -> tuple[Array, Array]:
    """x = 2^k m of positive normal x with m in [sqrt 1/2, sqrt 2): (k, m), both float64.

    The shift is done on positive integers because not every CPU has an arithmetic shift of 64-bit vectors.
    """
    bits = jax.lax.bitcast_convert_type(x, jnp.int64)
    biased = jax.lax.shift_right_logical(bits - _SQRT_HALF_BITS + (1024 << 52), jnp.int64(52))
    exponent = biased - 1024
    fraction = jax.lax.bitcast_convert_type(bits - (exponent << 52), jnp.float64)
    return _small_integer_to_float(exponent), fraction


def _log_from_parts(k: Array, f: Array) -> Array:
    """k log 2 + log(1 + f), with log(1 + f) = 2 atanh(s) = f - s (f - R(s^2)), s = f / (2 + f)."""
    s = f * _reciprocal(2.0 + f)
    z = s * s
    return k * _LOG2_HIGH + (f - (s * (f - z * _polynomial(_ATANH, z)) - k * _LOG2_LOW))


def _guard(x: Array, value: Array) -> Array:
    """The value where x is positive, normal and finite; else what log gives: -inf at 0, inf at inf, nan below."""
    at_edges = jnp.where(x >= _SMALLEST_NORMAL, x, jnp.where(x >= 0.0, -jnp.inf, jnp.nan))
    return jnp.where((x >= _SMALLEST_NORMAL) & (x < jnp.inf), value, at_edges)


@jax.custom_jvp
def log(x: Array) -> Array:
    """Natural logarithm of x, any shape: of float64 within 2 units in the last place, of float32 the library's.

    log 0 = -inf, log inf = inf, nan for negative x and nan. Subnormal x (below 2.3e-308) count as 0.
    """
    if x.dtype == jnp.float32:
        return jnp.log(x)
    return _guard(x, _log_from_parts(*_log_parts(x)))


def _log_parts(x: Array) -> tuple[Array, Array]:
    """(k, f) with x = 2^k (1 + f)."""
    k, fraction = _split(x)
    return k, fraction - 1.0


@log.defjvp
def _log_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return log(x), dx * _reciprocal(x)


@jax.custom_jvp
def log_quotient(a: Array, b: Array, difference: Array) -> Array:
    """log(a / b) of positive normal finite float64 a and b, given a - b (which the caller may know without rounding).

    nan for any other a or b. Relative accuracy of a few units in the last place also where a / b is near 1, as in
    log1p. With B = 2^k b between about a / 1.5 and 1.5 a, log(a / b) = k log 2 + 2 atanh((a - B) / (a + B)); a - B is
    exact, and for k = 0 it is the difference as given. The gradient is that of log a - log b.
    """
    bits_a, bits_b = (jax.lax.bitcast_convert_type(x, jnp.int64) for x in (a, b))
    exponent = (bits_a - bits_b + (1 << 51)) >> 52
    scaled = jax.lax.bitcast_convert_type(bits_b + (exponent << 52), jnp.float64)
    s = jnp.where(exponent == 0, difference, a - scaled) * _reciprocal(a + scaled)
    k = _small_integer_to_float(exponent)
    z = s * s
    value = k * _LOG2_HIGH + (2.0 * s + (s * z * _polynomial(_ATANH_WIDE, z) + k * _LOG2_LOW))
    valid = (jnp.minimum(a, b) >= _SMALLEST_NORMAL) & (jnp.maximum(a, b) < jnp.inf)
    return jnp.where(valid, value, jnp.nan)


@log_quotient.defjvp
def _log_quotient_jvp(primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]) -> tuple[Array, Array]:
    a, b, difference = primals
    da, db, _ = tangents
    return log_quotient(a, b, difference), da * _reciprocal(a) - db * _reciprocal(b)


def _shift_products(x: Array, step: Array) -> tuple[Array, Array, Array]:
    """(z, 1 / z, P) with z = x + 8 step and P = x (x + step) ... (x + 7 step) / z^8, step 0 or 1.

    Factors are taken in pairs: with t = x (x + 7 step) the four pairs are t, t + 6, t + 10 and t + 12 steps.
    P is 1 for step 0. Each factor is below 1, so that nothing overflows.
    """
    z = x + _SHIFT * step
    inverse = _reciprocal(z)
    unit = step * inverse * inverse
    pair = (x * inverse) * ((x + 7.0 * step) * inverse)
    return z, inverse, pair * (pair + 6.0 * unit) * (pair + 10.0 * unit) * (pair + 12.0 * unit)


def shift_step(x: Array) -> Array:
    """1 where Stirling's series needs the shift (x below 8), else 0."""
    return jnp.where(x < _SHIFT, 1.0, 0.0)


def stirling_excess(x: Array, b: Array, difference: Array, step: Array) -> Array:
    """E(x; b) = log Gamma(x) - x log b + x - log(2 pi) / 2, stable for x near b however large; x, b > 0.

    difference: x - b. step: 1 to shift the argument by 8 before Stirling's series, 0 where x >= 8 for certain (see
    shift_step). With z = x + 8 step, P = x (x + 1) ... (x + 7) / z^8 where shifted and 1 elsewhere, and c Stirling's
    correction:

        E = x log(z / b) - log(z P^2) / 2 + c(z) - 8 step.
    """
    z, inverse, product = _shift_products(x, step)
    correction = inverse * _polynomial(_STIRLING, inverse * inverse)
    leading = x * log_quotient(z, b, difference + _SHIFT * step)
    return leading - 0.5 * log(z * product * product) + correction - _SHIFT * step


@jax.custom_jvp
def log_gamma(x: Array) -> Array:
    """log Gamma(x) of float64 x > 0, any shape: error below 1e-13, relative where the value is above 1.

    inf at 0 and at inf; nan for negative x. The derivative is `digamma`.
    """
    step = shift_step(x)
    z, inverse, product = _shift_products(x, step)
    correction = inverse * _polynomial(_STIRLING, inverse * inverse)
    shifted = (z - 0.5) * log(z) - z + _HALF_LOG_2PI + correction
    value = shifted - log(product) - _SHIFT * step * log(z)
    return jnp.where(x < 0.0, jnp.nan, jnp.where(x < jnp.inf, value, x))


@log_gamma.defjvp
def _log_gamma_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return log_gamma(x), dx * digamma(x)


def digamma(x: Array) -> Array:
    """psi(x) = d log Gamma(x) / dx of float64 x > 0, any shape: error below 1e-13, relative where above 1."""
    step = shift_step(x)
    z = x + _SHIFT * step
    return log(z) - _digamma_correction(x, z, step)


def digamma_excess(x: Array, b: Array, difference: Array, step: Array) -> Array:
    """psi(x) - log b, stable for x near b however large: the derivative by x of `stirling_excess`, same arguments."""
    z = x + _SHIFT * step
    return log_quotient(z, b, difference + _SHIFT * step) - _digamma_correction(x, z, step)


def _digamma_correction(x: Array, z: Array, step: Array) -> Array:
    """log z - psi(x), z = x + 8 step: 1 / (2 z) and the series, and where shifted the sum of 1 / (x + i), i < 8.

    The sum is the logarithmic derivative of x (x + 1) ... (x + 7) = t (t + 6) (t + 10) (t + 12), t = x (x + 7).
    """
    inverse = _reciprocal(z)
    square = inverse * inverse
    near = jnp.where(step > 0.0, x, 1.0)
    t = near * (near + 7.0)
    product = t * (t + 6.0) * (t + 10.0) * (t + 12.0)
    slope = 720.0 + t * (504.0 + t * (84.0 + 4.0 * t))
    backwards = step * (2.0 * near + 7.0) * slope * _reciprocal(product)
    return 0.5 * inverse + square * _polynomial(_DIGAMMA, square) + backwards
