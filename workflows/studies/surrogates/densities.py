"""The densities that papers on Hamiltonian neural networks report on, each one vector x, with their true moments.

Dhulipala, Che and Shields (2023), Journal of Computational Physics 492, 112425, name them; their funnel lacks the term
that makes it Neal's (2003, Annals of Statistics 31, 705-767), which this one has.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from workflows.studies.surrogates.chains import Chain, Moments

MODE, MODE_SD = 1.0, 0.35
"""Of the mixture: its means are at +-MODE."""
FUNNEL_SD = 3.0
"""Of the funnel's mouth q1."""
VARIANCES = 10.0 ** np.arange(-2.0, 3.0)
"""Of the normal law."""
VALLEY = 20.0
"""What divides the terms of Rosenbrock's function."""


class Density(NamedTuple):
    """name; dimension of x; log_density: of x [d], without its constant; moments: true means and sds, [d] each.

    heavy: whether the tails of a coordinate are such that the sd of draws says little.
    """

    name: str
    dimension: int
    log_density: Callable[[jax.Array], jax.Array]
    moments: Callable[[], Moments]
    heavy: tuple[int, ...] = ()


def mixture(x: jax.Array) -> jax.Array:
    """Two equal normal laws about -1 and 1, with sd 0.35."""
    return jnp.logaddexp(*(-0.5 * ((x[0] - mean) / MODE_SD) ** 2 for mean in (-MODE, MODE)))


def funnel(x: jax.Array) -> jax.Array:
    """q1 ~ N(0, 3^2), the others N(0, e^q1) given it: with their normalising term -(d - 1) q1 / 2."""
    return -0.5 * (x[0] / FUNNEL_SD) ** 2 - 0.5 * jnp.exp(-x[0]) * jnp.sum(x[1:] ** 2) - 0.5 * (len(x) - 1) * x[0]


def rosenbrock(x: jax.Array) -> jax.Array:
    """-sum_i [100 (x_(i+1) - x_i^2)^2 + (1 - x_i)^2] / 20, i < d."""
    return -jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2) / VALLEY


def gaussian(x: jax.Array) -> jax.Array:
    """Independent, variances from 0.01 to 100."""
    return -0.5 * jnp.sum(x**2 / jnp.asarray(VARIANCES))


def allen_cahn(x: jax.Array) -> jax.Array:
    """The invariant law of the stochastic Allen-Cahn equation on [0, 1] at d sites with spacing D = 1 / (d - 1):

    -sum_i [(x_(i+1) - x_i)^2 / (2 D) + D (V(x_i) + V(x_(i+1))) / 2], V(x) = (1 - x^2)^2, free ends.
    Source: Goodman and Weare (2010), Communications in Applied Mathematics and Computational Science 5, 65-80.
    """
    spacing = 1.0 / (len(x) - 1)
    well = (1.0 - x**2) ** 2
    return -jnp.sum(jnp.diff(x) ** 2 / (2.0 * spacing) + 0.5 * spacing * (well[:-1] + well[1:]))


def _valley(dimension: int) -> Moments:
    """All but the last by quadrature; the last is N(x^2, 1/10) given the one before it."""
    grid = np.linspace(-16.0, 20.0, 3601)
    own = -((1.0 - grid) ** 2) / VALLEY
    pair = -100.0 * (grid[None, :] - grid[:, None] ** 2) ** 2 / VALLEY
    known = Chain(grid, [own] * (dimension - 1), pair)
    before = known.marginal(dimension - 2)
    square, fourth = (float(before @ grid**power) for power in (2, 4))
    mean, sd = known.moments()
    last = np.sqrt(fourth - square**2 + 0.5 * VALLEY / 100.0)
    return np.append(mean, square), np.append(sd, last)


def _wells(dimension: int) -> Moments:
    """By quadrature."""
    grid, spacing = np.linspace(-5.0, 5.0, 1001), 1.0 / (dimension - 1)
    own = -spacing * (1.0 - grid**2) ** 2
    pair = -((grid[None, :] - grid[:, None]) ** 2) / (2.0 * spacing)
    ends = [own / 2.0, *[own] * (dimension - 2), own / 2.0]
    return Chain(grid, ends, pair).moments()


DENSITIES = (
    Density("mixture_1", 1, mixture, lambda: (np.zeros(1), np.array([np.hypot(MODE, MODE_SD)]))),
    Density(
        "funnel_2", 2, funnel, lambda: (np.zeros(2), np.array([FUNNEL_SD, np.exp(FUNNEL_SD**2 / 4.0)])), heavy=(1,)
    ),
    Density("rosenbrock_3", 3, rosenbrock, lambda: _valley(3)),
    Density("rosenbrock_10", 10, rosenbrock, lambda: _valley(10)),
    Density("gaussian_5", 5, gaussian, lambda: (np.zeros(5), np.sqrt(VARIANCES))),
    Density("allen_cahn_25", 25, allen_cahn, lambda: _wells(25)),
)


def density(name: str) -> Density:
    """The density of that name. Raises KeyError that lists them."""
    found = {entry.name: entry for entry in DENSITIES}
    if name not in found:
        raise KeyError(f"there is no density {name!r}; there are {', '.join(found)}")
    return found[name]
