"""What the mixed model can do with a draw: the likelihood of each individual, responses of new individuals, the prior.

Predictions are of new individuals with the covariates of the old ones: random effects are drawn anew.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family
from workflows.modelling.model import Generative
from workflows.models.glmm.likelihood import PRIOR_VARIANCE, SITES, mixture
from workflows.models.glmm.quadrature import log_likelihood
from workflows.models.glmm.simulate import RESPONSES

MATTERS = 0.02
"""Share of individuals."""
INDIVIDUAL = "y_of_individual"
"""Name of the likelihood of all responses of an individual together."""


def generative() -> Generative:
    """The functions of one draw; the likelihood is by quadrature, whatever estimator the run has used."""
    return Generative(
        log_likelihood=lambda values, data: {INDIVIDUAL: log_likelihood(_theta(values), data)},
        predict=predict,
        prior=prior,
        unconstrain=lambda values, data: _theta(values),
        impute={},
    )


def predict(key: jax.Array, values: Position, data: Data) -> Position:
    """New responses y [T, n]."""
    component_key, normal_key, response_key = jax.random.split(key, 3)
    law, z = mixture(_theta(values)), data["z"]
    component = jax.random.categorical(component_key, law.weight, shape=z.shape[:1])
    normal = jax.random.normal(normal_key, z.shape[:1], jnp.float64)
    x = law.mean[component] + normal / jnp.sqrt(law.precision[component])
    eta = x[:, None] + jnp.sum(z * values["b"], axis=-1)
    return {"y": jax.random.bernoulli(response_key, jax.nn.sigmoid(eta)).astype(jnp.float64)}


def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
    """theta, with the precisions and the weight on their natural scale, and responses under it."""
    keys = jax.random.split(key, len(SITES) + 1)
    variances = dict.fromkeys(SITES, jnp.asarray(PRIOR_VARIANCE)) | {"log_l": data["log_l_variance"]}
    theta = {
        name: jnp.sqrt(variances[name]) * jax.random.normal(one, shape, jnp.float64)
        for one, (name, shape) in zip(keys, SITES.items(), strict=False)
    }
    return natural(theta), predict(keys[-1], theta, data)


def natural(theta: Position) -> Position:
    """theta, and on the natural scale the precisions l and the weight w of the first component."""
    return dict(theta) | {"l": jnp.exp(theta["log_l"]), "w": jax.nn.sigmoid(theta["logit_w"])}


def checks() -> tuple[Check, ...]:
    """How many of its responses an individual has positive: what a random effect of two components is for."""
    labels = tuple(map(str, range(RESPONSES + 1)))
    about = f"Shares of individuals by how many of their {RESPONSES} responses are positive, among new individuals."
    family = Family("positive responses of an individual", labels, MATTERS, share=True, about=about, ordered=True)
    return (Check(family, _positive),)


def _positive(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
    positive = jnp.sum(outcomes["y"], axis=1).astype(int)
    return jnp.zeros(RESPONSES + 1).at[positive].add(1.0) / positive.size


def _theta(values: Position) -> Position:
    return {name: values[name] for name in SITES}
