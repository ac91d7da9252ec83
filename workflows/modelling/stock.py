"""The shipped posteriors written a second time, with NumPyro's stock distributions only: for long NUTS runs, and for
importance sampling of those with few coordinates.

They share data, grids and priors with the models of this project and no arithmetic, so that agreement of the two is
evidence for both. Each is a function `stock() -> Stock` in its model's folder, named in the model's entry.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from workflows.modelling.registry import entries, part


class Stock(NamedTuple):
    """A posterior in stock distributions.

    model: the NumPyro model.
    arguments: of the model, by position.
    sites: names of those that are compared, scalars first.
    start: of a chain's number, values by site, in constrained coordinates.
    """

    model: Callable[..., None]
    arguments: tuple[Any, ...]
    sites: tuple[str, ...]
    start: Callable[[int], dict[str, np.ndarray]]


def stock_names() -> dict[str, str]:
    """Configuration, or a variant of one -> where its stock model is (module:function), of all shipped models."""
    return {name: home for shipped in entries().values() for name, home in shipped.stock.items()}


def stock(name: str) -> Stock:
    """The stock model of a configuration. Raises KeyError for one without."""
    found: Stock = part(stock_names()[name])()
    return found
