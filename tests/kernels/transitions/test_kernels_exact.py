"""Every exact kernel leaves the joint law of parameters and data invariant; false alarms below 1e-6 a check."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.state import LevelView, evaluate, log_density
from kernels.structure.joining import level_of_all_sites
from kernels.structure.levels import Interweaving
from kernels.transitions import block_swap, gradient_free_hmc, interweaving, metropolis
from kernels.transitions.block_swap import BlockSwap
from kernels.transitions.elliptical_slice import MOST_SHRINKS, EllipticalSlice, EllipticalSliceParameters
from kernels.transitions.gradient_free_hmc import GradientFreeHMC
from kernels.transitions.interweaving import Interweave
from kernels.transitions.metropolis import Metropolis
from tests.support.harness import check_kernel, check_swap, draw_tempered, hierarchy, one_draw, view
from tests.support.one_replica import OneReplica

SWAP = block_swap.BlockSwapParameters(jnp.asarray(1.0), jnp.asarray(0.4))
MOVES = (Interweaving("scale", "log_sd", "x", "mu"), Interweaving("location", "mu", "x", None))


@cache
def metropolis_kernel(level: str) -> Metropolis:
    return Metropolis(view(level))


def metropolis_parameters(level: str, mix: float, beta: float = 1.0) -> metropolis.MetropolisParameters:
    shape = (view(level).level.width, view(level).level.n_blocks)
    # A tilted, off-centre fit: the correction for it is then anything but 0.
    factor = jnp.zeros((shape[0], *shape)).at[0, 0].set(0.9).at[1, 1].set(0.7).at[1, 0].set(0.4)
    scales, center, mixes = jnp.full(shape[1], -0.3), jnp.full(shape, 0.4), jnp.full(shape[1], mix)
    return metropolis.MetropolisParameters(jnp.asarray(beta), scales, center, factor, mixes)


@pytest.mark.parametrize("mix", [0.0, 1.0, 0.4], ids=["walk", "fitted", "mixed"])
@pytest.mark.parametrize("level", ["global", "group"])
def test_metropolis(level: str, mix: float) -> None:
    report = check_kernel(f"metropolis {level} {mix}", metropolis_kernel(level), metropolis_parameters(level, mix))
    assert report.passed, report


@pytest.mark.parametrize("level", ["global", "group"])
def test_metropolis_of_parents(level: str) -> None:
    """Steps in units of a factor of their own beside those in units of the ensemble's."""
    parameters = metropolis_parameters(level, 0.5)
    parameters = parameters._replace(given=0.2 * parameters.factor + 0.1 * jnp.eye(len(parameters.factor))[:, :, None])
    report = check_kernel(f"metropolis of parents {level}", metropolis_kernel(level), parameters)
    assert report.passed, report


@pytest.mark.parametrize("mix", [0.0, 1.0, 0.4], ids=["walk", "fitted", "mixed"])
def test_tempered_metropolis(mix: float) -> None:
    samples = draw_tempered(f"half {mix}", 0.5), draw_tempered(f"half still {mix}", 0.5)
    parameters = metropolis_parameters("group", mix, beta=0.5)
    report = check_kernel(f"tempered {mix}", metropolis_kernel("group"), parameters, *samples)
    assert report.passed, report
    cold = metropolis_parameters("group", mix)
    assert not check_kernel(f"untempered {mix}", metropolis_kernel("group"), cold, *samples).passed


@cache
def slice_kernel(level: str, most: int = MOST_SHRINKS) -> EllipticalSlice:
    return EllipticalSlice(view(level), most)


def slice_parameters(level: str, beta: float = 1.0) -> EllipticalSliceParameters:
    """The tilted, off-centre fit of `metropolis_parameters`."""
    found = metropolis_parameters(level, 0.0, beta)
    return EllipticalSliceParameters(found.beta, found.mean, found.factor)


@pytest.mark.parametrize("most", [MOST_SHRINKS, 2], ids=["to the end", "cut short"])
@pytest.mark.parametrize("level", ["global", "group"])
def test_elliptical_slice(level: str, most: int) -> None:
    report = check_kernel(f"slice {level} {most}", slice_kernel(level, most), slice_parameters(level))
    assert report.passed, report


def test_tempered_elliptical_slice() -> None:
    samples = draw_tempered("half slice", 0.5), draw_tempered("half slice still", 0.5)
    report = check_kernel("tempered slice", slice_kernel("group"), slice_parameters("group", beta=0.5), *samples)
    assert report.passed, report
    assert not check_kernel("untempered slice", slice_kernel("group"), slice_parameters("group"), *samples).passed


@cache
def interweave() -> Interweave:
    return Interweave(*hierarchy(), MOVES)


@pytest.mark.parametrize("move", [0, 1], ids=["scale", "location"])
def test_interweaving(move: int) -> None:
    parameters = interweaving.InterweavingParameters(jnp.asarray(move), jnp.asarray(-0.7))
    report = check_kernel(f"interweaving {move}", interweave(), parameters)
    assert report.passed, report


def test_block_swap() -> None:
    report = check_swap("block swap", BlockSwap(view("group")), SWAP, 0.4)
    assert report.passed, report


@cache
def hmc_kernel(level: str) -> GradientFreeHMC:
    target, structure = hierarchy()
    own = LevelView(target, structure, level_of_all_sites(target, structure)) if level == "whole" else view(level)
    return GradientFreeHMC(own, n_steps=3, directions=1 if level == "group" else 2)


def hmc_parameters(level: str, h: float, beta: float = 1.0) -> gradient_free_hmc.GradientFreeHmcParameters:
    own = hmc_kernel(level).view.level
    # A coarse difference: the forces are then far from the gradient, which must not matter.
    return gradient_free_hmc.GradientFreeHmcParameters(
        jnp.asarray(beta), jnp.asarray(h), jnp.full((own.width, own.n_blocks), 0.8), jnp.asarray(0.3)
    )


@pytest.mark.parametrize(("level", "h"), [("group", 0.6), ("global", 0.2), ("whole", 0.15)])
def test_gradient_free_hmc(level: str, h: float) -> None:
    report = check_kernel(f"hmc {level}", hmc_kernel(level), hmc_parameters(level, h))
    assert report.passed, report


def test_tempered_gradient_free_hmc() -> None:
    samples = draw_tempered("half hmc", 0.5), draw_tempered("half hmc still", 0.5)
    report = check_kernel("tempered hmc", hmc_kernel("group"), hmc_parameters("group", 0.6, beta=0.5), *samples)
    assert report.passed, report


@pytest.mark.parametrize("name", ["metropolis", "slice", "hmc", "interweaving"])
def test_cached_cells_stay_true(name: str) -> None:
    """After 50 steps the carried cells are those of the position, to rounding."""
    target, structure = hierarchy()
    cases: dict[str, tuple[Any, Any]] = {
        "metropolis": (metropolis_kernel("group"), metropolis_parameters("group", 0.4)),
        "slice": (slice_kernel("group"), slice_parameters("group")),
        "hmc": (hmc_kernel("global"), hmc_parameters("global", 0.2)),
        "interweaving": (interweave(), interweaving.InterweavingParameters(jnp.asarray(0), jnp.asarray(-0.7))),
    }
    kernel, parameters = OneReplica(cases[name][0]), cases[name][1]
    position, y = one_draw()
    start, keys = evaluate(target, structure, position, y), jax.random.split(jax.random.key(8), 50)
    end, _ = jax.lax.scan(lambda s, k: (kernel.step(k, s, y, parameters)[0], None), start, keys)
    fresh = evaluate(target, structure, end.position, y)
    assert float(jnp.abs(log_density(end.cells) - log_density(start.cells))) > 1e-3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), end.cells, fresh.cells)
