"""Small targets with known structure, and the census layout: 29,501 workers in 2,024 areas in 51 states."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from kernels.target import Site, Target
from kernels.types import Data, Position, Terms

DATA = Path(__file__).resolve().parents[2] / "data"


def normal(x, mean, log_sd):
    """Unsummed normal log density, without its constant."""
    return -0.5 * ((x - mean) * jnp.exp(-log_sd)) ** 2 - log_sd


def make_target(
    log_terms: Callable[[Position, Data], Terms], *sites: Site, likelihood: tuple[str, ...] = ("y",)
) -> Target:
    """A target whose terms are priors but for those named; it starts at 0."""
    named = {site.name: site for site in sites}

    def initial(key, data):
        return {name: jnp.zeros(site.shape) for name, site in named.items()}

    kinds = _Kinds(likelihood)
    return Target(named, kinds, log_terms, lambda position, data: position, initial)


class _Kinds(dict):
    """Prior for every term that is not named a likelihood."""

    def __init__(self, likelihood):
        super().__init__({name: "likelihood" for name in likelihood})

    def __missing__(self, name):
        return "prior"


def zeros(target: Target) -> Position:
    """The position of all zeros."""
    return {name: np.zeros(site.shape) for name, site in target.sites.items()}


def nested_terms(position: Position, data: Data) -> Terms:
    """Observations in areas in states: area coefficients [A, 4] around state coefficients [S, 4] around mu [4]."""
    area, state = position["area"], position["state"]
    hyper = ("mu", "log_sd_area", "log_sd_state", "log_sd")
    mean = (data["x"] * area[data["area"]]).sum(-1)
    return {
        **{name: normal(position[name], 0.0, 0.0) for name in hyper},
        "state": normal(state, position["mu"], position["log_sd_state"]).sum(-1),
        "area": normal(area, state[data["state"]], position["log_sd_area"]).sum(-1),
        "y": normal(data["y"], mean, position["log_sd"]),
    }


def nested(areas: int, states: int) -> Target:
    """The target of `nested_terms`."""
    return make_target(
        nested_terms,
        Site("mu", (4,)),
        Site("log_sd_area", (4,)),
        Site("log_sd_state", (4,)),
        Site("log_sd", ()),
        Site("area", (areas, 4), ("area",)),
        Site("state", (states, 4), ("state",)),
    )


def nested_data(rng: np.random.Generator, area: np.ndarray, state: np.ndarray) -> dict[str, np.ndarray]:
    """Random covariates and outcomes for observations in the given areas; state: area -> state."""
    x = np.concatenate([np.ones((area.size, 1)), rng.standard_normal((area.size, 3))], axis=1)
    return {"x": x, "y": 6 + rng.standard_normal(area.size), "area": area, "state": state}


def census() -> tuple[Target, dict[str, np.ndarray]]:
    """The census target and its data with simulated outcomes."""
    with np.load(DATA / "census_layout.npz") as layout:
        pairs, area = np.unique(
            np.stack([layout["state"], layout["puma"]]).astype(np.int64), axis=1, return_inverse=True
        )
    state = pairs[0]
    return nested(state.size, int(state.max()) + 1), nested_data(np.random.default_rng(0), area.ravel(), state)


def gene_terms(position: Position, data: Data) -> Terms:
    """Genes with a level a, an effect d and a log dispersion phi, counts y[sample, gene]."""
    mean = jnp.exp(position["a"] + data["treated"][:, None] * position["d"])
    size = jnp.exp(-position["phi"])
    counts = data["y"]
    likelihood = (
        jax.lax.lgamma(counts + size)
        - jax.lax.lgamma(jnp.broadcast_to(size, counts.shape))
        + counts * jnp.log(mean / (mean + size))
        + size * jnp.log(size / (mean + size))
    )
    return {
        **{name: normal(position[name], 0.0, 0.0) for name in ("mu_a", "sd_a", "sd_d", "mu_p", "sd_p")},
        "a": normal(position["a"], position["mu_a"], position["sd_a"]),
        "d": normal(position["d"], 0.0, position["sd_d"]),
        "phi": normal(position["phi"], position["mu_p"], position["sd_p"]),
        "y": likelihood,
    }


def genes(count: int) -> tuple[Target, dict[str, np.ndarray]]:
    """The gene target and simulated counts of 8 samples."""
    scalars = [Site(name, ()) for name in ("mu_a", "sd_a", "sd_d", "mu_p", "sd_p")]
    plated = [Site(name, (count,), ("gene",)) for name in ("a", "d", "phi")]
    y = np.random.default_rng(1).poisson(3.0, (8, count)).astype(np.float64)
    return make_target(gene_terms, *scalars, *plated), {"y": y, "treated": np.arange(8) % 2.0}
