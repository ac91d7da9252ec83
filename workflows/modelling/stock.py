"""The shipped posteriors written a second time, with NumPyro's stock distributions only: for long NUTS runs, and for
importance sampling of those with few coordinates.

They share data, grids and priors with the models of this project and no arithmetic, so that agreement of the two is
evidence for both. One file a posterior, each with a function `stock() -> Stock`.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Stock(NamedTuple):
    """A NumPyro model and its arguments; the sites that are compared, scalars first; a start for a chain's number."""

    model: Callable[..., None]
    arguments: tuple[Any, ...]
    sites: tuple[str, ...]
    start: Callable[[int], dict[str, np.ndarray]]


NAMES = ("airway_small", "alcohol_small", "census", "glmm", "glmm_informed")
HOMES: Mapping[str, str] = {name: f"workflows.modelling.stock.{name}" for name in NAMES}
"""Configuration, or a variant of one -> module."""


def stock(name: str) -> Stock:
    """The stock model of a configuration. Raises KeyError for one without."""
    build: Callable[[], Stock] = importlib.import_module(HOMES[name]).stock
    return build()
