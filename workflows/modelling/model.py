"""A model ready to run: a target with its data, and the names that ArviZ shows; found by name and fingerprinted."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ensemble.errors import MaxwellError
from kernels.target import Target
from kernels.types import Data, Position
from workflows.modelling.fingerprint import compare_fingerprints, fingerprint

__all__ = [
    "Entry",
    "Generative",
    "Model",
    "ModelError",
    "Static",
    "available",
    "build",
    "compare_fingerprints",
    "fingerprint",
    "require_same",
]

Static = int | str | bool | None


class ModelError(MaxwellError):
    """A model or its settings cannot be used as given; the message says what is allowed."""


class Generative(NamedTuple):
    """What a model can do with one draw, beside evaluating its density; values by the names that the store has.

    log_likelihood(values, data): of every observation, by the names of the observed variables. predict(key, values,
    data): new values of these. prior(key, data): a draw of all recorded variables, and outcomes under it.
    unconstrain(values, data): the sites of the target. impute: by name, functions (key, values, data) of an array that
    was never observed, such as answers that are missing.
    """

    log_likelihood: Callable[[Position, Data], Position]
    predict: Callable[[jax.Array, Position, Data], Position]
    prior: Callable[[jax.Array, Data], tuple[Position, Position]]
    unconstrain: Callable[[Position, Data], Position]
    impute: Mapping[str, Callable[[jax.Array, Position, Data], jax.Array]]


@dataclass(frozen=True)
class Model:
    """A target, the data it is evaluated on, and what the results are called.

    name: registry name or module:function. data: the pytree passed to log_terms, constrain and initial. dims: dimension
    names of every constrained variable and of the observed and constant data, by name; coords: their labels, where not
    0, 1, ... observed, constant: arrays for those ArviZ groups. supports: constraint of each site, where known. static:
    settings compiled into the target. generative: where the model can predict. A variable is shared when its site has
    no plates.
    Raises ModelError for a target without sites or with a site of no elements.
    """

    name: str
    target: Target
    data: dict[str, Any]
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    coords: dict[str, np.ndarray] = field(default_factory=dict)
    observed: dict[str, np.ndarray] = field(default_factory=dict)
    constant: dict[str, np.ndarray] = field(default_factory=dict)
    supports: dict[str, str] = field(default_factory=dict)
    static: dict[str, Static] = field(default_factory=dict)
    generative: Generative | None = None

    def __post_init__(self) -> None:
        """Refuse targets that have nothing to sample."""
        if not self.target.sites:
            raise ModelError(f"model {self.name!r} has no latent variable: there is nothing to sample")
        for site in self.target.sites.values():
            if 0 in site.shape:
                raise ModelError(
                    f"site {site.name!r} of model {self.name!r} has shape {site.shape}, no elements: "
                    "check the sizes of its plates, or leave the site out"
                )


@dataclass(frozen=True)
class Entry:
    """A shipped model: where its builder is (module:function), and a line for the listing."""

    builder: str
    description: str


REGISTRY: Mapping[str, Entry] = {
    "airway": Entry(
        "workflows.models.airway.model:build",
        "gene expression with and without dexamethasone: negative binomial, d about 67,000 (134,000 with cells)",
    ),
    "rri": Entry(
        "workflows.models.rri.model:build",
        "heart-beat intervals through exercise: a curve of 7 parameters and its noise, of one subject or of up to 272",
    ),
    "alcohol": Entry(
        "workflows.models.alcohol.model:build",
        "drinks per drinking day: a propensity for each of 26,946 people, pooled over groups; heaped counts, d 26,985",
    ),
    "bond": Entry(
        "workflows.models.bond.model:build",
        "prices of bonds of nine maturities with the short rate and wealth: why is a curve flat? d 15",
    ),
    "census": Entry(
        "workflows.models.census.model:build",
        "incomes in 2,024 areas of 51 states: correlated coefficients of education and experience, d 8,320",
    ),
    "scorpio": Entry(
        "workflows.models.scorpio.model:build",
        "independent copies of a four-mode density in two dimensions, with exact draws to compare with",
    ),
    "glmm": Entry(
        "workflows.models.glmm.model:build",
        "six binary responses of each of 500 individuals, random effects of two components: pseudo-marginal, d 64,013",
    ),
}


def available() -> dict[str, str]:
    """Name -> one line of description of every shipped model."""
    return {name: entry.description for name, entry in REGISTRY.items()}


def build(name: str, keys: Mapping[str, Any]) -> Model:
    """The model of that registry name, or of `module:function` found in the current directory or on the Python path.

    keys: keyword settings of the builder, or keyword arguments of a plain NumPyro model function. A user's function
    either returns a Model (recommended: `return numpyro_model(model, data)`) or is itself a NumPyro model.
    Raises ModelError for an unknown name, for keys that the builder does not take, and for what the builder refuses.
    """
    if name in REGISTRY:
        builder = _find(REGISTRY[name].builder)
        _check_keys(name, builder, keys)
        return replace(builder(**keys), name=name)
    if ":" not in name:
        raise ModelError(
            f"no model is called {name!r}: choose one of {', '.join(sorted(REGISTRY))}, "
            "or name your own function as module:function"
        )
    function = _find(name)
    _check_keys(name, function, keys)
    frontend = importlib.import_module("workflows.modelling.frontends.numpyro")
    return replace(frontend.from_user(function, dict(keys), name), name=name)


def _find(spec: str) -> Callable[..., Any]:
    """The function that module:function names."""
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


def require_same(recorded: dict[str, Any], model: Model) -> None:
    """Raise ModelError unless the model has the recorded fingerprint."""
    if differences := compare_fingerprints(recorded, fingerprint(model)):
        raise ModelError(
            f"model {model.name!r} is not the one that was recorded: {'; '.join(differences)}. "
            "Give the same model, settings and data, or start a new run"
        )
