"""What a user's function is: one that returns a Model, or a NumPyro model itself."""

from collections.abc import Callable
from typing import Any

from numpyro import handlers
from numpyro import primitives as numpyro_primitives

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro.model import numpyro_model
from workflows.modelling.frontends.numpyro.tracing import Message
from workflows.modelling.model import Model


def from_user(function: Callable[..., Any], keys: dict[str, Any], spec: str) -> Model:
    """The Model that a user's function returns, or of the function itself where it is a NumPyro model.

    The function is called with a handler that stops at the first NumPyro statement made outside any trace of its own.
    """
    try:
        with _Detector():
            result = function(**keys)
    except _IsNumpyroModelError:
        return numpyro_model(function, keys, name=spec)
    if not isinstance(result, Model):
        raise ModelError(
            f"{spec} returned {type(result).__name__}: return a Model (`return numpyro_model(model, data)` or "
            "`return function_model(log_terms, sites, data)`), or name a NumPyro model function"
        )
    return result


class _IsNumpyroModelError(Exception):
    """The function made a NumPyro statement itself."""


class _Detector(numpyro_primitives.Messenger):
    """Raises at the first statement that no trace or seed inside this handler is waiting for."""

    def process_message(self, msg: Message) -> None:
        """Stop unless an inner handler runs a model of its own."""
        stack = numpyro_primitives._PYRO_STACK
        inner = stack[stack.index(self) + 1 :]
        if not any(isinstance(handler, (handlers.trace, handlers.seed)) for handler in inner):
            raise _IsNumpyroModelError
