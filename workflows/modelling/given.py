"""Where the model of a run comes from: a name by which any process builds it again, or an object that was given."""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ensemble.shard.calling_model import calling_model
from kernels.target import Target
from workflows.modelling.errors import ModelError
from workflows.modelling.fingerprint import require_same
from workflows.modelling.frontends.pymc.entry import front_end_of
from workflows.modelling.model import Model
from workflows.modelling.naming import AS_OBJECT, MAIN
from workflows.modelling.registry import build


class Carried(NamedTuple):
    """What a worker needs of a model that was given as an object.

    target: as it was made in the driver, functions included; data travel apart.
    """

    target: Target


def carried(name: str, keys: Mapping[str, Any]) -> Carried:
    """The model factory of workers for a model given as an object: `keys` has its target, `name` is for people."""
    return Carried(keys["target"])


def is_object(name: str, given: Model | None) -> bool:
    """Whether a model has to travel as an object: it was given as one, or only this process knows its name."""
    return given is not None or name.startswith(MAIN)


def as_model(model: Any, data: Mapping[str, Any] | None = None) -> Model:
    """The Model that was given, that of a PyMC or Bambi model, or that of a NumPyro model function with its arguments
    `data`.

    Raises ModelError for anything else, for data beside a model that has its own, and for arguments that the function
    does not take.
    """
    if isinstance(model, Model):
        if data is not None:
            raise ModelError(
                f"data were given beside the Model {model.name!r}, which has its own: leave them out, or give the "
                "NumPyro function that it was made of"
            )
        return model
    if (read := front_end_of(model)) is not None:
        if data is not None:
            raise ModelError(
                f"data were given beside a {type(model).__module__.partition('.')[0]} model, which has its own: leave "
                "them out, and change them in the model (pm.set_data)"
            )
        return read(model)
    if not callable(model):
        raise ModelError(
            f"{type(model).__name__} was given as the model: give a NumPyro model function, a PyMC or Bambi model, a "
            "Model that a front end returned (numpyro_model, function_model, ...), a name that maxwell.models() lists, "
            "or module:function"
        )
    name = str(getattr(model, "__name__", "model"))
    arguments = dict(data or {})
    _require_takes(name, model, arguments)
    from workflows.modelling.frontends.numpyro import from_user  # NumPyro takes a second

    with calling_model(name):
        return from_user(model, arguments, name)


def _require_takes(name: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        given = ", ".join(arguments) or "nothing"
        raise ModelError(f"model {name!r} cannot be called with the data given ({given}): {error}") from None


def as_settings(name: str, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings of the model called `name`. Raises ModelError for arrays and tables, which no settings hold."""
    arrays = sorted(key for key, value in (data or {}).items() if hasattr(value, "dtype") or hasattr(value, "shape"))
    if arrays:
        raise ModelError(
            f"model {name!r} was given arrays ({', '.join(arrays)}): the data of a named model are its settings, "
            "numbers and text; give arrays to the function itself, as in maxwell.sample(function, data), or to a "
            "shipped model as in maxwell.sample(maxwell.models.genes(counts, samples, design))"
        )
    return dict(data or {})


def of_main(attributes: Mapping[str, Any]) -> Model | None:
    """The model of a store that is a function of the running script or notebook, where that has it; else None."""
    name = str(attributes.get("model", ""))
    here = name.startswith(MAIN) and hasattr(sys.modules["__main__"], name.removeprefix(MAIN))
    return _named(attributes["settings"]["model"]) if here else None


def recorded_model(path: Path, attributes: Mapping[str, Any], given: Model | None = None) -> Model:
    """The model of the store at `path`: the one given, or built by its recorded name and settings.

    attributes: of the store. What a given model calls itself does not matter. Raises ModelError where it is not the
    model that was recorded, and where a model that was given as an object is not given again.
    """
    recorded = attributes["fingerprint"]
    if given is None and attributes.get(AS_OBJECT):
        raise ModelError(
            f"the model {recorded['name']!r} of {path} was given as an object in Python, which a store does not hold: "
            f"go on from Python, with maxwell.resume({str(path)!r}, model, data) or "
            f"maxwell.open_run({str(path)!r}, model, data)"
        )
    model = _named(attributes["settings"]["model"]) if given is None else replace(given, name=recorded["name"])
    require_same(recorded, model)
    return model


def _named(settings: Mapping[str, Any]) -> Model:
    return build(settings["name"], {key: value for key, value in settings.items() if key != "name"})
