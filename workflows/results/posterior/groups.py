"""The groups that come after a run: posterior_predictive, predictions, log_likelihood, prior and prior_predictive."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from ensemble.errors import MaxwellError
from kernels.structure.discovery import discover
from kernels.structure.levels import Structure
from kernels.types import Position
from workflows.modelling.model import Model
from workflows.results.posterior.integration import Single, integrated, singles

TOGETHER = 4
"""Draws that are worked on at once."""

Arrays = dict[str, np.ndarray]

_PURPOSE = 0x9057
"""What sets the keys of predictions apart from those of the run."""
_PREDICTIVE, _PRIOR, _IMPUTED, _NOTHING = range(4)
"""What sets them apart from each other."""


class PosteriorError(MaxwellError):
    """What was asked for cannot be had from this model or these draws."""


class Posterior:
    """A model beside some of its draws: values by name, [chain, draw, ...]."""

    def __init__(self, model: Model, draws: xarray.Dataset, seed: int) -> None:
        """Raises PosteriorError where the model cannot predict, or there are no draws."""
        if model.generative is None:
            raise PosteriorError(
                f"model {model.name!r} is a density: predictions and pointwise log likelihoods need a NumPyro model "
                "(maxwell.numpyro_model), or compute them from the draws yourself (run.data)"
            )
        if not draws.sizes.get("draw"):
            raise PosteriorError(
                f"there are no draws of model {model.name!r} yet: let the run reach its stage `sample`"
            )
        self.model, self.draws, self.generative = model, draws, model.generative
        self.data = jax.tree.map(jnp.asarray, model.data)
        self.key = jax.random.fold_in(jax.random.key(seed), _PURPOSE)

    @property
    def observes(self) -> bool:
        """Whether the model has observed variables to weigh."""
        return self.generative.observes

    @property
    def predicts(self) -> bool:
        """Whether new values of observed variables can be drawn."""
        return self.generative.predicts

    def predictive(self) -> xarray.Dataset:
        """New values of the observed variables, one set a draw."""
        return self._dataset(
            self._mapped(lambda values, key: self.generative.predict(key, values, self.data), _PREDICTIVE)
        )

    def predictions(self) -> xarray.Dataset | None:
        """Values that were never observed, and discrete variables that were summed out, one set a draw; None where the
        model has none."""
        functions, discrete = self.generative.impute, self.generative.discrete
        if not functions and discrete is None:
            return None

        def impute(values: Position, key: jax.Array) -> Position:
            keys = jax.random.split(key, max(1, len(functions)))
            named = zip(functions.items(), keys[: len(functions)], strict=True)
            imputed = {name: function(key, values, self.data) for (name, function), key in named}
            # Folded, as no split of this key is: imputed values are the same with and without discrete variables.
            own = jax.random.fold_in(key, len(functions))
            return imputed if discrete is None else {**imputed, **discrete(own, values, self.data)}

        return self._dataset(self._mapped(impute, _IMPUTED))

    def log_likelihood(self, *, integrate: bool = True) -> xarray.Dataset:
        """Log probability of every observation under every draw; masked ones, which have none, are left out.

        integrate: latents that meet a single observation are integrated out (see integration), and the variables that
        this happens to carry the attribute `integrated`, the name of the level. Raises PosteriorError where such a
        latent cannot be unconstrained.
        """
        found = self._dataset(self._mapped(lambda values, _: self.generative.log_likelihood(values, self.data)))
        # Auxiliary variables are not recorded: without them no structure, and no latent is left to integrate out.
        structure = self._structure() if integrate and not self.model.target.auxiliary else None
        chosen = {} if structure is None else singles(self.model.target, structure)
        for term, single in chosen.items():
            if structure is not None and term in found:
                values = self._integrated(structure, single).reshape(found[term].shape)
                found[term] = (found[term].dims, values, {"integrated": single.level.name})
        return xarray.merge([_seen(variable) for variable in found.data_vars.values()], join="outer")

    def prior(self, draws: int) -> dict[str, xarray.Dataset]:
        """The groups prior and prior_predictive: so many draws of one chain."""
        keys = jax.random.split(jax.random.fold_in(self.key, _PRIOR), draws)
        function = jax.jit(lambda keys: jax.lax.map(lambda key: self.generative.prior(key, self.data), keys))
        groups = zip(("prior", "prior_predictive"), function(keys), strict=True)
        return {
            group: self._dataset({name: np.asarray(x)[None] for name, x in values.items()}) for group, values in groups
        }

    def _structure(self) -> Structure:
        """The structure of the model, as the run found it."""
        target = self.model.target
        position = self.generative.unconstrain(self._draw(0, 0), self.data)
        return discover(target, self.model.data, position, key=jax.random.key(0))

    def _draw(self, chain: int, draw: int) -> dict[str, jax.Array]:
        return {str(name): jnp.asarray(x.values[chain, draw], jnp.float64) for name, x in self.draws.data_vars.items()}

    def _integrated(self, structure: Structure, single: Single) -> np.ndarray:
        """The integrated log likelihoods [chain, draw, ...] of a term."""
        of_level = self._mapped(
            lambda values, _: {"x": single.level.gather(self.generative.unconstrain(values, self.data))[0]}
        )["x"]
        mean, sd = of_level.mean(axis=(0, 1)), of_level.std(axis=(0, 1))
        if not np.isfinite(of_level).all() or not sd.all():
            raise PosteriorError(
                f"level {single.level.name!r} cannot be integrated out: of its coordinates some draws lie on the edge "
                "of their support, or all draws are equal. Take more draws, or integrate=False"
            )
        function = integrated(self.model.target, structure, single, jnp.asarray(mean), jnp.asarray(sd))
        return self._mapped(
            lambda values, _: {"y": function(self.generative.unconstrain(values, self.data), self.data)}
        )["y"]

    def _mapped(self, function: Callable[..., Mapping[str, jax.Array]], purpose: int = _NOTHING) -> Arrays:
        """A function of (values of one draw, its key) over all draws: arrays [chain, draw, ...].

        purpose: what the keys are for; nothing where no numbers are drawn.
        """
        chains, draws = self.draws.sizes["chain"], self.draws.sizes["draw"]
        stacked = {
            str(name): x.values.reshape(chains * draws, *x.shape[2:]) for name, x in self.draws.data_vars.items()
        }

        def one(argument: tuple[Any, Any]) -> Mapping[str, jax.Array]:
            values, key = argument
            return function({name: x.astype(jnp.float64) for name, x in values.items()}, key)

        keys = jax.random.split(jax.random.fold_in(self.key, purpose), chains * draws)
        found = jax.jit(lambda values, keys: jax.lax.map(one, (values, keys), batch_size=TOGETHER))(stacked, keys)
        return {name: np.asarray(x).reshape(chains, draws, *x.shape[1:]) for name, x in found.items()}

    def _dataset(self, values: Arrays) -> xarray.Dataset:
        """Arrays [chain, draw, ...] with the dims and labels that the model gives its variables."""
        dims = {name: self.model.dims.get(name, ())[: x.ndim - 2] for name, x in values.items()}
        variables = {name: (("chain", "draw", *_filled(name, dims[name], x.ndim - 2)), x) for name, x in values.items()}
        found = xarray.Dataset(variables)
        return found.assign_coords({d: self.model.coords.get(str(d), np.arange(n)) for d, n in found.sizes.items()})


def _seen(log_likelihood: xarray.DataArray) -> xarray.DataArray:
    """Without the observations that every draw gives a probability of one: LOO would take them for outliers.

    Where observations have several axes they stay as they are.
    """
    dims = log_likelihood.dims[2:]
    if len(dims) != 1:
        return log_likelihood
    kept = np.flatnonzero((log_likelihood.values != 0.0).any(axis=(0, 1)))
    if len(kept) in (0, log_likelihood.sizes[dims[0]]):
        return log_likelihood
    labelled = log_likelihood.assign_coords({dims[0]: log_likelihood.coords[dims[0]]})
    return labelled.isel({dims[0]: kept})


def _filled(name: str, dims: tuple[str, ...], axes: int) -> tuple[str, ...]:
    """Names for all axes."""
    return dims + tuple(f"{name}_dim_{i}" for i in range(len(dims), axes))
