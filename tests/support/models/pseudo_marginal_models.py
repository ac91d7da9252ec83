"""A small pseudo-marginal model whose joint law with its data can be drawn exactly, and the harness on it.

mu ~ N(0, 1), log sd ~ N(0, 0.3), x_ki = mu + sd u_ki with u ~ N(0, I), w_ki = N(y_k; x_ki, 1). phat_k is a density of
y_k: y_k ~ N(x_ki, 1) with i uniform on the samples. So (mu, log sd, u, y) is drawn by picking i, and the law of theta
given y is the posterior of y_k ~ N(mu, sd^2 + 1) whatever the number of samples.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels.state import LevelView
from kernels.structure.discovery import discover
from kernels.structure.levels import Structure
from kernels.target import Site, Target
from kernels.transitions.pseudo_marginal.target import auxiliary_site, estimated_terms
from kernels.transitions.pseudo_marginal.trajectories import joint_view
from tests.support.harness import LOG_SD, REPLICAS, Report, Sample, compare, mover, normal, seed, three_steps
from workflows.modelling.frontends.pseudo_marginal import pseudo_marginal_model
from workflows.modelling.model import Model

INDIVIDUALS, SAMPLES = 4, 3
SITES = {"mu": Site("mu", ()), "log_sd": Site("log_sd", ())}
LIKELIHOOD = frozenset({"estimate"})


def log_prior(theta: Any, data: Any) -> Any:
    return {"mu": normal(theta["mu"], 0.0, 1.0), "log_sd": normal(theta["log_sd"], 0.0, LOG_SD)}


def effects(theta: Any, u: Any) -> Any:
    """x of the samples."""
    return theta["mu"] + jnp.exp(theta["log_sd"]) * u[..., 0]


def log_weights(theta: Any, u: jax.Array, y: jax.Array) -> jax.Array:
    return normal(y[:, None], effects(theta, u), 1.0)


@cache
def small(samples: int = SAMPLES) -> tuple[Target, Structure]:
    """The model with levels global (mu and log_sd) and individual."""
    u = auxiliary_site((INDIVIDUALS, samples, 1))
    terms = estimated_terms(log_prior, log_weights, u)
    position, y = one_draw(samples)
    kinds: Any = {"mu": "prior", "log_sd": "prior", "auxiliary": "prior", "estimate": "likelihood"}
    target = Target({**SITES, "u": u}, kinds, terms, lambda p, y: p, lambda key, y: position)
    return target, discover(target, y, position, key=jax.random.key(6))


@cache
def view(level: str, samples: int = SAMPLES, tempered: frozenset[str] | None = None) -> LevelView:
    target, structure = small(samples)
    if level == "whole":
        return joint_view(target, structure, tempered)
    return LevelView(target, structure, structure.level(level), tempered)


def draw_joint(name: str, samples: int = SAMPLES) -> Sample:
    """Exact draws of ((mu, log sd, u), y)."""
    rng = np.random.default_rng(seed(name))
    mu, log_sd = rng.normal(size=REPLICAS), LOG_SD * rng.normal(size=REPLICAS)
    u = rng.normal(size=(REPLICAS, INDIVIDUALS, samples, 1))
    picked = np.take_along_axis(u[..., 0], rng.integers(samples, size=(REPLICAS, INDIVIDUALS, 1)), axis=2)[..., 0]
    y = mu[:, None] + np.exp(log_sd)[:, None] * picked + rng.normal(size=picked.shape)
    return {"mu": mu, "log_sd": log_sd, "u": u}, y


def draw_tempered(name: str, beta: float, weight: float) -> Sample:
    """Draws of the model of one sample in which u has its law given theta and y with phat to the power beta and its own
    term to the power `weight`: precision weight + beta sd^2."""
    position, y = draw_joint(name, samples=1)
    sd = np.exp(position["log_sd"])[:, None]
    precision = weight + beta * sd**2
    noise = np.random.default_rng(seed(f"{name} tempered")).normal(size=y.shape)
    u = beta * sd * (y - position["mu"][:, None]) / precision + noise / np.sqrt(precision)
    return {**position, "u": u[:, :, None, None]}, y


def one_draw(samples: int = SAMPLES) -> Sample:
    return jax.tree.map(lambda values: jnp.asarray(values[0]), draw_joint("one", samples))


def scalars(sample: Sample) -> dict[str, np.ndarray]:
    """What is compared, [R] each: moments, and products that tie theta, u and the data to each other."""
    position, y = sample
    mu, log_sd, u = (np.asarray(position[name]) for name in ("mu", "log_sd", "u"))
    u = u[..., 0]
    x = mu[:, None, None] + np.exp(log_sd)[:, None, None] * u
    logs = -0.5 * (np.asarray(y)[:, :, None] - x) ** 2
    estimate = np.log(np.mean(np.exp(logs), axis=2))
    return {
        "mu": mu,
        "mu^2": mu**2,
        "log_sd": log_sd,
        "log_sd^2": log_sd**2,
        "u": u.mean(axis=(1, 2)),
        "u^2": (u**2).mean(axis=(1, 2)),
        "u[0,0]": u[:, 0, 0],
        "u[0,0]^2": u[:, 0, 0] ** 2,
        "u mu": u.mean(axis=(1, 2)) * mu,
        "y mu": y.mean(axis=1) * mu,
        "y u": (y[:, :, None] * u).mean(axis=(1, 2)),
        "residual^2": ((y - x.mean(axis=2)) ** 2).mean(axis=1),
        "estimate": np.maximum(estimate, -8.0).mean(axis=1),
    }


def check_kernel(name: str, kernel: Any, parameters: Any, *samples: Sample, of: int = SAMPLES) -> Report:
    """Three steps on exact draws, as tests.support.harness.check_kernel; samples: those to move and those to stay."""
    moved, still = samples or (draw_joint(name, of), draw_joint(f"{name} still", of))
    after = three_steps(name, mover(kernel, small, of), parameters, moved)
    return compare(scalars(moved), scalars(after), scalars(still))


def groups() -> Model:
    """The model as a user builds it, for runs by name: tests.support.models.pseudo_marginal_models:groups."""
    y = np.random.default_rng(0).normal(size=6) + 1.0
    return pseudo_marginal_model(
        log_prior,
        lambda theta, u, data: log_weights(theta, u, data["y"]),
        {"mu": (), "log_sd": ()},
        (6, SAMPLES, 1),
        {"y": y},
        name="groups",
        observed={"y": y},
        dims={"y": ("individual",)},
    )
