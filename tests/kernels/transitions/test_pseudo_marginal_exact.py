"""Every pseudo-marginal kernel leaves the law of theta, u and the data invariant; false alarms below 1e-6 a check.

The checks are those of tests.support.harness, on a model whose posterior in theta is known for every number of samples.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.dynamics import splitting
from kernels.dynamics.integrators import ROTATION_OUTSIDE, STRANG, Flow, Phase, Scheme, ValueAndGradient
from kernels.dynamics.metric import Leading
from kernels.dynamics.splitting import Auxiliary, Harmonic, harmonic_flows
from kernels.state import LevelView
from kernels.transitions import hmc, metropolis
from kernels.transitions.hmc import Hmc
from kernels.transitions.metropolis import Metropolis
from kernels.transitions.nuts import sampler as nuts
from kernels.transitions.nuts.sampler import Nuts
from kernels.transitions.pseudo_marginal.metropolis import PseudoMarginalMetropolis, PseudoMarginalMetropolisParameters
from kernels.transitions.pseudo_marginal.target import AUXILIARY
from kernels.transitions.pseudo_marginal.trajectories import pseudo_marginal_hmc, pseudo_marginal_nuts
from tests.support.models.pseudo_marginal_models import (
    INDIVIDUALS,
    LIKELIHOOD,
    SAMPLES,
    check_kernel,
    draw_tempered,
    view,
)

THETA = jnp.asarray([[[0.5], [0.0]], [[0.1], [0.3]]])
"""A dense factor of (mu, log sd), [2, 2, 1]."""


def trajectory_parameters(h: float, steps: int, beta: float = 1.0) -> hmc.HmcParameters:
    return hmc.HmcParameters(jnp.asarray(beta), jnp.asarray(h), Leading(THETA), jnp.asarray(steps))


def proposals(correlation: float, beta: float = 1.0) -> PseudoMarginalMetropolisParameters:
    return PseudoMarginalMetropolisParameters(jnp.asarray(beta), jnp.asarray(0.3), THETA, jnp.asarray(correlation))


@cache
def refresh(own: LevelView) -> PseudoMarginalMetropolis:
    return PseudoMarginalMetropolis(own, Auxiliary(own, AUXILIARY))


@pytest.mark.parametrize("scheme", [ROTATION_OUTSIDE, STRANG], ids=lambda scheme: scheme.name)
def test_hmc(scheme: Scheme) -> None:
    report = check_kernel(
        f"hmc {scheme.name}", pseudo_marginal_hmc(view("whole"), scheme), trajectory_parameters(0.7, 3)
    )
    assert report.passed, report


def test_hmc_on_the_individuals() -> None:
    """theta stays, each individual's u is accepted on its own H; a step size each."""
    factor = jnp.ones((SAMPLES, INDIVIDUALS))
    parameters = hmc.HmcParameters(jnp.asarray(1.0), jnp.asarray([0.3, 0.7, 1.1, 1.5]), factor, jnp.asarray(2))
    report = check_kernel("hmc individuals", pseudo_marginal_hmc(view("individual")), parameters)
    assert report.passed, report


@pytest.mark.parametrize("joint", [False, True], ids=["theta", "joint"])
def test_nuts(joint: bool) -> None:
    kernel = pseudo_marginal_nuts(view("whole"), 3, joint=joint)
    parameters = nuts.NutsParameters(jnp.asarray(1.0), jnp.asarray(0.7), Leading(THETA), jnp.asarray(3))
    report = check_kernel(f"nuts {joint}", kernel, parameters)
    assert report.passed, report


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("level", ["individual", "whole"])
def test_refreshes_and_pseudo_marginal_metropolis(level: str, correlation: float) -> None:
    report = check_kernel(f"{level} {correlation}", refresh(view(level)), proposals(correlation))
    assert report.passed, report


@pytest.mark.parametrize("level", ["global", "individual"])
def test_kernels_of_any_target(level: str) -> None:
    """To Metropolis it is a model like others: theta given u, or u given theta."""
    own = view(level).level
    shape = own.width, own.n_blocks
    parameters = metropolis.MetropolisParameters(
        jnp.asarray(1.0), jnp.full(shape[1], -0.7), jnp.zeros(shape), jnp.ones(shape), jnp.full(shape[1], 0.3)
    )
    report = check_kernel(f"metropolis {level}", Metropolis(view(level)), parameters)
    assert report.passed, report


BOTH = pytest.mark.parametrize("tempered", [None, LIKELIHOOD], ids=["all", "likelihood"])


@BOTH
def test_tempered_refresh(tempered: frozenset[str] | None) -> None:
    """At beta = 0.5 on everything, u's term included, and on the likelihood alone."""
    name, weight = f"refresh {tempered}", 0.5 if tempered is None else 1.0
    samples = draw_tempered(name, 0.5, weight), draw_tempered(f"{name} still", 0.5, weight)
    kernel = refresh(view("individual", 1, tempered))
    report = check_kernel(name, kernel, proposals(0.6, beta=0.5), *samples, of=1)
    assert report.passed, report
    assert not check_kernel(f"{name} cold", kernel, proposals(0.6), *samples, of=1).passed


@BOTH
def test_tempered_hmc_on_the_individuals(tempered: frozenset[str] | None) -> None:
    name, weight = f"hot hmc {tempered}", 0.5 if tempered is None else 1.0
    samples = draw_tempered(name, 0.5, weight), draw_tempered(f"{name} still", 0.5, weight)
    kernel, ones = pseudo_marginal_hmc(view("individual", 1, tempered)), jnp.ones((1, INDIVIDUALS))
    parameters = hmc.HmcParameters(jnp.asarray(0.5), jnp.asarray(0.9), ones, jnp.asarray(2))
    report = check_kernel(name, kernel, parameters, *samples, of=1)
    assert report.passed, report


def wrong_flows(evaluate: ValueAndGradient, harmonic: Harmonic) -> dict[str, Flow]:
    """Wrong: the momentum of u turns with the u that has already turned."""
    right = harmonic_flows(evaluate, harmonic)

    def glide(time: jax.Array, phase: Phase) -> Phase:
        moved = right["glide"](time, phase)
        u = harmonic.origin + moved.offset
        turned = jnp.cos(time) * phase.momentum - jnp.sin(time) * u
        return moved._replace(momentum=jnp.where(harmonic.rotating, turned, phase.momentum))

    return right | {"glide": glide}


def test_a_rotation_by_the_updated_u_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "harmonic_flows", wrong_flows)
    wrong = pseudo_marginal_hmc(view("whole"))
    assert not check_kernel("wrong rotation", wrong, trajectory_parameters(0.7, 3)).passed


class KeepsThePrior(PseudoMarginalMetropolis):
    """Wrong: counts the term of u as well, which the proposal has cancelled."""

    def __init__(self, own: LevelView) -> None:
        auxiliary = Auxiliary(own, AUXILIARY)
        auxiliary.weight = lambda beta: 0.0  # type: ignore[method-assign, assignment]
        super().__init__(own, auxiliary)

    def _propose(self, old: jax.Array, noise: jax.Array, parameters: Any) -> jax.Array:
        return parameters.correlation * old + jnp.sqrt(1.0 - parameters.correlation**2) * noise


def test_a_refresh_that_counts_the_prior_twice_fails() -> None:
    assert not check_kernel("twice", KeepsThePrior(view("individual")), proposals(0.0)).passed


def test_u_drawn_anew_without_a_test_fails() -> None:
    """Wrong: u from its prior at every step, as if the estimate were the likelihood."""

    class Redraws:
        exact = False

        def step(self, keys: jax.Array, states: Any, y: Any, parameters: Any) -> Any:
            u = jax.vmap(lambda key: jax.random.normal(key, states.position["u"].shape[1:]))(keys)
            return states._replace(position={**states.position, "u": u}), None

    assert not check_kernel("redrawn", Redraws(), None).passed


def test_exact_kernels_say_so() -> None:
    assert all(kernel.exact for kernel in (Hmc, Nuts, PseudoMarginalMetropolis))
    assert np.isclose(float(refresh(view("individual", 1, LIKELIHOOD)).auxiliary.weight(0.3)), 1.0)
