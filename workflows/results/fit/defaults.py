"""The checks of any model with observed variables: centre and spread, extremes, zeros."""

from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family, Statistic
from workflows.modelling.model import Model

CENTRE, EXTREMES, SHARE = 0.1, 0.5, 0.01
"""What matters: of mean and standard deviation, in standard deviations of the data; of the smallest and the largest
observation, likewise; of shares."""
FEWEST = 3
"""Observations that a variable must have."""


def default_checks(model: Model, kept: dict[str, np.ndarray]) -> list[Check]:
    """Of every observed variable with numbers; kept: by name, which observations count, of the variable's shape."""
    return [check for name, which in kept.items() for check in _of(name, model.observed[name], which, len(kept) > 1)]


def countable(observed: np.ndarray) -> bool:
    """Whether they are whole numbers."""
    finite = observed[np.isfinite(observed)]
    return bool((finite == np.floor(finite)).all())


def title(what: str, name: str, several: bool) -> str:
    """The name of a family of a variable, among several."""
    return f"{what} of {name}" if several else what


def _of(name: str, observed: np.ndarray, kept: np.ndarray, several: bool) -> Iterator[Check]:
    values = np.asarray(observed, float)[kept]
    if values.size < FEWEST:
        return
    places, sd = np.flatnonzero(kept.ravel()), float(values.std())
    if set(np.unique(values)) <= {0.0, 1.0}:
        family = Family(title("share of ones", name, several), ("ones",), SHARE, share=True)
        yield Check(family, _statistic(name, places, [jnp.mean]))
        return
    unit = sd or 1.0
    centre = Family(title("centre and spread", name, several), ("the mean", "the sd"), CENTRE * unit)
    yield Check(centre, _statistic(name, places, [jnp.mean, jnp.std]))
    extremes = Family(title("extremes", name, several), ("the smallest", "the largest"), EXTREMES * unit)
    yield Check(extremes, _statistic(name, places, [jnp.min, jnp.max]))
    if countable(values) and values.min() == 0:
        zeros = Family(title("zeros", name, several), ("0",), SHARE, share=True)
        yield Check(zeros, _statistic(name, places, [lambda x: jnp.mean(x == 0)]))


def _statistic(name: str, places: np.ndarray, functions: list[Callable[[jax.Array], jax.Array]]) -> Statistic:
    """Functions of the observations at these places of a variable."""

    def statistic(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        flat = jnp.ravel(outcomes[name])
        # All of them: no look-up.
        chosen = (flat if len(places) == flat.size else flat[places]).astype(jnp.float64)
        return jnp.stack([function(chosen) for function in functions])

    return statistic
