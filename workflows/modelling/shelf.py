"""`maxwell.models`: the shipped models, listed and built from Python."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workflows.modelling.registry import available, entries, entry, part

if TYPE_CHECKING:
    from workflows.modelling.model import Model


class Models:
    """The models that come with the program.

    `models()` lists them, name -> one line; `models.genes(counts, samples, design)` builds one from Python objects: the
    arguments are those of `model` in the settings, and where a setting names a file, a DataFrame may be given.
    """

    def __call__(self) -> dict[str, str]:
        """Name -> one line of description of every shipped model."""
        return available()

    def __getattr__(self, name: str) -> "Callable[..., Model]":
        shipped = entry(name)
        if shipped is None:
            raise AttributeError(f"no model is called {name!r}; there are {', '.join(entries())}")
        function = part(shipped.build)

        def build(*arguments: Any, **settings: Any) -> "Model":
            return replace(function(*arguments, **settings), name=name, shipped=True)

        build.__name__, build.__qualname__, build.__doc__ = name, name, function.__doc__
        build.__wrapped__ = function  # type: ignore[attr-defined]  # signatures in notebooks
        return build

    def __dir__(self) -> list[str]:
        return list(entries())


models = Models()
