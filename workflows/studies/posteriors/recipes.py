"""How the reference of a posterior is sampled where NUTS on the plain model would be slow or wrong.

An equivalent model has the same posterior of the same variables, in coordinates that NUTS likes: centred covariates,
standard normals in place of effects, or effects integrated out, to be drawn afterwards given the shared parameters.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

from workflows.studies.posteriors.exact import Draws
from workflows.studies.posteriors.kinds import hierarchies
from workflows.studies.posteriors.posterior import Built
from workflows.studies.posteriors.suite import posterior


class Recipe(NamedTuple):
    """build: an equivalent model, None for the plain one; complete: adds variables that it integrates out, from the
    draws, the plain data and a generator; start: where the chains begin, uniform in a box where it says nothing; dense:
    whether the metric is, where coordinates trade with each other in few directions."""

    build: Callable[[], Built] | None = None
    complete: Callable[[Draws, dict[str, Any], np.random.Generator], Draws] | None = None
    start: Mapping[str, Any] = {}
    target_accept: float = 0.95
    dense: bool = False


def _line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Least squares of y on (1, x - mean), errors of its two values, and the mean."""
    design = np.column_stack([np.ones(x.size), x - x.mean()])
    fit, squares = np.linalg.lstsq(design, y - y.mean(), rcond=None)[:2]
    fit[0] += y.mean()
    return fit, np.sqrt(squares[0] / (x.size - 2) / (design**2).sum(axis=0)), float(x.mean())


def dates() -> Built:
    """In the value at the middle and the slope, in units of their errors."""
    data = posterior("dates").build()[1]
    fit, error, middle = _line(data["day"], data["y"])

    def model(day: jax.Array, y: jax.Array) -> None:
        z = numpyro.sample("z", dist.ImproperUniform(constraints.real_vector, (), (2,)))
        at_middle, slope = fit + error * z
        a, b = numpyro.deterministic("a", at_middle - slope * middle), numpyro.deterministic("b", slope)
        numpyro.factor("prior", dist.Normal(0, 1e5).log_prob(a) + dist.Normal(0, 10).log_prob(b))
        sigma = numpyro.sample("sigma", dist.ImproperUniform(constraints.positive, (), ()))
        numpyro.sample("y", dist.Normal(at_middle + slope * (day - middle), sigma), obs=y)

    return model, data


def ephemeris() -> Built:
    """In the time of the middle transit and the period, in units of their errors."""
    data = posterior("ephemeris").build()[1]
    fit, error, middle = _line(data["number"], data["time"])

    def model(number: jax.Array, time: jax.Array) -> None:
        z = numpyro.sample("z", dist.ImproperUniform(constraints.real_vector, (), (2,)))
        at_middle, slope = error * z
        first = numpyro.deterministic("first", fit[0] - fit[1] * middle + at_middle - slope * middle)
        period = numpyro.deterministic("period", fit[1] + slope)
        numpyro.factor("prior", dist.Normal(2_457_000, 100).log_prob(first) + dist.LogNormal(1, 1).log_prob(period))
        jitter = numpyro.sample("jitter", dist.HalfNormal(0.01))
        numpyro.sample("time", dist.Normal(at_middle + slope * (number - middle), jitter), obs=time)

    # Differences from the fit are taken before anything is lost to rounding.
    residual = data["time"] - fit[0] - fit[1] * (data["number"] - middle)
    return model, {"number": data["number"], "time": residual}


def volatility_walk() -> Built:
    """In the innovations."""

    def model(returns: jax.Array) -> None:
        sigma = numpyro.sample("sigma", dist.Exponential(50.0))
        z = numpyro.sample("z", dist.Normal(0, 1).expand([returns.shape[0]]).to_event(1))
        s = numpyro.deterministic("s", jnp.cumsum(sigma * z))
        nu = numpyro.sample("nu", dist.Exponential(0.1))
        numpyro.sample("r", dist.StudentT(df=nu, loc=0.0, scale=jnp.exp(s)), obs=returns)

    return model, posterior("volatility_walk").build()[1]


def _grouped(data: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, float]:
    """Sizes and means of the groups, and the sum of squares within them."""
    size = np.bincount(data["group"])
    mean = np.bincount(data["group"], data["y"]) / size
    return size, mean, float(((data["y"] - mean[data["group"]]) ** 2).sum())


def _groups(name: str) -> Recipe:
    """The effects of the groups integrated out: their means are normal with variance tau^2 + sigma^2 / n."""

    def build() -> Built:
        size, mean, within = _grouped(posterior(name).build()[1])

        def model() -> None:
            mu = numpyro.sample("mu", dist.Normal(0, 10))
            tau = numpyro.sample("tau", dist.HalfNormal(5))
            sigma = numpyro.sample("sigma", dist.HalfNormal(5))
            numpyro.factor("means", dist.Normal(mu, jnp.sqrt(tau**2 + sigma**2 / size)).log_prob(mean))
            numpyro.factor("within", -(size.sum() - size.size) * jnp.log(sigma) - within / (2 * sigma**2))

        return model, {}

    def complete(draws: Draws, data: dict[str, Any], rng: np.random.Generator) -> Draws:
        size, mean, _ = _grouped(data)
        mu, tau, sigma = (draws[site][:, None] for site in ("mu", "tau", "sigma"))
        precision = size / sigma**2 + 1 / tau**2
        centre = (mean * size / sigma**2 + mu / tau**2) / precision
        return draws | {"effect": centre + rng.normal(size=centre.shape) / np.sqrt(precision)}

    return Recipe(build, complete, target_accept=0.99)


def tumours() -> Built:
    """The rates integrated out."""

    def model(n: jax.Array, y: jax.Array) -> None:
        phi = numpyro.sample("phi", dist.Uniform(0, 1))
        kappa = numpyro.sample("kappa", dist.Pareto(1.0, 1.5))
        numpyro.sample("y", dist.BetaBinomial(phi * kappa, (1 - phi) * kappa, n), obs=y)

    return model, posterior("tumours").build()[1]


def _rates(draws: Draws, data: dict[str, Any], rng: np.random.Generator) -> Draws:
    """Beta rates given the two shared parameters."""
    phi, kappa = draws["phi"][:, None], draws["kappa"][:, None]
    return draws | {"theta": rng.beta(phi * kappa + data["y"], (1 - phi) * kappa + data["n"] - data["y"])}


ERROR = 0.8
"""Of the covariate that `measurement_error` has measured."""


def measurement_error() -> Built:
    """The covariate integrated out: measurement and outcome are two correlated normals."""

    def model(x_seen: jax.Array, y: jax.Array) -> None:
        mu_x = numpyro.sample("mu_x", dist.Normal(0, 10))
        sd_x = numpyro.sample("sd_x", dist.HalfNormal(5))
        a = numpyro.sample("a", dist.Normal(0, 10))
        b = numpyro.sample("b", dist.Normal(0, 5))
        sigma = numpyro.sample("sigma", dist.HalfNormal(2))
        seen = sd_x**2 + ERROR**2
        numpyro.sample("x_seen", dist.Normal(mu_x, jnp.sqrt(seen)), obs=x_seen)
        x = mu_x + sd_x**2 / seen * (x_seen - mu_x)
        variance = sigma**2 + b**2 * sd_x**2 * ERROR**2 / seen
        numpyro.sample("y", dist.Normal(a + b * x, jnp.sqrt(variance)), obs=y)

    return model, posterior("measurement_error").build()[1]


def _covariate(draws: Draws, data: dict[str, Any], rng: np.random.Generator) -> Draws:
    """The covariate given the shared parameters and all that was measured."""
    mu_x, sd_x, a, b, sigma = (draws[site][:, None] for site in ("mu_x", "sd_x", "a", "b", "sigma"))
    precision = 1 / sd_x**2 + 1 / ERROR**2 + b**2 / sigma**2
    centre = (mu_x / sd_x**2 + data["x_seen"] / ERROR**2 + b * (data["y"] - a) / sigma**2) / precision
    return draws | {"x": centre + rng.normal(size=centre.shape) / np.sqrt(precision)}


def _weights(months: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the level gains [months, ...] from (first / 100, slope0), from the steps of the level and of the slope."""
    sums = np.vstack([np.zeros(months - 1), np.tril(np.ones((months - 1, months - 1)))])
    return np.column_stack([np.full(months, 100.0), np.arange(months)]), sums, sums @ sums[1:]


def trend() -> Built:
    """All but the scales integrated out: the months are jointly normal."""

    def model(y: jax.Array) -> None:
        sd_level = numpyro.sample("sd_level", dist.HalfNormal(1))
        sd_slope = numpyro.sample("sd_slope", dist.HalfNormal(0.2))
        sd_y = numpyro.sample("sd_y", dist.HalfNormal(2))
        line, level, slope = (part @ part.T for part in _weights(y.shape[0]))
        covariance = line + sd_level**2 * level + sd_slope**2 * slope + sd_y**2 * jnp.eye(y.shape[0])
        numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(y.shape[0]), covariance), obs=y)

    return model, posterior("trend").build()[1]


def _steps(draws: Draws, data: dict[str, Any], rng: np.random.Generator) -> Draws:
    """The steps given the scales, by Matheron's rule (Wilson et al. 2021, JMLR 22(105)): steps w and months y* from the
    prior, moved by Cov(w, y) Cov(y)^-1 (y - y*)."""
    line, level, slope = _weights(data["y"].size)
    found = []
    for sd_level, sd_slope, sd_y in zip(draws["sd_level"], draws["sd_slope"], draws["sd_y"], strict=True):
        weights = np.column_stack([line, sd_level * level, sd_slope * slope])
        w = rng.normal(size=weights.shape[1])
        residual = data["y"] - weights @ w - sd_y * rng.normal(size=data["y"].size)
        covariance = weights @ weights.T + sd_y**2 * np.eye(data["y"].size)
        moved = w + weights.T @ np.linalg.solve(covariance, residual)
        found.append(np.append(moved, weights[-1] @ moved))
    first, slope0, *steps, last = np.stack(found, axis=1)
    z_level, z_slope = np.stack(steps, axis=1).reshape(len(found), 2, -1).transpose(1, 0, 2)
    return draws | {"first": 100 * first, "slope0": slope0, "z_level": z_level, "z_slope": z_slope, "last": last}


RATES = jnp.array([0.4, -2.5, 1.0])
"""Where absorption is the faster one in all patients."""

RECIPES: Mapping[str, Recipe] = {
    "dates": Recipe(dates),
    "ephemeris": Recipe(ephemeris),
    "volatility_walk": Recipe(volatility_walk),
    "schools_centred": Recipe(hierarchies.schools_noncentred, target_accept=0.99),
    "schools_noncentred": Recipe(target_accept=0.99),
    "radon_centred": Recipe(hierarchies.radon_noncentred),
    "groups_5": _groups("groups_5"),
    "groups_500": _groups("groups_500"),
    "groups_5000": _groups("groups_5000"),
    "tumours": Recipe(tumours, _rates),
    "trend": Recipe(trend, _steps),
    "measurement_error": Recipe(measurement_error, _covariate),
    "pharmacokinetics": Recipe(
        start={"mean": RATES, "sd": jnp.full(3, 0.3), "rates": jnp.broadcast_to(RATES, (12, 3))},
    ),
    "students": Recipe(dense=True),
    "raters": Recipe(dense=True),
    "horseshoe": Recipe(target_accept=0.99),
    "light_curve": Recipe(start={"middle": 2_457_003.12, "depth": 0.012, "duration": 0.1, "sigma": 0.004}),
    "arma": Recipe(start={"mu": 0.3, "phi": 0.8, "theta": 0.4, "sigma": 0.5}),
    "hmm_gaussian": Recipe(start={"mu": jnp.array([3.0, 9.0])}),
    "hmm_drives": Recipe(start={"phi": jnp.array([0.8, 3.0]), "rate": jnp.array([0.5, 2.5])}),
    "mixture": Recipe(start={"mu": jnp.array([-2.75, 2.75])}),
    "lotka_volterra": Recipe(
        start={
            "start": jnp.array([34.0, 5.9]),
            "theta": jnp.array([0.55, 0.028, 0.8, 0.024]),
            "sigma": jnp.array([0.25, 0.25]),
        },
        dense=True,
    ),
}
"""The plain model from random starts for all others."""
