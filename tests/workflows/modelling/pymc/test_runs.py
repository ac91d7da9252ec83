"""Runs of PyMC models: exact posteriors, what a Run has for ArviZ, going on, and travelling to workers."""

from pathlib import Path
from typing import Any

import arviz as az
import jax
import numpy as np
import pytest

pm = pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")

import cloudpickle  # which PyMC brings

import maxwell
from ensemble.errors import StoreError
from tests.support.models.pymc_zoo import ZOO
from tests.support.runs import SETTINGS, draws, same
from workflows.modelling.errors import ModelError

SHORT: dict[str, Any] = {name: section for name, section in SETTINGS.items() if name not in ("model", "tempering")}
HERE: dict[str, Any] = {"local": True, "progress": False}
SMALL = {"ensemble": {"replicas": 64, "superchains": 8}, "seed": 3, **HERE}
Z = 5.5
"""Standard errors that a posterior mean may be off: some 1e-6 for a test with ten of them. The errors are those of the
online ESS, which counts every sweep of all chains."""
CLINICS, PATIENTS = 6, 10


def normal_clinics(y: np.ndarray) -> Any:
    with pm.Model(coords={"clinic": [f"c{i}" for i in range(CLINICS)], "patient": range(PATIENTS)}) as model:
        mu = pm.Normal("mu", 0, 2)
        effect = pm.Normal("effect", mu, 1, dims="clinic")
        pm.Deterministic("double", 2 * effect, dims="clinic")
        weights = pm.Data("weights", np.ones(CLINICS), dims="clinic")
        pm.Normal("y", effect[None] * weights, 1, observed=y, dims=("patient", "clinic"))
    return model


Y = np.random.default_rng(9).normal(1.0, 1.2, (PATIENTS, CLINICS))


def exact(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of (mu, effects): a linear normal model."""
    precision = np.zeros((CLINICS + 1, CLINICS + 1))
    precision[0, 0] = 1 / 4 + CLINICS
    precision[0, 1:] = precision[1:, 0] = -1.0
    precision[np.arange(1, CLINICS + 1), np.arange(1, CLINICS + 1)] = 1.0 + PATIENTS
    covariance = np.linalg.inv(precision)
    return covariance @ np.concatenate([[0.0], y.sum(axis=0)]), np.sqrt(np.diag(covariance))


@pytest.fixture(scope="module")
def run() -> Any:
    return maxwell.sample(normal_clinics(Y), goals={"ess": 2000}, **SMALL)


def test_the_posterior_is_exact(run: Any) -> None:
    posterior, online = run.data.posterior, run.diagnostics()
    mean, sd = exact(Y)
    found = np.concatenate([[posterior["mu"].mean()], posterior["effect"].mean(("chain", "draw"))])
    # The draws that are kept are fewer than the sweeps: their own number bounds the error from above.
    ess = np.concatenate([[az.ess(posterior)["mu"]], az.ess(posterior)["effect"]])
    assert np.max(np.abs(found - mean) / (sd / np.sqrt(ess))) < Z
    spread = np.concatenate([[posterior["mu"].std()], posterior["effect"].std(("chain", "draw"))])
    assert np.max(np.abs(spread / sd - 1) * np.sqrt(2 * ess)) < Z
    assert float(online["mu_ess"]) > 2000


def test_the_data_are_as_pymcs_users_know_them(run: Any) -> None:
    data = run.data
    assert set(data.posterior.data_vars) == {"mu", "effect", "double"}
    assert data.posterior["effect"].dims == ("chain", "draw", "clinic")
    assert list(data.posterior.coords["clinic"].values) == [f"c{i}" for i in range(CLINICS)]
    np.testing.assert_array_equal(data.observed_data["y"], Y)
    np.testing.assert_array_equal(data.constant_data["weights"], np.ones(CLINICS))
    np.testing.assert_allclose(data.posterior["double"], 2 * data.posterior["effect"], rtol=1e-6)


def test_the_groups_that_come_after_are_there(run: Any) -> None:
    data = run.export(draws=3, prior=10, integrate=False)
    assert data.log_likelihood["y"].dims == ("chain", "draw", "patient", "clinic")
    assert data.posterior_predictive["y"].shape[1:] == (3, PATIENTS, CLINICS)
    assert data.prior["effect"].dims == ("chain", "draw", "clinic")
    assert data.prior_predictive["y"].shape == (1, 10, PATIENTS, CLINICS)
    residual = np.asarray(Y - data.posterior["effect"].values[:, :, None, :])
    expected = -0.5 * residual**2 - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(data.log_likelihood["y"], expected, rtol=1e-5)


def test_a_stored_run_goes_on_with_the_same_model_only(tmp_path: Path) -> None:
    out = tmp_path / "run.zarr"
    maxwell.sample(normal_clinics(Y), out=out, **{**SHORT, "limits": {"sweeps": 19}}, **HERE)
    with pytest.raises(ModelError, match="given as an object"):
        maxwell.resume(out, **HERE)
    with pytest.raises(ModelError, match=r"not the one that was recorded: data\.\['y'\]"):
        maxwell.resume(out, model=normal_clinics(Y + 1), **HERE)
    on = maxwell.resume(out, model=normal_clinics(Y), limits={"sweeps": 23}, **HERE)
    at_once = maxwell.sample(normal_clinics(Y), **{**SHORT, "limits": {"sweeps": 23}}, **HERE)
    assert same(draws(on), draws(at_once))
    with pytest.raises(StoreError, match="exists already"):
        maxwell.sample(normal_clinics(Y), out=out, **HERE)


@pytest.mark.parametrize("name", ["varying_slopes", "autoregressive", "censored"])
def test_a_model_travels_to_workers(name: str) -> None:
    target, data = (read := maxwell.pymc_model(ZOO[name]())).target, read.data
    there = cloudpickle.loads(cloudpickle.dumps(target))
    start = target.initial(jax.random.key(0), data)
    again = there.initial(jax.random.key(0), data)
    for site, value in start.items():
        np.testing.assert_array_equal(value, again[site])
    for term, value in target.log_terms(start, data).items():
        np.testing.assert_array_equal(value, there.log_terms(start, data)[term])
