"""Funnels: y ~ N(0, 3), and x given y normal with sd exp(steep y / 2)."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from kernels.types import Data, Position, Terms
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
    scalar,
    vector_model,
)

SD = 3.0
"""Of y, the log of a variance, as Neal has it."""


def _log_scale(y: jax.Array) -> jax.Array:
    return -0.5 * (y / SD) ** 2


def _children(x: jax.Array, y: jax.Array, steep: float) -> jax.Array:
    return -0.5 * x**2 * jnp.exp(-steep * y) - 0.5 * steep * y


@cache
def _x_law(steep: float, share: float = 0.0) -> laws.Law:
    """Of share y + sqrt(1 - share^2) x: of x itself, or of a coordinate that a rotation mixes with y."""
    width = np.sqrt(1 - share**2)
    return laws.scale_mixture(
        lambda value, y: float(ndtr((value - share * y) / (width * np.exp(steep * y / 2)))), SD, np.exp(6 * steep) * 3
    )


def funnel(name: str, note: str, width: int, steep: float = 1.0, *, plate: bool) -> Hard:
    """A funnel of so many x, each a member of a plate, or all one event."""

    def log_terms(position: Position, data: Data) -> Terms:
        x = _children(position["x"], position["y"], steep)
        return {"y": _log_scale(position["y"]), "x": x if plate else jnp.sum(x)}

    def build() -> Model:
        sites = {"y": (), "x": ((width,), ("child",)) if plate else (width,)}
        shapes = {"y": (), "x": (width,)}
        return function_model(log_terms, sites, name=name, initial=dispersed(shapes))

    def aspects() -> tuple[Aspect, ...]:
        return scalar("y", laws.normal(SD)), *elements("x", range(min(width, 5)), _x_law(steep))

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        y = rng.normal(0, SD, draws)
        return {"y": y, "x": np.exp(steep * y / 2)[:, None] * rng.normal(size=(draws, width))}

    return Hard(name, note, build, aspects, simulate)


def rotated(name: str, note: str, dimension: int) -> Hard:
    """Neal's funnel turned at random: no coordinate is the scale of others."""
    turn = np.linalg.qr(np.random.default_rng(1300).normal(size=(dimension, dimension)))[0]

    def log_density(x: jax.Array) -> jax.Array:
        z = jnp.asarray(turn) @ x
        return _log_scale(z[0]) + jnp.sum(_children(z[1:], z[0], 1.0))

    def aspects() -> tuple[Aspect, ...]:
        own = (element("x", i, _x_law(1.0, turn[0, i])) for i in range(4))
        return projection("y", turn[0], laws.normal(SD)), *own

    def simulate(rng: np.random.Generator, draws: int) -> Draws:
        y = rng.normal(0, SD, draws)
        z = np.column_stack([y, np.exp(y / 2)[:, None] * rng.normal(size=(draws, dimension - 1))])
        return {"x": z @ turn}

    build: Callable[[], Model] = lambda: vector_model(name, dimension, log_density)  # noqa: E731
    return Hard(name, note, build, aspects, simulate)


FUNNELS = (
    funnel("funnel_event", "Neal's: nine x, one event", 9, plate=False),
    funnel("funnel_plate", "the same nine x as a plate", 9, plate=True),
    funnel("funnel_wide", "40 x, a plate", 40, plate=True),
    funnel("funnel_steep", "three x, with sds e^y", 3, 2.0, plate=False),
    rotated("funnel_rotated", "Neal's of 10 dimensions, turned: no move scales it", 10),
)
