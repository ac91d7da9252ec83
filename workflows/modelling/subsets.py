"""A part of a data set for the smaller configurations: always the same one."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from workflows.modelling.errors import ModelError

Data = TypeVar("Data")

SEED = 0
"""Seed of the choice."""


def subset(total: int, number: int | None, what: str, of: str | None = None) -> np.ndarray:
    """Sorted indices of `number` of `total` elements chosen with a fixed seed, or of all of them for None.

    what: the elements in the plural, and of: those that `total` counts where these are not simply all, for the message.
    Raises ValueError unless 1 <= number <= total.
    """
    if number is None:
        return np.arange(total)
    if not 1 <= number <= total:
        raise ValueError(f"{what} = {number}: choose between 1 and {total}, the number of {of or what}")
    return np.sort(np.random.default_rng(SEED).choice(total, number, replace=False))


def all_or_some(load: Callable[[int | None], Data], model: str, setting: str, value: int | str) -> Data:
    """load(None) for "all", load(value) for a number. Raises ModelError for another value and where `load` refuses."""
    if value == "all":
        return load(None)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f'{model}: {setting} = {value!r}; allowed are "all" and a number of {setting}')
    try:
        return load(value)
    except ValueError as error:
        raise ModelError(f'{model}: {error}, or "all"') from error
