"""PyMC and Bambi models, told from other objects and read; the packages themselves are imported by the first one."""

import importlib
from collections.abc import Callable
from typing import Any

from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model


def pymc_model(model: Any, *, name: str | None = None) -> Model:
    """A Model of a PyMC model, whose data are those that it holds now.

    Every free variable is a site in PyMC's unconstrained coordinates, every variable and potential a term with one
    element for each that PyMC's `logp(sum=False)` has. A dim along which the variable turns out to be independent is a
    plate, whose indices move on their own; one along which it is not (a random walk, coefficients of one regression)
    belongs to one block. What is recorded has PyMC's names, dims and coords, deterministic variables included.
    name: for people, "pymc_model" by default.

    Starts are draws from the prior where JAX can make them, else PyMC's initial point with a jitter of +-1 in every
    coordinate, as in pm.sample; a UserWarning then says why. Raises ModelError where PyMC is not installed, for
    anything but a PyMC model, discrete free variables, minibatches, and operations that JAX has not.
    """
    _require("pymc", "pymc", model)
    from workflows.modelling.frontends.pymc.build import built  # PyMC takes seconds

    return built(model, name or "pymc_model")


def bambi_model(model: Any, *, name: str | None = None) -> Model:
    """A Model of a Bambi model, with the variables that Bambi's `fit` returns.

    Offsets of non-centred effects and the parameters of the response are left out, and intercepts are those of
    predictors that are not centred. Otherwise as `pymc_model`. name: the formula by default.
    Raises ModelError as `pymc_model` does, and where Bambi is not installed.
    """
    _require("bambi", "bambi", model)
    from workflows.modelling.frontends.pymc.bambi import built  # Bambi takes seconds

    return built(model, name)


def front_end_of(model: Any) -> Callable[..., Model] | None:
    """What reads this object: one of the functions above, or None where it is no model of these packages."""
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        if kind.__name__ == "Model" and package in ("pymc", "bambi"):
            return pymc_model if package == "pymc" else bambi_model
    return None


def _require(package: str, extra: str, model: Any) -> None:
    """Raise ModelError unless the package is there and the model is one of its own."""
    try:
        kind = importlib.import_module(package).Model
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{package} is not installed (no module {error.name!r}): "
            f"install the extra, for example with pip install 'maxwell[{extra}]'"
        ) from error
    if not isinstance(model, kind):
        raise ModelError(f"{package}_model was given {type(model).__name__}: give a {package}.Model")
