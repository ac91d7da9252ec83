"""The invariance harness: exact joint draws, a kernel applied to the parameters, and a comparison of before and after.

If (theta, y) comes from the joint law and the kernel leaves p(theta | y) invariant, (theta', y) has the joint law as
well (Geweke 2004, Journal of the American Statistical Association 99, 799-804, here with many independent replicas in
place of one long chain). Scalars of (theta, y) are compared in two ways: z of the mean paired change (powerful for
slow kernels), and Kolmogorov-Smirnov of the moved replicas against others that were never moved.

False alarms: a check fails where the smallest p-value times the number of statistics is below 1e-7. The scalars have
light tails and there are 20,000 replicas, so the normal approximation of z is good for a factor of 10: below 1e-6 a
check. Misses: x redrawn from its conditional law with an sd 4 % too large gives 11 standard errors on average (9.4 to
13.1 in 20 trials) where 5.9 alarm, so it is missed less than once in a million checks; 2 % is missed in every second.
"""

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.structure.levels import Structure
from kernels.target import Site, Target
from tests.support.one_replica import OneReplica

REPLICAS = 20_000
FALSE_ALARM = 1e-7
GROUPS, WIDTH = 5, 2
LOG_SD = 0.3
"""Prior sd of log_sd: small, so that squares of x keep light tails."""

Sample = tuple[dict[str, Any], Any]
"""(theta, y): one draw, or arrays of draws with a leading axis."""


class Report(NamedTuple):
    """Smallest p-value after correction for their number, the statistic that has it, and whether it passes."""

    p_value: float
    worst: str
    passed: bool


def normal(x: jax.Array, mean: jax.Array | float, sd: jax.Array | float) -> jax.Array:
    """Log density of a normal, elementwise, without its constant."""
    return -0.5 * ((x - mean) / sd) ** 2 - jnp.log(sd)


def _log_terms(position: dict[str, jax.Array], y: jax.Array) -> dict[str, jax.Array]:
    mu, log_sd, x = position["mu"], position["log_sd"], position["x"]
    return {
        "mu": normal(mu, 0.0, 1.0),
        "log_sd": normal(log_sd, 0.0, LOG_SD),
        "x": normal(x, mu, jnp.exp(log_sd)),
        "y": normal(y, x, 1.0),
    }


def draw_joint(name: str) -> Sample:
    """Exact draws: mu ~ N(0, 1), log sd ~ N(0, 0.3), x[g, i] ~ N(mu, sd), y ~ N(x, 1); the seed comes from the name."""
    rng = np.random.default_rng(seed(name))
    mu, log_sd = rng.normal(size=REPLICAS), LOG_SD * rng.normal(size=REPLICAS)
    noise = rng.normal(size=(2, REPLICAS, GROUPS, WIDTH))
    x = mu[:, None, None] + np.exp(log_sd)[:, None, None] * noise[0]
    return {"mu": mu, "log_sd": log_sd, "x": x}, x + noise[1]


def draw_tempered(name: str, beta: float) -> Sample:
    """Draws in which x has its law given mu, log sd and y, the terms that touch x to the power beta."""
    position, y = draw_joint(name)
    noise = np.random.default_rng(seed(f"{name} tempered")).normal(size=y.shape)
    return {**position, "x": redraw(noise, position, y, beta)}, y


def redraw(noise: Any, position: dict[str, Any], y: Any, beta: float) -> Any:
    """x given the rest, from standard normals: precision beta (1 / sd^2 + 1), mean weighted by 1 / sd^2 and 1."""
    mu, weight = position["mu"][..., None, None], np.e ** (-2.0 * position["log_sd"][..., None, None])
    return (weight * mu + y) / (weight + 1.0) + noise / (beta * (weight + 1.0)) ** 0.5


@cache
def hierarchy() -> tuple[Target, Structure]:
    """The target of all these checks, with the levels global (mu and log_sd in one block) and group (5 blocks of 2)."""
    sites = {
        "mu": Site("mu", ()),
        "log_sd": Site("log_sd", ()),
        "x": Site("x", (GROUPS, WIDTH), ("group",)),
    }
    kinds = {"mu": "prior", "log_sd": "prior", "x": "prior", "y": "likelihood"}
    position, y = one_draw()
    target = Target(sites, kinds, _log_terms, lambda position, y: position, lambda key, y: position)
    return target, discover(target, y, position, key=jax.random.key(6))


def one_draw() -> Sample:
    """One exact draw as JAX arrays."""
    return jax.tree.map(lambda values: jnp.asarray(values[0]), draw_joint("one"))


@cache
def view(level: str) -> LevelView:
    """A level of the hierarchy."""
    target, structure = hierarchy()
    return LevelView(target, structure, structure.level(level))


def scalars(sample: Sample) -> dict[str, np.ndarray]:
    """What is compared, [R] each: means, squares, and products that tie parameters to each other and to the data."""
    position, y = sample
    mu, log_sd, x = (np.asarray(position[name]) for name in ("mu", "log_sd", "x"))
    spread = np.mean((x - mu[:, None, None]) ** 2, axis=(1, 2)) * np.exp(-2.0 * log_sd)
    return {
        "mu": mu,
        "mu^2": mu**2,
        "log_sd": log_sd,
        "log_sd^2": log_sd**2,
        "x": x.mean(axis=(1, 2)),
        "x^2": (x**2).mean(axis=(1, 2)),
        "x[0,0]": x[:, 0, 0],
        "x[0,0] x[0,1]": x[:, 0, 0] * x[:, 0, 1],
        "spread": spread,
        "spread log_sd": spread * log_sd,
        "residual mu": (y - x).mean(axis=(1, 2)) * mu,
        "residual^2": ((y - x) ** 2).mean(axis=(1, 2)),
    }


def check_kernel(
    name: str, kernel: Any, parameters: Any, sample: Sample | None = None, still: Sample | None = None
) -> Report:
    """Three steps of the kernel on exact draws, each replica with data of its own; the seeds come from the name.

    sample, still: two independent sets of draws of the law that should stay; those of the joint law if left out.
    """
    moved = draw_joint(name) if sample is None else sample
    unmoved = draw_joint(f"{name} still") if still is None else still
    after = three_steps(name, mover(kernel, hierarchy), parameters, moved)
    return compare(scalars(moved), scalars(after), scalars(unmoved))


def three_steps(name: str, move: Any, parameters: Any, sample: Sample) -> Sample:
    """Exact draws after three steps of what `mover` gave."""
    return move(jax.random.split(jax.random.key(seed(name)), REPLICAS), *sample, parameters), sample[1]


@cache
def mover(kernel: Any, problem: Callable[..., tuple[Target, Structure]], *arguments: Any) -> Any:
    """(keys, positions, y, parameters) -> positions after three steps on the target of problem(*arguments); compiled
    once a kernel, whatever its parameters."""
    target, structure = problem(*arguments)
    one = OneReplica(kernel)

    def move(key: jax.Array, position: Any, y: jax.Array, parameters: Any) -> Any:
        start = evaluate(target, structure, position, y)
        steps = jax.lax.scan(lambda s, k: (one.step(k, s, y, parameters)[0], None), start, jax.random.split(key, 3))
        return steps[0].position

    return jax.jit(jax.vmap(move, in_axes=(0, 0, 0, None)))


def check_swap(name: str, kernel: Any, parameters: Any, beta: float) -> Report:
    """One swap of x between a cold replica and one at `beta`, with globals of their own and the same data.

    The states of the kernel are pairs (cold, hot); the hot x has its tempered law given the hot globals.
    """
    target, structure = hierarchy()
    one = OneReplica(kernel)

    def draw(name: str) -> Any:
        (cold, y), (other, _) = draw_joint(name), draw_joint(f"{name} hot")
        noise = np.random.default_rng(seed(f"{name} x")).normal(size=y.shape)
        return cold, {**other, "x": redraw(noise, other, y, beta)}, y

    def move(key: jax.Array, cold: Any, hot: Any, y: jax.Array) -> Any:
        pair = evaluate(target, structure, cold, y), evaluate(target, structure, hot, y)
        swapped: tuple[State, State] = one.step(key, pair, y, parameters)[0]
        return swapped[0].position, swapped[1].position, y

    def measure(sample: Any) -> dict[str, np.ndarray]:
        cold, hot, y = sample
        both = {"cold x hot x": np.mean(np.asarray(cold["x"]) * np.asarray(hot["x"]), axis=(1, 2))}
        return both | {f"{k} {n}": v for n, p in (("cold", cold), ("hot", hot)) for k, v in scalars((p, y)).items()}

    sample = draw(name)
    after = jax.jit(jax.vmap(move))(jax.random.split(jax.random.key(seed(name)), REPLICAS), *sample)
    return compare(measure(sample), measure(after), measure(draw(f"{name} still")))


def compare(before: dict[str, np.ndarray], after: dict[str, np.ndarray], still: dict[str, np.ndarray]) -> Report:
    """p-values of all statistics; a moved scalar that is not finite fails."""
    if not all(np.isfinite(values).all() for values in after.values()):
        return Report(0.0, "not finite", False)
    p_values = {f"z of {name}": _paired(after[name] - before[name]) for name in before}
    for name in before:
        p_values[f"KS of {name}"] = float(stats.ks_2samp(after[name], still[name], method="asymp").pvalue)
    worst = min(p_values, key=lambda name: p_values[name])
    corrected = min(1.0, len(p_values) * p_values[worst])
    return Report(corrected, worst, corrected > FALSE_ALARM)


def _paired(change: np.ndarray) -> float:
    """p-value of a mean change of 0; 1 where nothing moved, 0 where everything moved by the same amount."""
    if not change.any():
        return 1.0
    error = change.std() / np.sqrt(change.size)
    return float(2.0 * stats.norm.sf(abs(change.mean()) / max(error, 1e-300)))


def seed(name: str) -> int:
    """A fixed seed for each name."""
    return zlib.crc32(name.encode())
