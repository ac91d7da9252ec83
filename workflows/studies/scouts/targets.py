"""Targets on which scouts are compared, and what the log density of each is in equilibrium."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.state import log_density
from kernels.types import Data, Position, Terms
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.models.scorpio import model as scorpio
from workflows.studies.depth import gaussian

WIDE = 10_000
"""Coordinates of the diagonal Gaussian."""
FUNNEL = 10
"""Coordinates of the funnel, its neck included."""
COPIES = 100
"""Copies of scorpio."""
DRAWS = 4000
"""Exact draws behind an equilibrium that is simulated."""
SEED = 0
"""Of the exact draws."""


class Equilibrium(NamedTuple):
    """mean and sd of one replica's log density; error: standard error of the mean; how: where they come from."""

    mean: float
    sd: float
    error: float
    how: str


@dataclass(frozen=True)
class ScoutTarget:
    """A model by name and keys. exact: its equilibrium, None where a longer run must tell."""

    name: str
    model: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    exact: Callable[[Model], Equilibrium] | None = None


def eigenvalues(dimension: int = WIDE) -> np.ndarray:
    """Variances [d], from 1e-3 to 1e3 in equal ratios."""
    return np.logspace(-3.0, 3.0, dimension)


def diagonal(*, dimension: int = WIDE) -> Model:
    """Independent normals, one site x [d] on plate `i`, condition number 1e6. Starts are as wide as the widest."""
    variances = eigenvalues(dimension)

    def log_terms(position: Position, data: Data) -> Terms:
        return {"normal": -0.5 * position["x"] ** 2 / data["variances"]}

    def initial(key: jax.Array, data: Data) -> Position:
        return {"x": np.sqrt(variances[-1]) * jax.random.normal(key, (dimension,), jnp.float64)}

    sites = {"x": ((dimension,), ("i",))}
    return function_model(log_terms, sites, {"variances": variances}, name="diagonal", initial=initial)


def funnel() -> Model:
    """Neal's funnel (2003, Slice sampling, section 8): v ~ N(0, 3), x_i ~ N(0, exp(v / 2)), 9 of them on plate `i`.

    Starts are N(0, 1), up to constants the density is -v^2 / 18 - sum_i (x_i^2 exp(-v) + v) / 2.
    """

    def log_terms(position: Position, data: Data) -> Terms:
        v, x = position["v"], position["x"]
        return {"neck": -0.5 * (v / 3.0) ** 2, "mouth": -0.5 * (x**2 * jnp.exp(-v) + v)}

    def initial(key: jax.Array, data: Data) -> Position:
        normal = jax.random.normal(key, (FUNNEL,), jnp.float64)
        return {"v": normal[0], "x": normal[1:]}

    return function_model(log_terms, {"v": (), "x": ((FUNNEL - 1,), ("i",))}, name="funnel", initial=initial)


def chi_squared(dimension: int) -> Equilibrium:
    """A normal density without its constant: -chi^2_d / 2."""
    return Equilibrium(-0.5 * dimension, float(np.sqrt(0.5 * dimension)), 0.0, "exact: -d / 2 and sqrt(d / 2)")


def simulated(model: Model, draws: Position) -> Equilibrium:
    """The log density of exact draws, each site [n, *shape]."""
    data = jax.tree.map(jnp.asarray, model.data)
    values = np.asarray(jax.vmap(lambda position: log_density(model.target.log_terms(position, data)))(draws))
    count = len(values)
    return Equilibrium(
        float(values.mean()),
        float(values.std(ddof=1)),
        float(values.std(ddof=1) / np.sqrt(count)),
        f"{count:,} exact draws",
    )


def _funnel_equilibrium(model: Model) -> Equilibrium:
    rng = np.random.default_rng(SEED)
    v = 3.0 * rng.standard_normal(DRAWS)
    x = np.exp(0.5 * v)[:, None] * rng.standard_normal((DRAWS, FUNNEL - 1))
    return simulated(model, {"v": jnp.asarray(v), "x": jnp.asarray(x)})


def _scorpio_equilibrium(model: Model) -> Equilibrium:
    drawn = scorpio.exact_draws(np.random.default_rng(SEED), DRAWS * COPIES).reshape(DRAWS, COPIES, 2)
    return simulated(model, {"x": jnp.asarray(drawn[..., 0]), "y": jnp.asarray(drawn[..., 1])})


TARGETS: Mapping[str, ScoutTarget] = {
    target.name: target
    for target in (
        ScoutTarget(
            "icg", "workflows.studies.depth.gaussian:build", exact=lambda model: chi_squared(gaussian.DIMENSION)
        ),
        ScoutTarget("german_credit", "workflows.studies.depth.german_credit:build"),
        ScoutTarget("airway_200", "airway", {"genes": 200}),
        ScoutTarget("diagonal", "workflows.studies.scouts.targets:diagonal", exact=lambda model: chi_squared(WIDE)),
        ScoutTarget("funnel", "workflows.studies.scouts.targets:funnel", exact=_funnel_equilibrium),
        ScoutTarget("scorpio", "scorpio", {"copies": COPIES}, exact=_scorpio_equilibrium),
    )
}
"""By name, in the order of the page."""
