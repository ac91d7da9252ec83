"""The harness passes a do-nothing kernel and an exact redraw, and fails every wrong kernel it is made to catch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from kernels.state import State
from kernels.structure.levels import Interweaving
from kernels.transitions import block_swap, interweaving, metropolis, momentum_diffusion
from kernels.transitions.block_swap import BlockSwap
from kernels.transitions.interweaving import Interweave
from kernels.transitions.metropolis import Metropolis
from kernels.transitions.momentum_diffusion import MomentumDiffusion
from kernels.transitions.per_replica import PerReplica
from tests.support.harness import FALSE_ALARM, Report, check_kernel, check_swap, hierarchy, redraw, view


class Uncorrected(Metropolis):
    """Wrong: the fitted proposal without log q(x) - log q(x')."""

    def _propose(self, *arguments: Any) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        new, use_fit, common, correction = super()._propose(*arguments)
        return new, use_fit, common, jnp.zeros_like(correction)


class WithoutJacobian(Interweave):
    """Wrong: a scale move without n eps."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        right = self._branches[0]
        self._branches = [lambda position, eps, data: (right(position, eps, data)[0], jnp.zeros(()))]


class SeparateSwap(BlockSwap):
    """Wrong: each side takes the other's block on its own ratio p(B) / p(A)."""

    def one(self, key: jax.Array, state: Any, data: Any, parameters: block_swap.BlockSwapParameters) -> Any:
        cold, hot = state
        cold_key, hot_key = jax.random.split(key)
        return (self.take(cold_key, cold, hot, data), self.take(hot_key, hot, cold, data)), None

    def take(self, key: jax.Array, own: State, other: State, data: Any) -> State:
        old, new = self.view.blocks(own.position), self.view.blocks(other.position)
        cells = self.view.cells_at(self.view.level.scatter(own.position, new), data)
        change = self.view.change(own.cells, cells)
        accepted = jax.random.uniform(key, change.shape) < jnp.exp(jnp.minimum(change, 0.0))
        return self.view.select(accepted, own, new, old, cells)


class Function(PerReplica):
    """A kernel made of a function (key, state, y, parameters) -> state."""

    exact = False

    def __init__(self, function: Callable[..., State]) -> None:
        super().__init__(1)
        self.function = function

    def one(self, key: jax.Array, state: State, data: jax.Array, parameters: Any) -> tuple[State, None]:
        return self.function(key, state, data, parameters), None


def shifted(key: jax.Array, state: State, y: jax.Array, shift: jax.Array) -> State:
    """mu moved by a constant."""
    return State({**state.position, "mu": state.position["mu"] + shift}, state.cells)


def redrawn(key: jax.Array, state: State, y: jax.Array, inflate: jax.Array) -> State:
    """x redrawn from its conditional law, its sd wrong by the factor `inflate`; the cells are left out of date."""
    noise = inflate * jax.random.normal(key, y.shape)
    return State({**state.position, "x": redraw(noise, state.position, y, 1.0)}, state.cells)


SHIFT, REDRAW = Function(shifted), Function(redrawn)


def test_passes_a_kernel_that_does_nothing() -> None:
    assert check_kernel("nothing", SHIFT, jnp.asarray(0.0)).passed


@pytest.mark.parametrize("name", ["exact 1", "exact 2", "exact 3"])
def test_passes_an_exact_redraw(name: str) -> None:
    report = check_kernel(name, REDRAW, jnp.asarray(1.0))
    assert report.passed, report


@pytest.mark.parametrize("name", ["planted 1", "planted 2", "planted 3"])
def test_catches_a_small_planted_bias(name: str) -> None:
    report = check_kernel(name, REDRAW, jnp.asarray(1.04))
    assert not report.passed, report


def test_catches_a_constant_shift() -> None:
    assert not check_kernel("shift", SHIFT, jnp.asarray(1e-3)).passed


def test_catches_a_value_that_is_not_finite() -> None:
    assert check_kernel("broken", SHIFT, jnp.asarray(jnp.inf)) == Report(0.0, "not finite", False)


def test_catches_metropolis_without_the_correction_of_its_proposal() -> None:
    half = jnp.full(5, 0.5)
    parameters = metropolis.MetropolisParameters(
        jnp.ones(()), jnp.zeros(5), jnp.full((2, 5), 0.4), jnp.ones((2, 5)), half
    )
    assert check_kernel("corrected", Metropolis(view("group")), parameters).passed
    assert check_kernel("uncorrected", Uncorrected(view("group")), parameters).p_value < FALSE_ALARM


def test_catches_interweaving_without_its_jacobian() -> None:
    kernel = WithoutJacobian(*hierarchy(), (Interweaving("scale", "log_sd", "x", "mu"),))
    parameters = interweaving.InterweavingParameters(jnp.asarray(0), jnp.asarray(-0.7))
    assert not check_kernel("no jacobian", kernel, parameters).passed


def test_catches_swaps_accepted_separately() -> None:
    parameters = block_swap.BlockSwapParameters(jnp.asarray(1.0), jnp.asarray(0.4))
    assert not check_swap("separate", SeparateSwap(view("group")), parameters, 0.4).passed


def test_catches_momentum_diffusion() -> None:
    values = (0.3, jnp.ones((2, 5)), 1e-2, 0.5, 0.1, 1.0, 10.0, 1.0, 1.0)
    kernel = MomentumDiffusion(view("group"), n_steps=4)
    assert not kernel.exact
    assert not check_kernel(
        "scout", kernel, momentum_diffusion.MomentumDiffusionParameters(*map(jnp.asarray, values))
    ).passed


def test_view_reads_only_its_own_terms() -> None:
    """The checks rest on levels being found as declared: x in 5 blocks of 2, mu and log_sd in one."""
    group, whole = view("group"), view("global")
    assert (group.level.width, group.level.n_blocks, set(group.level.terms)) == (2, 5, {"x", "y"})
    assert (whole.level.width, whole.level.n_blocks, set(whole.level.terms)) == (2, 1, {"mu", "log_sd", "x"})
