"""Slow scales and heavy tails: what is narrow in one direction and wide in another, or has no moments."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats
from scipy.special import ndtr

from kernels.types import Data, Position
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.studies.posteriors.hard import laws
from workflows.studies.posteriors.hard.hard import (
    Aspect,
    Draws,
    Hard,
    dispersed,
    element,
    elements,
    projection,
    vector_model,
)


def decades(name: str, note: str, dimension: int) -> Hard:
    """A normal with sds from .001 to 100, turned at random."""
    turn = np.linalg.qr(np.random.default_rng(1301).normal(size=(dimension, dimension)))[0]
    sds = np.geomspace(1e-3, 1e2, dimension)

    def log_density(x: jax.Array) -> jax.Array:
        return -0.5 * jnp.sum((turn @ x / sds) ** 2)

    def aspects() -> tuple[Aspect, ...]:
        own = np.sqrt((turn.T**2) @ sds**2)
        axes = (projection(f"axis {k}", turn[k], laws.normal(sds[k])) for k in (0, dimension // 2, dimension - 1))
        return *(element("x", i, laws.normal(own[i])) for i in range(4)), *axes

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        return {"x": (sds * rng.normal(size=(draws, dimension))) @ turn}

    return Hard(name, note, lambda: vector_model(name, dimension, log_density), aspects, simulate)


NARROW, WIDE, DEGREES = 1e-3, 10.0, 3.0
"""Sd of the sum of two parameters, scale of their difference, and its degrees of freedom."""


def ridge(name: str, note: str) -> Hard:
    """The sum u of two parameters is known to a thousandth, their difference v hardly, with heavy tails."""

    def log_density(x: jax.Array) -> jax.Array:
        u, v = x[0] + x[1], x[0] - x[1]
        tail = -0.5 * (DEGREES + 1) * jnp.log1p((v / WIDE) ** 2 / DEGREES)
        return -0.5 * (u / NARROW) ** 2 + tail

    def law() -> laws.Law:
        """Of (u + v) / 2."""
        difference = stats.t(DEGREES, scale=WIDE)
        return laws.of_cdf(
            lambda x: laws.integral(lambda z: stats.norm.pdf(z) * difference.cdf(2 * x - NARROW * z), 10.0), 200.0
        )

    def aspects() -> tuple[Aspect, ...]:
        found = law()
        return (
            *elements("x", range(2), found),
            projection("sum", np.array([1.0, 1.0]), laws.normal(NARROW)),
            projection("difference", np.array([1.0, -1.0]), laws.of_scipy(stats.t(DEGREES, scale=WIDE), moments=False)),
        )

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        u, v = NARROW * rng.normal(size=draws), WIDE * rng.standard_t(DEGREES, size=draws)
        return {"x": np.column_stack([u + v, u - v]) / 2}

    build: Callable[[], Model] = lambda: vector_model(name, 2, log_density)  # noqa: E731
    return Hard(name, note, build, aspects, simulate)


ARMS, THICK = 4.0, 0.5
"""Sd of the way along a banana, and across it."""


def banana(name: str, note: str) -> Hard:
    """x ~ N(0, 4), y ~ N(x^2 / 2, .5)."""

    def log_density(x: jax.Array) -> jax.Array:
        return -0.5 * (x[0] / ARMS) ** 2 - 0.5 * ((x[1] - 0.5 * x[0] ** 2) / THICK) ** 2

    def aspects() -> tuple[Aspect, ...]:
        y = laws.scale_mixture(lambda value, x: float(ndtr((value - 0.5 * x**2) / THICK)), ARMS, 100.0)
        return element("x", 0, laws.normal(ARMS)), element("x", 1, y)

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        x = rng.normal(0, ARMS, draws)
        return {"x": np.column_stack([x, rng.normal(0.5 * x**2, THICK)])}

    build: Callable[[], Model] = lambda: vector_model(name, 2, log_density)  # noqa: E731
    return Hard(name, note, build, aspects, simulate)


FIRST, STEP = 10.0, 0.1
"""Sds of where a walk begins, and of its steps."""


def walk(name: str, note: str, steps: int) -> Hard:
    """A random walk as it is written down: every place, not every step, is a parameter."""

    def log_density(x: jax.Array) -> jax.Array:
        return -0.5 * (x[0] / FIRST) ** 2 - 0.5 * jnp.sum((jnp.diff(x) / STEP) ** 2)

    def aspects() -> tuple[Aspect, ...]:
        places = (0, steps // 2, steps - 1)
        across = np.zeros(steps)
        across[[0, -1]] = -1, 1
        way = projection("from first to last", across, laws.normal(STEP * np.sqrt(steps - 1)))
        return *(element("x", t, laws.normal(np.hypot(FIRST, STEP * np.sqrt(t)))) for t in places), way

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        moves = rng.normal(size=(draws, steps)) * np.r_[FIRST, np.full(steps - 1, STEP)]
        return {"x": moves.cumsum(axis=1)}

    return Hard(name, note, lambda: vector_model(name, steps, log_density), aspects, simulate)


def cauchy(name: str, note: str, dimension: int) -> Hard:
    """The spherical Cauchy law: all coordinates are far out together."""

    def log_density(x: jax.Array) -> jax.Array:
        return -0.5 * (dimension + 1) * jnp.log1p(jnp.sum(x**2))

    def aspects() -> tuple[Aspect, ...]:
        return elements("x", range(dimension), laws.of_scipy(stats.cauchy(), moments=False))

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        return {"x": rng.normal(size=(draws, dimension)) / np.abs(rng.normal(size=(draws, 1)))}

    return Hard(name, note, lambda: vector_model(name, dimension, log_density), aspects, simulate)


def student(name: str, note: str, dimension: int, degrees: float) -> Hard:
    """Independent Student t."""

    def log_density(x: jax.Array) -> jax.Array:
        return -0.5 * (degrees + 1) * jnp.sum(jnp.log1p(x**2 / degrees))

    def aspects() -> tuple[Aspect, ...]:
        return elements("x", range(dimension), laws.of_scipy(stats.t(degrees), moments=False))

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        return {"x": rng.standard_t(degrees, size=(draws, dimension))}

    return Hard(name, note, lambda: vector_model(name, dimension, log_density), aspects, simulate)


SHAPES = ((0.1, 1.0), (0.3, 2.0), (1.0, 5.0))
"""Of three beta laws: the first two have no bound on their density at 0."""


def edge(name: str, note: str) -> Hard:
    """Shares between 0 and 1 with much of their mass at 0, moved as log odds."""
    a, b = np.transpose(SHAPES)

    def log_terms(position: Position, data: Data) -> jax.Array:
        z = position["z"]
        return jnp.sum(a * jax.nn.log_sigmoid(z) + b * jax.nn.log_sigmoid(-z))

    def build() -> Model:
        return function_model(
            log_terms,
            {"z": len(SHAPES)},
            name=name,
            constrain=lambda position, data: {"p": jax.nn.sigmoid(position["z"])},
            initial=dispersed({"z": (len(SHAPES),)}),
        )

    def aspects() -> tuple[Aspect, ...]:
        # A share of draws below a point is that of their log odds, whose effective sample size the run states.
        found = (element("p", i, laws.of_scipy(stats.beta(*shape), moments=False)) for i, shape in enumerate(SHAPES))
        return tuple(aspect._replace(site="z") for aspect in found)

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        return {"p": rng.beta(a, b, size=(draws, len(SHAPES)))}

    return Hard(name, note, build, aspects, simulate)


SCALES = (
    decades("decades", "a normal of 20 dimensions, sds over five decades, turned", 20),
    ridge("ridge", "a sum known to .001, a difference known to 10, with t tails"),
    banana("banana_arms", "a banana with arms 40 times as long as thick"),
    walk("walk", "60 places of a walk: its level is 100 times as wide as a step", 60),
    cauchy("cauchy", "a spherical Cauchy law of 5 dimensions", 5),
    student("student", "four independent t with 2 degrees of freedom", 4, 2.0),
    edge("edge", "shares with their mass at the edge"),
)
