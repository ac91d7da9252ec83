"""Data of a shipped model: all of them, or as many as its setting says."""

from collections.abc import Callable
from typing import TypeVar

from workflows.model import ModelError

Data = TypeVar("Data")


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
