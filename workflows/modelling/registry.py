"""Models by name: the shipped ones, each entered once in its folder of workflows/models, and users' module:function.

A folder is found because it is there, so that a new model is a new folder and nothing else. Whatever else belongs to a
shipped model (its table, its pictures, its stock twin) is found through the same entry: nobody imports a model.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflows.modelling.errors import ModelError
from workflows.modelling.naming import AS_OBJECT, SHIPPED
from workflows.modelling.shipped import ShippedModel

if TYPE_CHECKING:
    from workflows.modelling.model import Model

HOME = "workflows.models"
"""The package whose folders are the shipped models."""


@cache
def entries() -> Mapping[str, ShippedModel]:
    """Name -> entry of every shipped model, by name. The name is the folder's."""
    folders = pkgutil.iter_modules(importlib.import_module(HOME).__path__)
    return {name: importlib.import_module(f"{HOME}.{name}").MODEL for _, name, is_folder in folders if is_folder}


def entry(name: str) -> ShippedModel | None:
    """The entry of a shipped model; None for any other name, such as a user's module:function."""
    return entries().get(name)


def entry_of(attributes: Mapping[str, Any]) -> ShippedModel | None:
    """The entry of the model of a store, by its attributes; None for a user's, whatever its function is called."""
    shipped = attributes.get(SHIPPED, not attributes.get(AS_OBJECT))
    return entry(attributes["model"]) if shipped else None


def available() -> dict[str, str]:
    """Name -> one line of description of every shipped model."""
    return {name: shipped.description for name, shipped in entries().items()}


def reads_files(name: str) -> bool:
    """Whether the model of that name is shipped and may be made of files of the user's."""
    shipped = entry(name)
    return shipped is not None and shipped.reads_files


def part(spec: str) -> Callable[..., Any]:
    """The function that an entry names as module:function, imported now."""
    module, _, function = spec.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def build(name: str, keys: Mapping[str, Any]) -> "Model":
    """The shipped model of that name, or that of `module:function` in the current directory or on the Python path.

    keys: keyword settings of the builder, or keyword arguments of a plain NumPyro model function. A user's function
    either returns a Model (recommended: `return numpyro_model(model, data)`) or is itself a NumPyro model.
    Raises ModelError for an unknown name, for keys that the builder does not take, and for what the builder refuses;
    PrecisionError where the module or the builder turns 64-bit numbers off.
    """
    from ensemble.shard.calling_model import calling_model  # JAX: not to list the shipped models

    with calling_model(name):
        return _built(name, keys)


def _built(name: str, keys: Mapping[str, Any]) -> "Model":
    if (shipped := entry(name)) is not None:
        builder = part(shipped.build)
        _check_keys(name, builder, keys)
        return replace(builder(**keys), name=name, shipped=True)
    if ":" not in name:
        raise ModelError(
            f"no model is called {name!r}: choose one of {', '.join(entries())}, "
            "or name your own function as module:function"
        )
    function = _users_function(name)
    _check_keys(name, function, keys)
    from workflows.modelling.frontends.numpyro import from_user  # NumPyro and JAX: not to list the shipped models

    return replace(from_user(function, dict(keys), name), name=name)


def _users_function(spec: str) -> Callable[..., Any]:
    """The function of a user that module:function names. Raises ModelError with what there is instead."""
    module_name, _, attribute = spec.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise ModelError(
            f"model {spec!r}: no module {module_name!r} in {here} or on the Python path (PYTHONPATH); "
            "run from the folder that holds it, or add that folder to PYTHONPATH"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        names = sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_")
        raise ModelError(f"model {spec!r}: {module_name} has no function {attribute!r}; it has {', '.join(names)}")
    return function


def _check_keys(name: str, builder: Callable[..., Any], keys: Mapping[str, Any]) -> None:
    """Refuse keys that the builder does not take, and missing ones that it requires."""
    parameters = inspect.signature(builder).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    unknown = sorted(set(keys) - {p.name for p in parameters})
    missing = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    missing = [parameter for parameter in missing if parameter not in keys]
    if not unknown and not missing:
        return
    allowed = ", ".join(_describe(p) for p in parameters) or "none"
    problems = [f"does not take {', '.join(unknown)}"] * bool(unknown) + [f"needs {', '.join(missing)}"] * bool(missing)
    raise ModelError(f"model {name!r} {' and '.join(problems)}; its settings are: {allowed}")


def _describe(parameter: inspect.Parameter) -> str:
    """A setting and its default, for messages."""
    return parameter.name if parameter.default is parameter.empty else f"{parameter.name} = {parameter.default!r}"
