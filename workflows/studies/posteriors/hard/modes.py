"""Separated modes: normals apart, signs that a product leaves open, and a spike that nobody finds."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from workflows.modelling.model import Model
from workflows.studies.posteriors.hard import laws
from workflows.studies.posteriors.hard.hard import Aspect, Draws, Hard, element, vector_model


class Normals(NamedTuple):
    """A mixture of isotropic normals. weights, sds [k]; means [k, p], zero in all coordinates after these p."""

    dimension: int
    weights: Sequence[float]
    means: Sequence[Sequence[float]]
    sds: Sequence[float]

    @property
    def centres(self) -> np.ndarray:
        """The means, [k, dimension]."""
        centres = np.zeros((len(self.weights), self.dimension))
        centres[:, : len(self.means[0])] = self.means
        return centres

    def log_density(self, x: jax.Array) -> jax.Array:
        """Up to a constant."""
        sds = jnp.asarray(self.sds)
        squares = jnp.sum((x - self.centres) ** 2, axis=1) / sds**2
        return jax.nn.logsumexp(jnp.log(jnp.asarray(self.weights)) - 0.5 * squares - self.dimension * jnp.log(sds))

    def law(self, coordinate: int) -> laws.Law:
        """Of a coordinate."""
        return laws.normal_mixture(self.weights, self.centres[:, coordinate], self.sds)

    def draw(self, rng: np.random.Generator, of: np.ndarray) -> np.ndarray:
        """A draw of each of these components, [n, dimension]."""
        return self.centres[of] + np.asarray(self.sds)[of][:, None] * rng.normal(size=(len(of), self.dimension))


def mixture(name: str, note: str, normals: Normals) -> Hard:
    """A mixture of normals as a posterior; up to four coordinates are judged, those with all the modes first."""

    def aspects() -> tuple[Aspect, ...]:
        return tuple(element("x", i, normals.law(i)) for i in range(min(normals.dimension, 4)))

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        return {"x": normals.draw(rng, rng.choice(len(normals.weights), draws, p=normals.weights))}

    return Hard(name, note, lambda: vector_model(name, normals.dimension, normals.log_density), aspects, simulate)


SEEN, NOISE = 1.0, 0.1
"""The value that a product of two standard normals was seen to have, and the sd of that."""


def signs(name: str, note: str) -> Hard:
    """a, b ~ N(0, 1) given that their product, seen with noise, is 1: both are positive, or both are negative."""

    def log_density(x: jax.Array) -> jax.Array:
        return -0.5 * jnp.sum(x**2) - 0.5 * ((SEEN - x[0] * x[1]) / NOISE) ** 2

    def density(a: float) -> float:
        """Of a, b summed out: given a the observation is normal with variance a^2 + NOISE^2."""
        return float(norm.pdf(a) * norm.pdf(SEEN, 0, np.hypot(a, NOISE)))

    def law() -> laws.Law:
        places = (-1.0, 0.0, 1.0)
        total = laws.integral(density, 8.0, places)
        half = 0.5 * total

        def cdf(a: float) -> float:
            part = laws.integral(lambda t: density(abs(a) * t) * abs(a), 1.0) / 2
            return (half + np.sign(a) * part) / total

        return laws.of_cdf(cdf, 8.0)

    def aspects() -> tuple[Aspect, ...]:
        found = law()
        return element("x", 0, found), element("x", 1, found)

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        """From the prior, by rejection."""
        kept = np.empty((0, 2))
        while len(kept) < draws:
            x = rng.normal(size=(100_000, 2))
            seen = rng.uniform(size=len(x)) < np.exp(-0.5 * ((SEEN - x.prod(axis=1)) / NOISE) ** 2)
            kept = np.concatenate([kept, x[seen]])
        return {"x": kept[:draws]}

    build: Callable[[], Model] = lambda: vector_model(name, 2, log_density)  # noqa: E731
    return Hard(name, note, build, aspects, simulate)


MODES = (
    mixture("modes_near", "two of equal weight, 4 sds apart", Normals(2, (0.5, 0.5), ((-2,), (2,)), (1, 1))),
    mixture("modes_unequal", ".8 and .2, 6 sds apart, 5 dimensions", Normals(5, (0.8, 0.2), ((-3,), (3,)), (1, 1))),
    mixture(
        "modes_three", ".6, .3 and .1, 7 sds apart", Normals(2, (0.6, 0.3, 0.1), ((-3, 0), (4, 0), (0.5, 6)), (1, 1, 1))
    ),
    mixture(
        "modes_widths", "sds 1 and .2, equal weights, 3 dimensions", Normals(3, (0.5, 0.5), ((-3,), (3,)), (1, 0.2))
    ),
    mixture(
        "modes_far",
        "two of equal weight, 20 sds apart, 10 dimensions",
        Normals(10, (0.5, 0.5), ((-10,), (10,)), (1, 1)),
    ),
    mixture("modes_rare", ".99 and .01, 30 sds apart", Normals(5, (0.99, 0.01), ((-15,), (15,)), (1, 1))),
    signs("signs", "a product of two is known: their signs are not"),
    mixture(
        "spike", "half of the mass within .06 of a point nobody passes", Normals(3, (0.5, 0.5), ((0,), (2,)), (1, 0.02))
    ),
)
