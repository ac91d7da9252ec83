"""The model of bond prices, with all states observed, with prices measured in error, or with states seen seldom.

theta = (gamma, sigma^tau of nine maturities, kappa, sigma^r, omega, sigma^W, rbar); second arguments are standard
deviations:

    gamma ~ half-N(5), sigma^tau ~ half-N(.5), kappa ~ half-N(1), sigma^r ~ half-N(.05), omega ~ N(0, .2),
    sigma^W ~ half-N(.1), rbar ~ N(.03, .05).

- all: log prices, short rate and wealth of every week, whose densities given the week before are normal: exact.
- noisy: short rate and wealth of every week, and log prices with independent errors of a known standard deviation:
  exact by a Kalman filter.
- sparse: all states, but only every few weeks; the weeks between are latent Euler steps: pseudo-marginal.

All start from the states of week 0 as given.
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from kernels.types import Data, Position
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.frontends.pseudo_marginal import pseudo_marginal_model
from workflows.modelling.model import Model
from workflows.models.bond import checks
from workflows.models.bond.bridges import PROPOSALS, log_weights
from workflows.models.bond.dynamics import Theta, price_drift, rate_drift
from workflows.models.bond.generative import generative
from workflows.models.bond.kalman import filtered
from workflows.models.bond.published import DT, LABELS, SHARES, WEEKS
from workflows.models.bond.simulate import Series, measured, simulate

FEWEST = 20
"""Weeks that a series must have."""
OBSERVED = ("all", "noisy", "sparse")
COORDS = {"maturity": np.array(LABELS)}


def priors() -> Theta:
    """Sample statements of all parameters."""
    gamma = numpyro.sample("gamma", dist.HalfNormal(5.0))
    with numpyro.plate("maturity", len(LABELS)):
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.5))
    kappa = numpyro.sample("kappa", dist.HalfNormal(1.0))
    sigma_r = numpyro.sample("sigma_r", dist.HalfNormal(0.05))
    omega = numpyro.sample("omega", dist.Normal(0.0, 0.2))
    sigma_w = numpyro.sample("sigma_w", dist.HalfNormal(0.1))
    rbar = numpyro.sample("rbar", dist.Normal(0.03, 0.05))
    return Theta(gamma, sigma, kappa, sigma_r, omega, sigma_w, rbar)


def complete(price: jax.Array, rate: jax.Array, wealth: jax.Array) -> None:
    """The NumPyro model of all states. price: [maturity, weeks + 1]; rate, wealth: [weeks + 1].

    Weeks are the last axis, along which a CPU computes several at once: 1.5 times as fast as the other way round.
    Predictions and prior draws are of each week given the week before as it was observed.
    """
    theta = priors()
    _rates_and_wealth(theta, rate, wealth)
    mean = price[:, :-1] + _changes(theta, rate, wealth).T
    with numpyro.plate("maturity", len(LABELS), dim=-2), numpyro.plate("week", rate.size - 1, dim=-1):
        numpyro.sample("price", dist.Normal(mean, theta.sigma[:, None] * np.sqrt(DT)), obs=price[:, 1:])


def noisy(measured: jax.Array, error: jax.Array, rate: jax.Array, wealth: jax.Array) -> None:
    """The NumPyro model of prices measured with error, [weeks + 1, maturity]; rate, wealth: [weeks + 1]."""
    theta = priors()
    _rates_and_wealth(theta, rate, wealth)
    last = filtered(measured, _changes(theta, rate, wealth), theta.sigma * np.sqrt(DT), error)
    with numpyro.plate("maturity", len(LABELS)):
        numpyro.factor("prices", last.log_likelihood)


def _changes(theta: Theta, rate: jax.Array, wealth: jax.Array) -> jax.Array:
    """Expected changes of log prices in each week, [weeks, maturity]."""
    return price_drift(theta, SHARES, rate[:-1], 1.0 / wealth[:-1]) * DT


def _rates_and_wealth(theta: Theta, rate: jax.Array, wealth: jax.Array) -> None:
    """Observation statements of short rate and wealth."""
    rate_mean = rate[:-1] + rate_drift(theta, rate[:-1]) * DT
    with numpyro.plate("week", rate.size - 1):
        numpyro.sample("short_rate", dist.Normal(rate_mean, theta.sigma_r * np.sqrt(DT)), obs=rate[1:])
        wealth_law = dist.Normal(wealth[:-1] + theta.omega * DT, theta.sigma_w * np.sqrt(DT))
        numpyro.sample("wealth", wealth_law, obs=wealth[1:])


def build(
    *,
    weeks: int = WEEKS,
    observed: str = "all",
    error: float = 0.002,
    every: int = 4,
    samples: int = 16,
    proposal: str = "linear",
) -> Model:
    """The model on the first simulated weeks. observed: all, noisy or sparse.

    error: standard deviation of measured log prices (noisy). every: weeks between observations, samples: N, proposal:
    linear or brownian (sparse). Raises ModelError for other values.
    """
    _check(weeks, observed, error, every, samples, proposal)
    series = simulate(weeks)
    if observed == "all":
        return _complete(series)
    return _noisy(series, float(error)) if observed == "noisy" else _sparse(series, every, samples, proposal)


def _complete(series: Series) -> Model:
    data = series._asdict() | {"price": np.ascontiguousarray(series.price.T)}
    described = _described(series, series.price[0])
    return numpyro_model(complete, data, name="bond", **described, checks=checks.every_week())


def _noisy(series: Series, error: float) -> Model:
    prices = measured(series.price, error)
    data = {"measured": prices, "error": error, "rate": series.rate, "wealth": series.wealth}
    described = _described(series, prices[0])
    described["constant"] |= {"measured_price": prices[1:]}
    described["dims"] |= {"measured_price": ("week", "maturity")}
    return numpyro_model(noisy, data, name="bond", **described, checks=checks.measured())


def _described(series: Series, first_price: np.ndarray) -> dict[str, Any]:
    """Labels, and the states of week 0, of a model of every week."""
    return {
        "coords": COORDS | {"week": np.arange(1, series.rate.size)},
        "constant": {"first_price": first_price, "first_rate": series.rate[0], "first_wealth": series.wealth[0]},
        "dims": {"first_price": ("maturity",)},
    }


def intervals(series: Series, every: int) -> dict[str, np.ndarray]:
    """Data of `bridges.log_weights` of states seen every few weeks; weeks after the last interval are left out."""
    price, rate, wealth = (part[::every] for part in series)
    return {
        "growth": np.diff(price, axis=0),
        "rate": np.stack([rate[:-1], rate[1:]], axis=1),
        "wealth": np.stack([wealth[:-1], wealth[1:]], axis=1),
        "span": np.asarray(every * DT),
    }


def _sparse(series: Series, every: int, samples: int, proposal: str) -> Model:
    """The pseudo-marginal model: theta and its prior are those of a NumPyro model without observations."""
    prior = numpyro_model(priors, name="bond", coords=COORDS)
    target, data = prior.target, intervals(series, every)
    number = len(data["rate"])

    def weights(position: Position, u: jax.Array, data: Data) -> jax.Array:
        return log_weights(Theta(**target.constrain(position, {})), u, data, proposal)

    seen = Series(*(part[every::every] for part in series))
    first_price = series.price[::every][:-1]
    model = pseudo_marginal_model(
        lambda position, data: target.log_terms(position, {}),
        weights,
        {name: (site.shape, site.plates) for name, site in target.sites.items()},
        (number, samples, 2 * (every - 1)),
        data,
        name="bond",
        constrain=lambda position, data: target.constrain(position, {}),
        initial=lambda key, data: target.initial(key, {}),
        dims={"price": ("interval", "maturity"), "short_rate": ("interval",), "wealth": ("interval",)},
        coords=COORDS | {"interval": every * np.arange(1, number + 1)},
        observed={"price": seen.price, "short_rate": seen.rate, "wealth": seen.wealth},
    )
    return replace(
        model,
        generative=generative(prior.generative, every, first_price) if prior.generative else None,
        checks=checks.seldom(every, first_price),
    )


def _check(weeks: object, observed: object, error: object, every: object, samples: object, proposal: object) -> None:
    """Raise ModelError for settings that make no model, all that is wrong at once."""
    wrong = []
    if not _whole(weeks, FEWEST):
        wrong.append(f"weeks = {weeks!r}; allowed is a whole number from {FEWEST}")
    if observed not in OBSERVED:
        wrong.append(f"observed = {observed!r}; allowed are {', '.join(OBSERVED)}")
    if isinstance(error, bool) or not isinstance(error, (int, float)) or not 0.0 < error < np.inf:
        wrong.append(f"error = {error!r}; allowed is a number above 0 (observed = all has no errors)")
    if not _whole(every, 2):
        wrong.append(f"every = {every!r}; allowed is a whole number from 2 (observed = all has every week)")
    elif _whole(weeks, FEWEST) and weeks < 2 * every:  # type: ignore[operator]
        wrong.append(f"every = {every!r} with weeks = {weeks!r}; needed are two intervals or more")
    if not _whole(samples, 1):
        wrong.append(f"samples = {samples!r}; allowed is a whole number from 1")
    if proposal not in PROPOSALS:
        wrong.append(f"proposal = {proposal!r}; allowed are {' and '.join(PROPOSALS)}")
    if wrong:
        raise ModelError("bond: " + "; ".join(wrong))


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
