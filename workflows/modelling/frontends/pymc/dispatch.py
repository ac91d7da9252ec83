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
from pytensor.graph.fg import FunctionGraph
from pytensor.link.jax.dispatch import jax_funcify, jax_typify
from pytensor.link.jax.dispatch.random import jax_sample_fn
from pytensor.link.utils import fgraph_to_python
from pytensor.scalar.basic import Clip, ScalarMaximum, ScalarMinimum
from pytensor.scalar.math import Erfcx
from pytensor.tensor.random.basic import CategoricalRV

from kernels.numerics.special import materialised

ASYMPTOTIC = 25.0
"""Where erfcx goes over to its asymptotic series, whose first six terms are exact in float64 from there."""
CHOICES = (Clip, ScalarMaximum, ScalarMinimum)
"""Operations that have a kink where their inputs are equal."""


@contextmanager
def mended_operations() -> Iterator[None]:
    """While a graph becomes a JAX function: erfcx without TensorFlow Probability, draws of variables weighed by
    total_size, which are those of the variable itself, and float64 wherever PyTensor says float64.

    PyTensor fills arrays with Python's numbers, whose type is weak in JAX: beside a float32 constant, as PyMC writes
    its literals, they become float32 (the standard deviations of LKJCholeskyCov do).

    Squared distances of Gaussian processes are cut off at 0. XLA would compute one that is 0 anew for every use, with
    another rounding error, take it for negative in one place and for positive in another, and sum up a slope of parts
    that do not belong together: inputs of such operations are computed once.
    """
    mended: dict[type, Callable[..., Any]] = {
        Erfcx: _erfcx_op,
        MinibatchRandomVariable: _first_input,
        FunctionGraph: _whole_graph,
    }
    with _registered(jax_funcify, mended):
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


def _whole_graph(
    graph: FunctionGraph, node: Any = None, fgraph_name: str = "jax_funcified_fgraph", **options: Any
) -> Callable[..., Any]:
    """As PyTensor's own, with operations that keep to the types that they declare."""
    function: Callable[..., Any] = fgraph_to_python(
        graph, _typed, type_conversion_fn=jax_typify, fgraph_name=fgraph_name, **options
    )
    return function


def _typed(op: Any, node: Any = None, **options: Any) -> Callable[..., Any]:
    """The JAX function of an operation, its float64 results never of a weak type."""
    function: Callable[..., Any] = jax_funcify(op, node=node, **options)
    if isinstance(getattr(op, "scalar_op", op), CHOICES):
        function = _decided_once(function)
    double = [getattr(output.type, "dtype", None) == "float64" for output in node.outputs]
    if not any(double):
        return function
    if len(double) == 1:
        return lambda *inputs: _double(function(*inputs))

    def several(*inputs: Any) -> list[Any]:
        return [_double(x) if is_double else x for x, is_double in zip(function(*inputs), double, strict=True)]

    return several


def _decided_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """With inputs that are computed once and not again for every use."""
    return lambda *inputs: function(*map(_computed_once, inputs))


def _computed_once(value: Any) -> Any:
    return materialised(value) if getattr(value, "dtype", None) == jnp.float64 else value


def _double(value: Any) -> Any:
    return jax.lax.convert_element_type(value, jnp.float64)


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
