"""Moves of variances, precisions and of single places of vectors leave the joint law of parameters and data invariant.

As in test_kernels_exact, with false alarms below 1e-6 a check, on vectors of means and scales of varying coefficients.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.structure.discovery import discover
from kernels.structure.levels import Interweaving, Structure
from kernels.target import Site, Target
from kernels.transitions.interweaving import Interweave, InterweavingParameters
from tests.support.harness import REPLICAS, Report, Sample, compare, mover, normal, seed, three_steps

GROUPS, WIDTH = 5, 2
SCALE = 0.3
"""Prior sd of the log of the standard deviations."""


def moves(power: float) -> tuple[Interweaving, ...]:
    """Of the second coordinate of each vector, and of a scalar parent with all of another site."""
    return (
        Interweaving("scale", "s", "x", "m", power, place=1),
        Interweaving("location", "m", "x", None, place=1),
        Interweaving("scale", "w", "z", None, power),
    )


@cache
def problem(power: float) -> tuple[Target, Structure]:
    """m, s [2]; x[g] ~ N(m, e^(power s)), w; z[g] ~ N(0, e^(power w)); y ~ N(x + z, 1)."""

    def log_terms(p: dict[str, jax.Array], y: jax.Array) -> dict[str, jax.Array]:
        return {
            "m": normal(p["m"], 0.0, 1.0),
            "s": normal(p["s"], 0.0, SCALE / abs(power)),
            "w": normal(p["w"], 0.0, SCALE / abs(power)),
            "x": normal(p["x"], p["m"], jnp.exp(power * p["s"])).sum(-1),
            "z": normal(p["z"], 0.0, jnp.exp(power * p["w"])),
            "y": normal(y, p["x"] + p["z"][:, None], 1.0).sum(-1),
        }

    sites = {
        "m": Site("m", (WIDTH,)),
        "s": Site("s", (WIDTH,)),
        "w": Site("w", ()),
        "x": Site("x", (GROUPS, WIDTH), ("group",)),
        "z": Site("z", (GROUPS,), ("group",)),
    }

    def initial(key: jax.Array, data: Any) -> dict[str, jax.Array]:
        return {name: jnp.zeros(site.shape) for name, site in sites.items()}

    kinds = {**{name: "prior" for name in sites}, "y": "likelihood"}
    target = Target(sites, kinds, log_terms, lambda position, data: position, initial)
    y = jnp.zeros((GROUPS, WIDTH))
    return target, discover(target, y, initial(jax.random.key(0), y), key=jax.random.key(1))


def draw(name: str, power: float) -> Sample:
    rng = np.random.default_rng(seed(name))
    m, (s, w) = rng.normal(size=(REPLICAS, WIDTH)), SCALE / abs(power) * rng.normal(size=(2, REPLICAS, WIDTH))
    x = m[:, None] + np.exp(power * s)[:, None] * rng.normal(size=(REPLICAS, GROUPS, WIDTH))
    z = np.exp(power * w[:, :1]) * rng.normal(size=(REPLICAS, GROUPS))
    y = x + z[..., None] + rng.normal(size=x.shape)
    return {"m": m, "s": s, "w": w[:, 0], "x": x, "z": z}, y


def scalars(sample: Sample, power: float) -> dict[str, np.ndarray]:
    position, y = sample
    m, s, w, x, z = (np.asarray(position[name]) for name in ("m", "s", "w", "x", "z"))
    spread = np.mean((x - m[:, None]) ** 2, axis=1) * np.exp(-2.0 * power * s)
    found = {"w": w, "w^2": w**2, "z": z.mean(axis=1), "z^2": (z**2).mean(axis=1)}
    found["z spread w"] = (z**2).mean(axis=1) * np.exp(-2.0 * power * w) * w
    for i in range(WIDTH):
        found |= {f"m{i}": m[:, i], f"m{i}^2": m[:, i] ** 2, f"s{i}": s[:, i], f"s{i}^2": s[:, i] ** 2}
        found |= {f"x{i}": x[:, :, i].mean(axis=1), f"x{i}^2": (x[:, :, i] ** 2).mean(axis=1)}
        found |= {f"spread{i}": spread[:, i], f"spread s{i}": spread[:, i] * s[:, i]}
        found[f"residual m{i}"] = (y - x - z[..., None])[:, :, i].mean(axis=1) * m[:, i]
    return found


@cache
def kernel(power: float) -> Interweave:
    return Interweave(*problem(power), moves(power))


def report(name: str, move: int, power: float, of: Interweave | None = None) -> tuple[Report, Sample, Sample]:
    before, still = draw(name, power), draw(f"{name} still", power)
    parameters = InterweavingParameters(jnp.asarray(move), jnp.asarray(-0.5 - np.log(abs(power))))
    after = three_steps(name, mover(of or kernel(power), problem, power), parameters, before)
    return compare(scalars(before, power), scalars(after, power), scalars(still, power)), before, after


@pytest.mark.parametrize("move", [0, 1, 2], ids=["scale of a place", "location of a place", "scale of all"])
@pytest.mark.parametrize("power", [0.5, -0.5, -1.0])
def test_moves_by_place_and_by_power(power: float, move: int) -> None:
    found, before, after = report(f"interweaving {power} {move}", move, power)
    assert found.passed, found
    # It moves what it says, and nothing else.
    moved = {name: np.asarray(after[0][name]) != np.asarray(before[0][name]) for name in before[0]}
    parent, child = [("s", "x"), ("m", "x"), ("w", "z")][move]
    assert moved[parent].mean() > 0.1
    assert moved[child].mean() > 0.1
    assert not any(changed.any() for name, changed in moved.items() if name not in (parent, child))
    if move < 2:
        assert not moved[parent][..., 0].any()
        assert not moved[child][..., 0].any()


def test_a_group_under_which_the_prior_changes_is_exact_all_the_same() -> None:
    """Twice the power that the prior has: the ratio holds the density and the Jacobian of whatever is moved."""
    of = Interweave(*problem(0.5), (Interweaving("scale", "s", "x", "m", 1.0, place=1),))
    found, before, after = report("another power", 0, 0.5, of)
    assert found.passed, found
    assert (np.asarray(after[0]["s"]) != before[0]["s"]).any()
