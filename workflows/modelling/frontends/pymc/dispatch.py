"""What PyTensor's JAX functions lack or do wrong, put right for the functions of this front end only.

PyTensor finds the JAX version of an operation in registries of the process; these are as they were when a function has
been made, so that the user's own PyTensor functions are left alone.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from pymc.variational.minibatch_rv import MinibatchRandomVariable
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.link.jax.dispatch.random import jax_sample_fn
from pytensor.scalar.math import Erfcx
from pytensor.tensor.random.basic import CategoricalRV

ASYMPTOTIC = 25.0
"""Where erfcx goes over to its asymptotic series, whose first six terms are exact in float64 from there."""


@contextmanager
def mended_operations() -> Iterator[None]:
    """While a graph becomes a JAX function: erfcx without TensorFlow Probability, and draws of variables that are
    weighed by total_size, which are those of the variable itself."""
    with _registered(jax_funcify, {Erfcx: _erfcx_op, MinibatchRandomVariable: _first_input}):
        yield


@contextmanager
def mended_samplers() -> Iterator[None]:
    """While a JAX function is traced: categorical variables drawn with the probabilities that they have.

    PyTensor 2.38 hands logit(p) = log p - log(1 - p) to jax.random.categorical, which wants log p up to a constant: of
    probabilities .1, .2 and .7 it draws .04, .09 and .87. Mixtures and zero-inflated outcomes are drawn through it.
    """
    with _registered(jax_sample_fn, {CategoricalRV: _sample_categorical}):
        yield


@contextmanager
def _registered(registry: Any, functions: Mapping[type, Callable[..., Any]]) -> Iterator[None]:
    found = {kind: registry.dispatch(kind) for kind in functions}
    for kind, function in functions.items():
        registry.register(kind, function)
    try:
        yield
    finally:
        for kind, function in found.items():
            registry.register(kind, function)


def _first_input(op: Any, **options: Any) -> Callable[..., Any]:
    return lambda variable, *sizes: variable


def _erfcx_op(op: Any, **options: Any) -> Callable[..., Any]:
    return erfcx


@jax.custom_jvp
def erfcx(x: jax.Array) -> jax.Array:
    """exp(x^2) erfc(x), by the asymptotic series for large x (Abramowitz and Stegun 7.1.23)."""
    near = jnp.minimum(x, ASYMPTOTIC)
    far = jnp.maximum(x, ASYMPTOTIC)
    t = 0.5 / far**2
    series = 1.0 - t * (1.0 - 3.0 * t * (1.0 - 5.0 * t * (1.0 - 7.0 * t * (1.0 - 9.0 * t))))
    return jnp.where(x < ASYMPTOTIC, jnp.exp(near**2) * jax.scipy.special.erfc(near), series / (far * jnp.sqrt(jnp.pi)))


@erfcx.defjvp
def _erfcx_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    value = erfcx(x)
    return value, (2.0 * x * value - 2.0 / jnp.sqrt(jnp.pi)) * tangent


def _sample_categorical(op: Any, node: Any) -> Callable[..., jax.Array]:
    def sample(key: jax.Array, size: tuple[int, ...] | None, dtype: Any, p: jax.Array) -> jax.Array:
        return jax.random.categorical(key, jnp.log(p), axis=-1, shape=size).astype(dtype)

    return sample
