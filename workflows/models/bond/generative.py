"""What the bond model of states seen seldom can do with one draw: the states at the end of each interval, by the Euler
steps of the weeks between, given those at its beginning."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.model import Generative
from workflows.models.bond.dynamics import Theta, price_drift, rate_drift
from workflows.models.bond.published import SHARES


class States(NamedTuple):
    """price [interval, maturity], logarithms; rate, wealth [interval]."""

    price: jax.Array
    rate: jax.Array
    wealth: jax.Array


def generative(prior: Generative, every: int, first_price: np.ndarray) -> Generative:
    """The functions of one draw; every: weeks of an interval; first_price: [interval, maturity] at its beginning.

    prior: of the model without observations. The likelihood of an interval is only estimated: none is given.
    """

    def predict(key: jax.Array, values: Position, data: Data) -> Position:
        start = States(jnp.asarray(first_price), data["rate"][:, 0], data["wealth"][:, 0])
        end = _end(key, Theta(**values), start, data["span"] / every, every)
        return {"price": end.price, "short_rate": end.rate, "wealth": end.wealth}

    def draw(key: jax.Array, data: Data) -> tuple[Position, Position]:
        prior_key, outcome_key = jax.random.split(key)
        values, _ = prior.prior(prior_key, {})
        return values, predict(outcome_key, values, data)

    return Generative(
        log_likelihood=lambda values, data: {},
        predict=predict,
        prior=draw,
        unconstrain=lambda values, data: prior.unconstrain(values, {}),
        impute={},
        observes=False,
    )


def _end(key: jax.Array, theta: Theta, start: States, step: jax.Array, steps: int) -> States:
    """The states after so many Euler steps."""

    def body(number: jax.Array, now: States) -> States:
        keys = jax.random.split(jax.random.fold_in(key, number), 3)
        normals = (jax.random.normal(k, x.shape, jnp.float64) for k, x in zip(keys, now, strict=True))
        noise = States(*(jnp.sqrt(step) * normal for normal in normals))
        return States(
            now.price + price_drift(theta, SHARES, now.rate, 1.0 / now.wealth) * step + theta.sigma * noise.price,
            now.rate + rate_drift(theta, now.rate) * step + theta.sigma_r * noise.rate,
            now.wealth + theta.omega * step + theta.sigma_w * noise.wealth,
        )

    found: States = jax.lax.fori_loop(0, steps, body, start)
    return found
