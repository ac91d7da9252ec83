"""A learned potential of one block: a neural network whose slope may stand in for the gradient of the density."""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.integrators import ValueAndGradient
from kernels.dynamics.metric import Factor, multiply

Values = jax.Array | np.ndarray


class Network(NamedTuple):
    """U(x) = |z|^2 / 2 + f(z), z = W (x - c), f a perceptron with tanh units: far from what it was trained on the units
    are constant and the parabola confines.

    center: c, [p].
    whiten: W, [p, p], the inverse of a factor of the covariance.
    weights: of each layer, [inputs, outputs], the last with one output.
    biases: of each layer but the last, [outputs].
    trained: whether it stands in for the gradient; a scalar.
    """

    center: Values
    whiten: Values
    weights: tuple[Values, ...]
    biases: tuple[Values, ...]
    trained: Values


def untrained(width: int, hidden: tuple[int, ...]) -> Network:
    """A network of zeros, which is not used. hidden: units of each layer."""
    sizes = (width, *hidden, 1)
    return Network(
        center=np.zeros(width),
        whiten=np.eye(width),
        weights=tuple(np.zeros(shape) for shape in pairwise(sizes)),
        biases=tuple(np.zeros(size) for size in hidden),
        trained=np.asarray(False),
    )


def whitened_potential(network: Network, z: jax.Array) -> jax.Array:
    """U at whitened coordinates z [p]: a scalar."""
    units = z
    for weights, bias in zip(network.weights[:-1], network.biases, strict=True):
        units = jnp.tanh(units @ jnp.asarray(weights) + bias)
    return 0.5 * jnp.sum(z**2) + (units @ jnp.asarray(network.weights[-1]))[0]


def learned_potential(network: Network, x: jax.Array) -> jax.Array:
    """U at the coordinates x [p]: a scalar."""
    return whitened_potential(network, jnp.asarray(network.whiten) @ (x - network.center))


def in_place_of(evaluate: ValueAndGradient, network: Network, origin: jax.Array, factor: Factor) -> ValueAndGradient:
    """The network's potential and slope where it is trained, else what `evaluate` gives.

    evaluate: offsets [p, 1] -> (U [1], dU [p, 1]). origin: the block [p, 1] that offsets are from, in units of factor.
    A slope that is not finite stays so: a trajectory by it ends nowhere, and is rejected.
    """

    def learned(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        potential, slope = jax.value_and_grad(
            lambda q: learned_potential(network, (origin + multiply(factor, q))[:, 0])
        )(offset)
        return potential[None], slope

    return where_trained(network, learned, evaluate)


def where_trained(network: Network, learned: ValueAndGradient, otherwise: ValueAndGradient) -> ValueAndGradient:
    """What is learned where the network is trained, else the other; only one of them is computed."""

    def either(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        found: tuple[jax.Array, jax.Array] = jax.lax.cond(network.trained, learned, otherwise, offset)
        return found

    return either
