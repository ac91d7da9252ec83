"""A model ready to run: a target with its data, and the names that ArviZ shows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from kernels.target import Target
from kernels.types import Data, Position
from workflows.modelling.checks import Check
from workflows.modelling.errors import ModelError
from workflows.modelling.naming import half_a_character, unusable

Static = int | str | bool | None


class Generative(NamedTuple):
    """What a model can do with one draw, beside evaluating its density; values by the names that the store has.

    log_likelihood: (values, data), of every observation, by the names of the observed variables.
    predict: (key, values, data), new values of these.
    prior: (key, data), a draw of all recorded variables, and outcomes under it.
    unconstrain: (values, data), the sites of the target.
    impute: by name, functions (key, values, data) of an array that was never observed, such as missing answers.
    discrete: (key, values, data), a joint draw of the discrete variables that the target sums out and of what depends
    on them, where there are any.
    observes, predicts: whether there are observed variables, and whether new values of them can be drawn.
    """

    log_likelihood: Callable[[Position, Data], Position]
    predict: Callable[[jax.Array, Position, Data], Position]
    prior: Callable[[jax.Array, Data], tuple[Position, Position]]
    unconstrain: Callable[[Position, Data], Position]
    impute: Mapping[str, Callable[[jax.Array, Position, Data], jax.Array]]
    discrete: Callable[[jax.Array, Position, Data], Position] | None = None
    observes: bool = True
    predicts: bool = True


@dataclass(frozen=True)
class Model:
    """A target, the data it is evaluated on, and what the results are called.

    name: of the shipped model, or module:function.
    target: the density, term by term; a variable of it is shared when its site has no plates.
    data: the pytree passed to log_terms, constrain and initial.
    dims: dimension names of every constrained variable and of the observed and constant data, by name.
    coords: labels of the dimensions, where not 0, 1, ...
    observed, constant: arrays for those ArviZ groups.
    supports: constraint of each site, where known.
    static: settings compiled into the target.
    generative: where the model can predict.
    shipped: whether it is the shipped model of its name.
    notes: sentences for the user when a run begins, such as what was left out of the data.
    checks: statistics of its fit, beside those of any model (workflows.results.fit).
    Raises ModelError for a target without sites or with a site of no elements, and for names that no store can hold.
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
    shipped: bool = False
    notes: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

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
        if wrong := self._unusable():
            raise ModelError(f"model {self.name!a}: what no store can hold: {'; '.join(wrong)}")

    def _unusable(self) -> list[str]:
        """What is wrong with names, and with what else is text, one phrase each."""
        names: dict[str, Iterable[str]] = {
            "site": self.target.sites,
            "term": self.target.term_kinds,
            "variable": [*self.dims, *self.observed, *self.constant],
            "dimension": [dim for dims in self.dims.values() for dim in dims],
        }
        wrong = [
            f"{kind} {name!a} {why}" for kind in names for name in dict.fromkeys(names[kind]) if (why := unusable(name))
        ]
        texts: dict[str, Iterable[Any]] = {
            "name of the model": [self.name],
            **{f"setting {key}": [value] for key, value in self.static.items()},
            **{
                f"labels of {dim!a}": labels.tolist() for dim, labels in self.coords.items() if labels.dtype.kind == "U"
            },
        }
        return wrong + [
            f"{what} {text!a} {why}"
            for what, found in texts.items()
            for text in found
            if isinstance(text, str) and (why := half_a_character(text))
        ]
