"""What the pictures of the curve show: its values and band, its likelihood over (alpha, c), its partial derivatives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from workflows.models.rri.curve import NAMES, log_likelihood, mean, partials
from workflows.models.rri.published import EXAMPLE, EXAMPLE_NOISE, EXAMPLE_SIGMA
from workflows.models.rri.simulate import Recording, example
from workflows.studies.demos.conditioning import OBSERVATIONS, information

SURFACE = 81
"""Points of the surface along each axis."""
WIDTHS = 6.0
"""Half its width, in standard deviations of the parameter given all others."""


class Band(NamedTuple):
    """A recording with its true mean and standard deviation at its times, [N]."""

    recording: Recording
    mean: np.ndarray
    sd: np.ndarray


class Surface(NamedTuple):
    """log likelihood [c, alpha], its largest value 0, all other parameters at their true values."""

    alpha: np.ndarray
    c: np.ndarray
    log_likelihood: np.ndarray


def band(*, varying: bool) -> Band:
    """The example recording."""
    recording = example(OBSERVATIONS, varying=varying)
    t = jnp.asarray(recording.t)
    sd = np.asarray(mean(EXAMPLE_NOISE, t)) if varying else np.full(OBSERVATIONS, EXAMPLE_SIGMA)
    return Band(recording, np.asarray(mean(EXAMPLE, t)), sd)


def surface() -> Surface:
    """About the truth, as wide as the likelihood is there."""
    recording = example(OBSERVATIONS, varying=False)
    t, y = jnp.asarray(recording.t), jnp.asarray(recording.y)
    sd = 1.0 / np.sqrt(np.diag(information()))
    offsets = np.linspace(-WIDTHS, WIDTHS, SURFACE)
    alpha, c = EXAMPLE.alpha + sd[0] * offsets, EXAMPLE.c + sd[2] * offsets

    def at(alpha: jax.Array, c: jax.Array) -> jax.Array:
        return log_likelihood(EXAMPLE._replace(alpha=alpha, c=c), EXAMPLE_SIGMA, t, y)

    over = jax.jit(jax.vmap(jax.vmap(at, in_axes=(0, None)), in_axes=(None, 0)))
    values = np.asarray(over(jnp.asarray(alpha), jnp.asarray(c)))
    return Surface(alpha, c, values - values.max())


def derivatives() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Times, and the partial derivative of the mean by each parameter in units of its standard deviation."""
    t = example(OBSERVATIONS, varying=False).t
    sd = np.sqrt(np.diag(np.linalg.inv(information())))
    found = partials(EXAMPLE, jnp.asarray(t))
    return t, {name: sd[k] * np.asarray(partial) for k, (name, partial) in enumerate(zip(NAMES, found, strict=True))}
