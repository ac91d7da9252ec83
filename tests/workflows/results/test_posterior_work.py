"""After the run: predictions, pointwise log likelihoods with and without integrals, prior draws, files for ArviZ."""

from pathlib import Path
from typing import Any

import arviz
import numpy as np
import pytest
import scipy.stats
import xarray

from ensemble.errors import MaxwellError
from ensemble.store.arviz_object import group_names
from maxwell import open_run, run
from tests.support.models import predictive_models as models
from tests.support.models.ensemble_models import small
from workflows.cli.main import main
from workflows.modelling.model import Model
from workflows.results.posterior.export import write
from workflows.results.posterior.groups import Posterior, PosteriorError

CHAINS, DRAWS = 2, 30


def draws(**values: np.ndarray) -> xarray.Dataset:
    """A posterior group of these values, [chain, draw, ...]."""
    return xarray.Dataset(
        {name: (("chain", "draw", *(f"{name}_{i}" for i in range(x.ndim - 2))), x) for name, x in values.items()}
    )


def of_people() -> dict[str, np.ndarray]:
    """Draws near the posterior of the people's model; any draws will do for the identities tested."""
    rng = np.random.default_rng(1)
    shape = (CHAINS, DRAWS)
    mu, s = rng.normal(1.0, 0.3, shape), np.exp(rng.normal(0.0, 0.3, shape))
    x = models.Y * 0.7 + 0.3 * mu[..., None] + rng.normal(0.0, 0.5, (*shape, models.PEOPLE))
    return {"mu": mu, "s": s, "x": x, "twice": 2 * x}


def test_the_conditional_log_likelihood_is_that_of_each_observation() -> None:
    values = of_people()
    found = Posterior(models.people(), draws(**values), 0).log_likelihood(integrate=False)
    expected = scipy.stats.norm(values["x"], models.SPREAD).logpdf(models.Y)
    np.testing.assert_allclose(found["y"], expected[..., models.KNOWN], rtol=1e-12)
    assert found["y"].dims == ("chain", "draw", "person")
    assert list(found.coords["person"].values[:4]) == ["p1", "p2", "p3", "p5"]


def test_latents_of_one_observation_are_integrated_out() -> None:
    """To 1e-9 of the closed form; who has no observation is left out."""
    values = of_people()
    found = Posterior(models.people(), draws(**values), 0).log_likelihood()
    sd = np.sqrt(values["s"] ** 2 + models.SPREAD**2)[..., None]
    expected = scipy.stats.norm(values["mu"][..., None], sd).logpdf(models.Y)
    np.testing.assert_allclose(found["y"], expected[..., models.KNOWN], rtol=0, atol=1e-9)
    assert found["y"].attrs == {"integrated": "person"}


def test_latents_of_several_observations_are_left_alone() -> None:
    rate = np.random.default_rng(0).gamma(2.0, 1.0, (CHAINS, DRAWS, 3))
    found = Posterior(models.areas(), draws(rate=rate), 0).log_likelihood()
    np.testing.assert_allclose(found["count"], scipy.stats.poisson(rate[..., models.ROWS]).logpmf(models.COUNTS))
    assert found["count"].attrs == {}
    np.testing.assert_allclose(found["pair"], np.full((CHAINS, DRAWS, 6), -np.log(2 * np.pi)))
    assert found["pair"].dims == ("chain", "draw", "worker")


def test_predictions_have_the_law_of_the_observations() -> None:
    """4,000 draws of one position: the mean within 6 standard errors, one false alarm in 1e7 for all forty; two
    draws differ."""
    one = {name: x[:1, :1] for name, x in of_people().items()}
    many = {name: np.repeat(x, 4000, axis=1) for name, x in one.items()}
    found = Posterior(models.people(), draws(**many), 0).predictive()["y"]
    assert found.dims == ("chain", "draw", "person")
    z = (found.values[0].mean(axis=0) - one["x"][0, 0]) / (models.SPREAD / np.sqrt(4000))
    assert np.abs(z).max() < 6
    assert len(np.unique(found.values[0, :, 0])) == 4000


def test_imputed_values_are_drawn_anew_for_every_draw() -> None:
    """4,000 draws of one position, whose mean and sd are known: within 6 standard errors, as above."""
    one = {name: x[:1, :1] for name, x in of_people().items()}
    many = {name: np.repeat(x, 4000, axis=1) for name, x in one.items()}
    posterior = Posterior(models.people(), draws(**many), 0)
    found = posterior.predictions()
    assert found is not None
    assert found["next"].dims == ("chain", "draw", "missing")
    assert list(found.coords["missing"].values[:2]) == ["p0", "p4"]
    z = (found["next"].values[0] - one["x"][0, 0, ~models.KNOWN]) / (3 * models.SPREAD)
    assert np.abs(z.mean(axis=0)).max() < 6 / np.sqrt(4000)
    assert np.abs(z.var(axis=0) - 1).max() < 6 * np.sqrt(2 / 4000)
    assert np.abs(np.corrcoef(z[:, 0], posterior.predictive()["y"].values[0, :, 0])[0, 1]) < 6 / np.sqrt(4000)


def test_a_model_that_misses_nothing_imputes_nothing() -> None:
    rate = np.random.default_rng(0).gamma(2.0, 1.0, (CHAINS, DRAWS, 3))
    assert Posterior(models.areas(), draws(rate=rate), 0).predictions() is None


def test_prior_draws_and_their_outcomes() -> None:
    """mu ~ N(0, 2) and y ~ N(0, sqrt(4 + 1 + .49)): variances within 5.5 standard errors."""
    groups = Posterior(models.people(), draws(**of_people()), 0).prior(4000)
    mu, y = groups["prior"]["mu"].values[0], groups["prior_predictive"]["y"].values[0]
    error = 5.5 * np.sqrt(2 / 4000)
    assert abs(mu.var() / 4.0 - 1) < error
    assert abs(y[:, 0].var() / 5.49 - 1) < 1.5 * error
    np.testing.assert_allclose(groups["prior"]["twice"], 2 * groups["prior"]["x"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = {
        "model": {"name": "tests.support.models.predictive_models:people"},
        "ensemble": {"replicas": 8, "superchains": 4},
        # 1,600 draws: with 480 the estimate of k itself strays across ArviZ's limit.
        "goals": {"ess": 100, "shared_ess": 100, "draws": 200},
        "limits": {"sweeps": 8000},
    }
    return run(settings, out=tmp_path_factory.mktemp("runs") / "people.zarr", local=True)


def test_a_run_is_exported_with_the_groups_of_arviz(finished: Any, tmp_path: Path) -> None:
    data = finished.export(draws=20, prior=50)
    assert {"posterior", "sample_stats", "log_likelihood", "posterior_predictive", "prior", "prior_predictive"} <= set(
        group_names(data)
    )
    assert data["posterior"].sizes["draw"] == data["log_likelihood"].sizes["draw"] == 20
    assert data["observed_data"]["y"].dims == data["log_likelihood"]["y"].dims[2:]
    assert set(data["log_likelihood"].coords["person"].values) < set(data["observed_data"].coords["person"].values)
    write(data, tmp_path / "people.nc")
    read = arviz.from_netcdf(tmp_path / "people.nc")
    np.testing.assert_array_equal(read["log_likelihood"]["y"], data["log_likelihood"]["y"])
    write(data, tmp_path / "people.zarr")
    tree = xarray.open_datatree(tmp_path / "people.zarr", engine="zarr")
    np.testing.assert_array_equal(tree["posterior_predictive/y"], data["posterior_predictive"]["y"])


def test_loo_is_trustworthy_where_the_latents_are_integrated_out(finished: Any) -> None:
    """ArviZ warns of the conditional likelihoods, whose k is too large, and of the integrated ones it does not."""
    integrated = arviz.loo(finished.export(draws=None, predictive=False), pointwise=True)
    with pytest.warns(UserWarning, match="shape parameter of Pareto"):
        conditional = arviz.loo(finished.export(draws=None, predictive=False, integrate=False), pointwise=True)
    assert float(conditional.pareto_k.max()) > float(integrated.pareto_k.max())
    estimates = [found.elpd_loo if hasattr(found, "elpd_loo") else found.elpd for found in (integrated, conditional)]
    assert estimates[0] < estimates[1]  # ArviZ before 1.0, and since


def test_predictions_are_the_same_for_the_same_run(finished: Any) -> None:
    one, other = (open_run(finished.path).export(draws=5)["posterior_predictive"]["y"] for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("choices", "message"), [({"draws": 0}, "draws = 0"), ({"prior": -1}, "prior = -1 were given")]
)
def test_counts_that_make_no_sense_are_refused(finished: Any, choices: dict[str, int], message: str) -> None:
    with pytest.raises(PosteriorError, match=message):
        finished.export(**choices)


def test_files_of_other_kinds_and_files_that_exist_are_refused(finished: Any, tmp_path: Path) -> None:
    data = finished.data
    with pytest.raises(PosteriorError, match=r"must end in \.nc or \.zarr"):
        write(data, tmp_path / "people.h5")
    (tmp_path / "there.nc").write_text("")
    with pytest.raises(PosteriorError, match="exists already"):
        write(data, tmp_path / "there.nc")
    with pytest.raises(PosteriorError, match=r"no folder .*nowhere: make it first"):
        write(data, tmp_path / "nowhere" / "people.nc")
    (tmp_path / "link.nc").symlink_to(tmp_path / "gone" / "people.nc")
    with pytest.raises(PosteriorError, match=r"link.nc cannot be written: it is a link to .*gone/people.nc"):
        write(data, tmp_path / "link.nc")
    with pytest.raises(PosteriorError, match=r"\.nc cannot be written: File name too long"):
        write(data, tmp_path / f"{'n' * 300}.nc")


def test_the_command_writes_a_file(finished: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "people.nc"
    assert main(["export", str(finished.path), "--out", str(out), "--draws", "3", "--conditional"]) == 0
    assert capsys.readouterr().out == f"Written to {out}\n"
    read = arviz.from_netcdf(out)
    assert (read["posterior_predictive"].sizes["draw"], read["log_likelihood"]["y"].attrs) == (3, {})
    assert main(["export", str(finished.path), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_plain_density_cannot_predict() -> None:
    model = small()
    with pytest.raises(MaxwellError, match="is a density"):
        Posterior(Model("plain", model.target, {}), draws(mu=np.zeros((1, 1))), 0)
    with pytest.raises(PosteriorError, match="no draws of model 'people' yet"):
        Posterior(models.people(), draws(mu=np.zeros((1, 0))), 0)
