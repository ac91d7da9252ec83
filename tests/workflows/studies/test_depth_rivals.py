"""The depth benchmark: the rivals' gradient counts."""

from contextlib import nullcontext
from typing import Any

import blackjax
import blackjax.eca
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from blackjax.adaptation import laps as laps_module
from blackjax.adaptation import laps_burn_in

from tests.support.depth_moments import unit_moments
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import function_model
from workflows.studies.depth import (
    rivals,
)
from workflows.studies.depth.bias import b2, last_crossing
from workflows.studies.depth.targets import DepthTarget, depth_target

CHAINS = 32


@pytest.fixture(scope="module")
def icg() -> DepthTarget:
    return depth_target("icg")


@pytest.fixture(scope="module")
def normals() -> DepthTarget:
    """Four standard normals, from starts three times too wide."""

    def start(key: jax.Array, data: Any) -> dict[str, jax.Array]:
        return {"x": 3.0 * jax.random.normal(key, (4,), jnp.float64)}

    model = function_model(lambda position, data: -0.5 * position["x"] ** 2, {"x": (4,)}, name="normals", initial=start)
    return DepthTarget(model, unit_moments(4))


def test_laps_counts_both_phases_from_the_given_starts(icg: DepthTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    starts, seen, initialise = icg.starts(jax.random.key(13), CHAINS), [], laps_burn_in.initialize

    def watched(*arguments: Any) -> Any:
        seen.append(initialise(*arguments))
        return seen[0]

    monkeypatch.setattr(laps_burn_in, "initialize", watched)
    trace = rivals.laps(icg, CHAINS, jax.random.key(6), 72, starts=starts, unadjusted=12)
    steps = np.diff(trace.gradients)
    assert np.array_equal(seen[0].position, starts["x"])
    assert trace.gradients[0] == 2
    assert set(steps) == {1, 30}
    assert (steps == 30).sum() == 2
    assert trace.gradients[-1] <= 73
    assert np.isfinite(trace.b2_max).all()


def test_laps_refuses_a_budget_without_a_proposal(icg: DepthTarget) -> None:
    with pytest.raises(ModelError, match="one proposal takes 30"):
        rivals.laps(icg, CHAINS, jax.random.key(6), 529)


@pytest.mark.slow
def test_laps_without_its_dear_diagnostic_draws_the_same(normals: DepthTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    original = (blackjax.eca.shard_map, laps_burn_in.equipartition_fullrank)
    lean = rivals.laps(normals, CHAINS, jax.random.key(7), 45, unadjusted=10)
    assert (blackjax.eca.shard_map, laps_burn_in.equipartition_fullrank) == original
    monkeypatch.setattr(blackjax.eca, "shard_map", lambda *args, **keys: jax.jit(original[0](*args, **keys)))
    monkeypatch.setattr(rivals, "_lean_laps", nullcontext)
    full = rivals.laps(normals, CHAINS, jax.random.key(7), 45, unadjusted=10)
    assert np.array_equal(lean.gradients, full.gradients)
    assert lean.b2_max == pytest.approx(full.b2_max, rel=1e-12)


def test_the_repaired_search_keeps_the_step_that_was_right() -> None:
    """Acceptance exp(-step) is 0.7 within 0.03 at the first trial, 0.35; BlackJAX's search then takes twice that."""
    state = (jnp.array([-jnp.inf, jnp.inf]), False)
    _, left = laps_module.bisection_monotonic_fn(0.7)(state, 0.35, jnp.exp(-0.35))
    with rivals._settled_bisection():
        (_, ended), kept = laps_module.bisection_monotonic_fn(0.7)(state, 0.35, jnp.exp(-0.35))
        (_, going_on), tried = laps_module.bisection_monotonic_fn(0.7)(state, 0.1, jnp.exp(-0.1))
    assert left == pytest.approx(0.7)
    assert (bool(ended), float(kept)) == (True, 0.35)
    assert (bool(going_on), float(tried)) == (False, pytest.approx(0.2))


def test_starts_that_do_not_fit_are_refused(normals: DepthTarget) -> None:
    with pytest.raises(ModelError, match=r"shape \(8, 4\) when flat: give 16 positions of 4"):
        rivals.meads(normals, 16, jax.random.key(0), 3, starts=normals.starts(jax.random.key(0), 8))


def test_meads_counts_a_gradient_a_step(icg: DepthTarget) -> None:
    trace = rivals.meads(icg, CHAINS, jax.random.key(8), 20)
    assert list(trace.gradients) == list(range(2, 21))
    assert np.isfinite(trace.b2_max).all()
    with pytest.raises(ModelError, match="30 chains cannot be divided by 4"):
        rivals.meads(icg, 30, jax.random.key(8), 20)


@pytest.mark.slow
def test_chees_stops_at_its_budget_and_is_blackjaxs_own(icg: DepthTarget) -> None:
    key, budget = jax.random.key(9), 24
    starts = icg.starts(jax.random.key(12), CHAINS)
    trace = rivals.chees(icg, CHAINS, key, budget, starts=starts)
    adaptation = blackjax.chees_adaptation(
        icg.log_density(),
        CHAINS,
        adaptation_info_fn=lambda state, info, adapted: (
            jnp.square(state.position).mean(axis=0),
            info.num_integration_steps[0],
        ),
    )
    optimiser = optax.adam(0.5, b1=0.0, b2=0.95)
    _, info = adaptation.run(key, icg.flatten(starts), 0.1, optimiser, budget)
    squares, leapfrogs = info._wrapped_info
    steps = len(trace.gradients)
    assert list(trace.gradients) == list(1 + np.cumsum(leapfrogs[:steps]))
    assert trace.gradients[-2] < budget <= trace.gradients[-1]
    assert trace.b2_max == pytest.approx(b2(np.asarray(squares[:steps]), icg.reference).max(axis=1), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rival", ["laps", "meads", "chees"])
def test_rivals_find_an_easy_density(normals: DepthTarget, rival: str) -> None:
    """512 exact draws: 512 sum b2 is chi-square of 4, above 61 (b2_avg 0.03) with probability 2e-12; starts have 32."""
    budget = {"unadjusted": 60} if rival == "laps" else {}
    trace = getattr(rivals, rival)(normals, 512, jax.random.key(10), 240, **budget)
    assert trace.b2_avg[0] > 1.0
    assert trace.b2_avg[-1] < 0.03
    assert last_crossing(trace, 0.05).avg is not None


def test_nuts_counts_warm_up_and_run_apart(normals: DepthTarget) -> None:
    """After about 400 draws of 2 chains b2_avg is near 0.003; the bound is 20 times that."""
    found = rivals.nuts(normals, 2, jax.random.key(11), 2_000, warmup=100, stride=20)
    assert found.warmup > 2 * 100
    assert found.trace.gradients[0] >= 40
    assert found.trace.gradients[-1] >= 2_000 > found.trace.gradients[-2]
    assert found.trace.b2_avg[-1] < 0.06
