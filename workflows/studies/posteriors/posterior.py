"""What a posterior of the suite is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import kernels  # noqa: F401  (turns 64-bit floats on: Julian days need them)

Built = tuple[Callable[..., Any], dict[str, Any]]
"""A NumPyro model function and the data that it is called with."""


class Posterior(NamedTuple):
    """A name, what builds the model and simulates its data, and what is hard in it.

    heavy: variables of such tails that the sd of any affordable number of draws says nothing.
    """

    name: str
    build: Callable[[], Built]
    note: str
    heavy: frozenset[str] = frozenset()
