"""Runs with kernels that learn the gradient: right, without gradients in `sample`, bit for bit the same when resumed;
a density that no network learns is sampled by its gradient, and levels that a network cannot know are refused."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import maxwell
from tests.support.runs import Messages, draws, same
from workflows.sampling.level_kernels import KernelError
from workflows.settings.loading import SettingsError

HMC, NUTS = "surrogate_hmc", "surrogate_nuts"
SHORT: dict[str, Any] = {
    "local": True,
    "progress": False,
    "ensemble": {"replicas": 16, "superchains": 4},
    "round": {"sweeps": 2, "draws": 2},
    "start": {"kind": "uniform"},
    "equilibrate": {"refine_rounds": 40},
    "surrogate": {"hidden": [32, 32]},
    "store": {"commit_seconds": 0.0},
}
FALSE_ALARM = 1e-7
"""Of one comparison: 12 of them below 2e-6 in all, at most."""


def banana() -> None:
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("b", dist.Normal(0.5 * a**2, 1.0))


def rough() -> None:
    """A normal law with ripples that 16 units cannot follow: their slopes change sign every 1/50."""
    x = numpyro.sample("x", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    numpyro.factor("ripples", 2.0 * jnp.sum(jnp.sin(150.0 * x)))


def sampled(model: Any, kernel: str, **changes: Any) -> Any:
    return maxwell.sample(model, kernels={"levels": {"whole": kernel}}, **{**SHORT, **changes})


@pytest.mark.parametrize("kernel", [pytest.param(HMC, marks=pytest.mark.slow), NUTS])
def test_a_learned_banana_has_its_moments_and_takes_few_gradients(kernel: str) -> None:
    """E b = .5, Var b = .5 + 1, E a b = 0."""
    run = sampled(banana, kernel, goals={"ess": 2000, "draws": 200})
    summary = run.summary()
    found = summary["surrogates"]["whole"]
    assert found["used"]
    assert found["accepted_on_trial"] > 0.8
    # One sweep in eight follows the gradient; warm-up has some for its moments and for the examples too.
    before, after = (
        summary["stages"][stage]["gradients"] / summary["stages"][stage]["sweeps"]
        for stage in ("equilibrate", "sample")
    )
    assert 0 < after < before / 4
    posterior = run.data.posterior
    a, b = (posterior[name].to_numpy() for name in "ab")
    _agrees(a, 0.0)
    _agrees(a**2, 1.0)
    _agrees(b, 0.5)
    _agrees((b - 0.5) ** 2, 1.5)
    _agrees(a * b, 0.0)
    _agrees((b < 0.5 * a**2).astype(float), 0.5)


def _agrees(values: np.ndarray, truth: float) -> None:
    """values [chains, draws]: the error of their mean from the chains', which are independent but for the freeze."""
    means = values.mean(axis=1)
    t = (means.mean() - truth) / (means.std(ddof=1) / np.sqrt(len(means)))
    assert 2.0 * stats.t.sf(abs(t), len(means) - 1) > FALSE_ALARM


def test_what_no_network_learns_is_sampled_by_the_gradient() -> None:
    shown = Messages()
    run = sampled(rough, "surrogate_hmc", limits={"sweeps": 400}, goals={"ess": 1e6}, progress=shown)
    assert not run.summary()["surrogates"]["whole"]["used"]
    assert any("level whole: a network learned the gradient" in line and "is dropped" in line for line in shown.said)
    assert run.summary()["stages"]["sample"]["gradients"] > 0


@pytest.mark.parametrize("kernel", [HMC, pytest.param(NUTS, marks=pytest.mark.slow)])
def test_it_goes_on_bit_for_bit_before_while_and_after_it_learns(kernel: str, tmp_path: Path) -> None:
    """Stopped among the rounds that give examples, after the training, and in `sample`."""
    endless = {"goals": {"ess": 1e6, "draws": 10_000}}
    whole = sampled(banana, kernel, limits={"sweeps": 200}, out=tmp_path / "whole.zarr", **endless)
    stages = whole.summary()["stages"]
    assert stages["sample"]["sweeps"] > 20
    frozen = stages["scout"]["sweeps"] + stages["equilibrate"]["sweeps"]
    for number, stop in enumerate([frozen - 60, frozen - 10, frozen + 8]):
        out = tmp_path / f"{number}.zarr"
        part = sampled(banana, kernel, limits={"sweeps": stop}, out=out, **endless)
        assert bool(part.attributes["summary"]["surrogates"]["whole"]["used"]) is (number > 0)
        resumed = maxwell.resume(out, banana, local=True, progress=False, limits={"sweeps": 200})
        assert same(draws(resumed), draws(whole))


def _groups(y: Any) -> None:
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    with numpyro.plate("group", len(y)):
        numpyro.sample("y", dist.Normal(numpyro.sample("x", dist.Normal(mu, 1.0)), 1.0), obs=y)


def test_levels_that_a_network_cannot_know_are_refused() -> None:
    data = {"y": np.zeros(20)}
    with pytest.raises(KernelError, match=r"global was given surrogate_hmc.*kernels\.levels\.whole"):
        maxwell.sample(_groups, data, kernels={"levels": {"global": "surrogate_hmc"}}, **SHORT)
    with pytest.raises(KernelError, match="up to 512 coordinates, and there are 601"):
        maxwell.sample(_groups, {"y": np.zeros(600)}, kernels={"levels": {"whole": "surrogate_nuts"}}, **SHORT)


@pytest.mark.parametrize("hidden", [[], [0], [2000], "wide", 3])
def test_networks_of_no_units_or_too_many_are_refused(hidden: Any) -> None:
    with pytest.raises(SettingsError, match=r"surrogate\.hidden.*list of whole numbers from 1 to 1024"):
        sampled(banana, "surrogate_hmc", surrogate={"hidden": hidden})
