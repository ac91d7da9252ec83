"""Two years of weeks of the bond model for calibration, from its equations, one after the other.

The model's own prior predictions hold each week before as it was observed.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from tests.support.calibration import Plan, Study
from workflows.models.bond.dynamics import Theta, price_drift, rate_drift
from workflows.models.bond.model import build
from workflows.models.bond.published import DT, FIRST_PRICE, FIRST_RATE, FIRST_WEALTH, LABELS, SHARES
from workflows.settings.sections.kernels import KernelSettings

WEEKS = 104


def weeks_of(theta: Theta, noise: jax.Array) -> Position:
    """States of all weeks from standard normals [weeks, 11], by the equations one week after the other."""
    root = np.sqrt(DT)

    def step(state: tuple[jax.Array, ...], e: jax.Array) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
        price, rate, wealth = state
        after = (
            price + price_drift(theta, SHARES, rate, 1.0 / wealth) * DT + theta.sigma * root * e[:9],
            rate + rate_drift(theta, rate) * DT + theta.sigma_r * root * e[9],
            wealth + theta.omega * DT + theta.sigma_w * root * e[10],
        )
        return after, after

    first = (jnp.asarray(FIRST_PRICE), jnp.asarray(FIRST_RATE), jnp.asarray(FIRST_WEALTH))
    later = jax.lax.scan(step, first, noise)[1]
    whole = (jnp.concatenate([start[None], rest]) for start, rest in zip(first, later, strict=True))
    price, rate, wealth = whole
    return {"price": price.T, "rate": rate, "wealth": wealth}


def bond_study(plan: Plan, kernels: KernelSettings) -> Study:
    """The model with prior draws whose weeks follow from the parameters."""
    model = build(weeks=WEEKS)
    assert model.generative is not None
    original = model.generative.prior

    def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
        theta_key, noise_key = jax.random.split(key)
        values, _ = original(theta_key, data)
        return values, weeks_of(Theta(**values), jax.random.normal(noise_key, (WEEKS, 11), jnp.float64))

    def quantities(values: Position) -> dict[str, jax.Array]:
        sigma = {f"sigma {label}": values["sigma"][k] for k, label in enumerate(LABELS)}
        return sigma | {name: values[name] for name in Theta._fields if name != "sigma"}

    from_equations = replace(model, generative=model.generative._replace(prior=prior))
    return Study(from_equations, kernels, lambda data, outcomes: {**data, **outcomes}, quantities, plan)
