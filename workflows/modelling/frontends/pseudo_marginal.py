"""The pseudo-marginal front end: a prior and an importance-sampling estimator of each individual's likelihood."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from kernels.target import Site
from kernels.transitions.pseudo_marginal.target import (
    ESTIMATE,
    LogPrior,
    LogWeights,
    Precision,
    auxiliary_site,
    estimated_terms,
    rounded,
)
from kernels.types import Data, Position
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import SiteSpec, function_model
from workflows.modelling.model import Model


def pseudo_marginal_model(
    log_prior: LogPrior,
    log_weights: LogWeights,
    sites: Mapping[str, SiteSpec],
    auxiliary: tuple[int, int, int],
    data: Mapping[str, Any] | None = None,
    *,
    auxiliary_name: str = "u",
    precision: Precision = "float64",
    name: str | None = None,
    constrain: Callable[[Position, Data], Position] | None = None,
    initial: Callable[[jax.Array, Data], Position] | None = None,
    dims: Mapping[str, tuple[str, ...]] | None = None,
    coords: Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | None = None,
    constant: Mapping[str, Any] | None = None,
) -> Model:
    """A Model of theta with the density log_prior(theta, data), and of u ~ N(0, I) of shape `auxiliary` = (T, N, p).

    log_weights(theta, u, data): log w [T, N]; the likelihood of individual k is estimated by (1/N) sum_i w_ki, whose
    mean over u must be the likelihood. Only logarithms are taken: weights overflow, and a weight below 0 is no estimate
    of a density; -inf is a weight of 0. sites: of theta, as for function_model; u becomes the last site, on the plate
    `individual`. precision: with float32 log_weights is given theta, u and real data of that type, for speed; its
    result is then off by about 1e-7 of the largest number on its way, so take differences before they are scaled.
    constrain, initial: of theta alone; u starts at its prior, is not recorded and has no goals. The rest is as for
    function_model.
    Raises ModelError for lengths below 1, for another precision, for log weights that are not [T, N] of that precision,
    and for weights at a first start that are NaN or infinite, or 0 for all samples of an individual.
    """
    label = name or str(getattr(log_weights, "__name__", "pseudo_marginal"))
    if precision not in get_args(Precision):
        raise ModelError(f"model {label!r}: precision = {precision!r}; allowed are {', '.join(get_args(Precision))}")
    if auxiliary_name in sites:
        raise ModelError(f"model {label!r}: site {auxiliary_name!r} is taken by the auxiliary variables; rename it")
    recorded = constrain or (lambda theta, data: dict(theta))
    try:
        u = auxiliary_site(auxiliary, auxiliary_name)
        model = function_model(
            estimated_terms(log_prior, log_weights, u, precision),
            {**sites, u.name: (u.shape, u.plates)},
            data,
            name=label,
            constrain=lambda position, data: recorded(_theta(position, u), data),
            initial=None
            if initial is None
            else lambda key, data: dict(initial(key, data)) | {u.name: jnp.zeros(u.shape)},
            likelihood=(ESTIMATE,),
            dims=dims,
            coords=coords,
            observed=observed,
            constant=constant,
        )
    except ValueError as error:
        raise ModelError(f"model {label!r}: {error}") from error
    single = frozenset({ESTIMATE} if precision == "float32" else ())
    model = _with_prior_starts(replace(model, target=replace(model.target, single=single)), u)
    _probe(label, model, lambda *arguments: log_weights(*rounded(arguments, precision)), u)
    return model


def _theta(position: Position, u: Site) -> Position:
    return {name: value for name, value in position.items() if name != u.name}


def _with_prior_starts(model: Model, u: Site) -> Model:
    """The model whose u is auxiliary and starts at its prior."""
    others = model.target.initial

    def initial(key: jax.Array, data: Data) -> Position:
        theta_key, u_key = jax.random.split(key)
        return dict(others(theta_key, data)) | {u.name: jax.random.normal(u_key, u.shape, jnp.float64)}

    return replace(model, target=replace(model.target, initial=initial, auxiliary=frozenset({u.name})))


def _probe(label: str, model: Model, log_weights: LogWeights, u: Site) -> None:
    """Refuse weights that no estimate can have, at one start."""

    @jax.jit
    def weights(data: Data) -> jax.Array:
        everything = data | model.static
        position = model.target.initial(jax.random.key(0), data)
        return log_weights(_theta(position, u), position[u.name], everything)

    found = np.asarray(weights(model.data))
    if wrong := int(np.isnan(found).sum()):
        raise ModelError(
            f"model {label!r}: {wrong} of {found.size} log weights are NaN at a start: the estimator must give log w "
            "of weights w >= 0; a negative weight has no logarithm, and one that overflows must be computed as a "
            "logarithm throughout"
        )
    if wrong := int(np.isposinf(found).sum()):
        raise ModelError(
            f"model {label!r}: {wrong} of {found.size} log weights are +inf at a start: the proposal's density is 0 "
            "there, or a weight overflowed before its logarithm was taken"
        )
    if (empty := np.isneginf(found).all(axis=1)).any():
        raise ModelError(
            f"model {label!r}: all weights of individual {int(np.argmax(empty))} are 0 at a start "
            f"({int(empty.sum())} such of {empty.size}): give `initial` with a theta that makes the data possible, "
            "more samples or a wider proposal"
        )
