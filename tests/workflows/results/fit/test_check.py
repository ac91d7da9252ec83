"""The fit of models whose posterior is known exactly: what fits, what was planted, what counts, what cannot be told."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats
import xarray

from maxwell import function_model, numpyro_model
from workflows.modelling.checks import Check, Family, autocorrelations, in_classes, thirds
from workflows.modelling.model import Model
from workflows.results.fit import replicates
from workflows.results.fit.calibration import MOST, _ranks, places
from workflows.results.fit.check import Fit, FitError, check_model
from workflows.results.fit.text import lines, table
from workflows.results.fit.verdict import FITS, MISFIT

N, CHAINS, DRAWS = 400, 4, 100
CENTRE, EXTREMES, ZEROS, CALIBRATION = "centre and spread", "extremes", "zeros", "calibration"


def _normal(y):
    mu = numpyro.sample("mu", dist.Normal(0.0, 10.0))
    with numpyro.plate("row", len(y)):
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)


def _counts(y):
    rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
    with numpyro.plate("row", len(y)):
        numpyro.sample("y", dist.Poisson(rate), obs=y)


def posterior(**values: np.ndarray) -> xarray.Dataset:
    variables = {
        name: (("chain", "draw", *(f"{name}_{k}" for k in range(x.ndim - 2))), x) for name, x in values.items()
    }
    return xarray.Dataset(variables, coords={"chain": np.arange(CHAINS), "draw": np.arange(DRAWS)})


def normal_fit(y: np.ndarray, checks: tuple[Check, ...] = ()) -> Fit:
    """The exact posterior of mu: N(sum y / (n + .01), 1 / (n + .01))."""
    precision = len(y) + 0.01
    mu = np.random.default_rng(1).normal(y.sum() / precision, precision**-0.5, (CHAINS, DRAWS))
    return check_model(numpyro_model(_normal, {"y": y}, checks=checks), posterior(mu=mu), seed=3)


def count_fit(y: np.ndarray) -> Fit:
    """The exact posterior of the rate: Gamma(2 + sum y, 1 + n)."""
    rate = np.random.default_rng(1).gamma(2 + y.sum(), 1 / (1 + len(y)), (CHAINS, DRAWS))
    return check_model(numpyro_model(_counts, {"y": y}), posterior(rate=rate), seed=3)


def judgements(fit: Fit) -> dict[str, str]:
    return {verdict.family.name: verdict.judgement for verdict in fit.verdicts}


def test_data_from_the_model_fit() -> None:
    """One data set of a fixed seed: of three or four families one is apart less often than 4 times in 201."""
    rng = np.random.default_rng(0)
    assert judgements(normal_fit(rng.normal(3.0, 1.0, N))) == dict.fromkeys((CENTRE, EXTREMES, CALIBRATION), FITS)
    found = judgements(count_fit(rng.poisson(2.5, N)))
    assert found == dict.fromkeys((CENTRE, EXTREMES, ZEROS, CALIBRATION), FITS)


def test_too_wide_a_law_is_found() -> None:
    fit = normal_fit(np.random.default_rng(0).normal(3.0, 1.5, N))
    assert judgements(fit)[CENTRE] == judgements(fit)[CALIBRATION] == MISFIT
    centre = next(verdict for verdict in fit.verdicts if verdict.family.name == CENTRE)
    np.testing.assert_array_equal(centre.apart, [False, True])
    assert centre.text.startswith("predicts ")
    assert centre.text.endswith(" seen")


def test_one_outlier_is_found_as_an_extreme() -> None:
    y = np.random.default_rng(0).normal(3.0, 1.0, N)
    y[17] = 14.0
    found = judgements(normal_fit(y))
    assert found[EXTREMES] == MISFIT
    assert found[CALIBRATION] == FITS


def test_too_many_zeros_are_found() -> None:
    rng = np.random.default_rng(0)
    y = rng.poisson(3.0, N) * (rng.random(N) > 0.2)
    fit = count_fit(y)
    assert judgements(fit)[ZEROS] == MISFIT
    (line,) = (line for line in lines(fit) if " zeros: " in line)
    assert f"{100 * (y == 0).mean():.3g}% seen" in line


def test_statistics_are_those_of_the_data_and_of_the_law() -> None:
    """The mean of 400 of N(mu, 1), mu known within .05: its median and its interval by the normal law, 6 standard
    errors of quantiles of 200 draws (error of a quantile: sqrt(q (1 - q) / n) / density)."""
    y = np.random.default_rng(0).normal(3.0, 1.0, N)
    fit = normal_fit(y)
    (centre,) = (verdict for verdict in fit.verdicts if verdict.family.name == CENTRE)
    np.testing.assert_allclose(centre.observed, [y.mean(), y.std()], rtol=1e-12)
    law = scipy.stats.norm(y.mean(), np.sqrt(2 / N))
    for q, found in ((0.5, centre.median[0]), (0.025, centre.between[0, 0]), (0.975, centre.between[1, 0])):
        error = np.sqrt(q * (1 - q) / replicates.DATA_SETS) / law.pdf(law.ppf(q))
        assert abs(found - law.ppf(q)) < 6 * error
    rows = list(table(fit))
    assert any(row.split()[:2] == ["the", "mean"] for row in rows)


def test_a_models_own_statistics_see_values_and_data() -> None:
    """The mean square of residuals about mu is 1 in predictions, and that of the data in the data."""
    y = np.random.default_rng(0).normal(3.0, 1.5, N)
    family = Family("residuals", ("square",), 0.1)
    own = Check(family, lambda outcomes, values, data: jnp.mean((outcomes["y"] - values["mu"]) ** 2))
    fit = normal_fit(y, (own,))
    assert fit.verdicts[0].family is family
    assert fit.verdicts[0].judgement == MISFIT
    # E over mu of the mean of (y - mu)^2: the variance, and that of mu, 1 / n.
    assert fit.verdicts[0].observed[0] == pytest.approx(y.var() + 1 / N, abs=3 / N)
    assert fit.verdicts[0].median[0] == pytest.approx(1.0, abs=0.03)


def test_a_check_may_predict_in_its_own_way() -> None:
    family = Family("the same", ("first",), 0.1)

    def replicate(key, values, data):
        return {"y": jnp.full(N, 7.0)}

    own = Check(family, lambda outcomes, values, data: outcomes["y"][:1], replicate)
    fit = normal_fit(np.random.default_rng(0).normal(7.0, 1.0, N), (own,))
    np.testing.assert_array_equal(fit.families[0].replicated, 7.0)
    assert fit.families[1].replicated.std() > 0.0


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    y = np.random.default_rng(0).normal(3.0, 1.0, N)
    model, draws = numpyro_model(_normal, {"y": y}), posterior(mu=np.full((CHAINS, DRAWS), 3.0))
    one, two, other = (check_model(model, draws, seed) for seed in (3, 3, 4))
    for a, b, c in zip(one.families, two.families, other.families, strict=True):
        np.testing.assert_array_equal(a.replicated, b.replicated)
        assert (a.replicated != c.replicated).any()


def test_masked_and_missing_observations_do_not_count() -> None:
    """Absurd values where the likelihood does not look."""
    y = np.random.default_rng(0).normal(3.0, 1.0, N)
    y[::5] = 1e6

    def masked(y, seen):
        mu = numpyro.sample("mu", dist.Normal(0.0, 10.0))
        with numpyro.plate("row", len(y)), numpyro.handlers.mask(mask=seen):
            numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    model = numpyro_model(masked, {"y": y, "seen": np.arange(N) % 5 > 0})
    mu = np.random.default_rng(1).normal(np.delete(y, np.arange(0, N, 5)).mean(), 0.05, (CHAINS, DRAWS))
    fit = check_model(model, posterior(mu=mu), 0)
    assert set(judgements(fit).values()) == {FITS}
    assert fit.verdicts[0].observed[0] == pytest.approx(3.0, abs=0.3)


def test_a_binary_outcome_has_its_share_of_ones() -> None:
    def binary(y):
        p = numpyro.sample("p", dist.Beta(1.0, 1.0))
        with numpyro.plate("row", len(y)):
            numpyro.sample("y", dist.Bernoulli(p), obs=y)

    y = np.arange(N) % 4 == 0
    p = np.random.default_rng(0).beta(1 + y.sum(), 1 + N - y.sum(), (CHAINS, DRAWS))
    fit = check_model(numpyro_model(binary, {"y": y.astype(int)}), posterior(p=p), 0)
    assert judgements(fit) == {"share of ones": FITS, "calibration": FITS}
    assert fit.verdicts[0].observed[0] == 0.25


def test_several_observed_variables_are_told_apart() -> None:
    def two(y, n):
        mu = numpyro.sample("mu", dist.Normal(0.0, 10.0))
        with numpyro.plate("row", len(y)):
            numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)
            numpyro.sample("n", dist.Poisson(jnp.exp(mu)), obs=n)

    rng = np.random.default_rng(0)
    model = numpyro_model(two, {"y": rng.normal(1.0, 1.0, N), "n": rng.poisson(np.e, N)})
    fit = check_model(model, posterior(mu=rng.normal(1.0, 0.02, (CHAINS, DRAWS))), 0)
    assert {name.partition(" of ")[2] for name in judgements(fit)} == {"y", "n"}
    assert set(judgements(fit).values()) == {FITS}


def test_a_model_that_follows_each_observation_is_not_blamed_for_it() -> None:
    """A latent for every observation, and draws of it about that observation: all lie in the middle of their own
    predictions, which counts against a model of few parameters alone."""

    def followed(y):
        with numpyro.plate("row", len(y)):
            x = numpyro.sample("x", dist.Normal(0.0, 1.0))
            numpyro.sample("y", dist.Normal(x, 1.0), obs=y)

    rng = np.random.default_rng(0)
    y = rng.normal(0.0, np.sqrt(2), N)
    x = y / 2 + np.sqrt(0.5) * rng.normal(size=(CHAINS, DRAWS, N))
    fit = check_model(numpyro_model(followed, {"y": y}), posterior(x=x), 0)
    assert set(judgements(fit).values()) == {FITS}
    calibration = fit.verdicts[-1]
    # y - x ~ N(y / 2, 3 / 2): beyond the middle half where |y / 2| > .674 sqrt(1.5), y of sd sqrt(2).
    inside = 2 * scipy.stats.norm.cdf(2 * 0.6745 * np.sqrt(1.5 / 2)) - 1
    assert calibration.observed[1] == pytest.approx(inside, abs=6 * 0.5 / np.sqrt(N))


def test_ranks_are_uniform_and_ties_are_broken_at_random() -> None:
    rng = np.random.default_rng(0)
    uniform = _ranks(np.zeros((201, 5000)), rng)
    np.testing.assert_allclose(np.sort(uniform, axis=0), np.repeat(((np.arange(201) + 0.5) / 201)[:, None], 5000, 1))
    assert abs(uniform[0].mean() - 0.5) < 6 / np.sqrt(12 * 5000)
    values = rng.permuted(np.repeat(np.arange(201.0)[:, None], 50, axis=1), axis=0)
    np.testing.assert_allclose(_ranks(values, rng), (values + 0.5) / 201)


def test_of_many_observations_some_are_ranked() -> None:
    kept = np.ones((300, 200), bool)
    kept[:, 0] = False
    found = places(np.zeros(kept.shape), kept)
    assert 0.5 * MOST < len(found) <= MOST
    assert kept.ravel()[found].all()


def test_draws_are_spread_over_all_chains_and_used_again_where_few() -> None:
    many = posterior(x=np.arange(CHAINS * DRAWS).reshape(CHAINS, DRAWS))
    seen = np.concatenate([values["x"] for _, values in replicates._batches(many)])
    assert len(np.unique(seen)) == len(seen) == replicates.DATA_SETS
    assert set(seen // DRAWS) == set(range(CHAINS))
    few = many.isel(draw=slice(10))
    seen = np.concatenate([values["x"] for _, values in replicates._batches(few)])
    assert len(seen) == replicates.DATA_SETS
    assert len(np.unique(seen)) == CHAINS * 10


def test_a_density_cannot_be_checked() -> None:
    model: Model = function_model(lambda position, data: -0.5 * position["x"] ** 2, {"x": 3}, name="density")
    with pytest.raises(FitError, match="model 'density' does not say how its data are drawn"):
        check_model(model, posterior(x=np.zeros((CHAINS, DRAWS, 3))), 0)


def test_classes_thirds_and_autocorrelations() -> None:
    rng = np.random.default_rng(0)
    values, classes = rng.normal(size=30), rng.integers(0, 4, 30)
    np.testing.assert_allclose(
        in_classes(jnp.asarray(values), classes, 4), [values[classes == k].mean() for k in range(4)]
    )
    levels = rng.permutation(10)
    np.testing.assert_array_equal(thirds(levels), np.select([levels < 4, levels < 7], [0, 1], 2))
    series = rng.normal(size=(50, 2))
    expected = [
        np.mean([(series[lag:, k] * series[: len(series) - lag, k]).sum() / (series[:, k] ** 2).sum() for k in (0, 1)])
        for lag in (1, 2, 3)
    ]
    np.testing.assert_allclose(jax.jit(autocorrelations, static_argnums=1)(series, 3), expected)
