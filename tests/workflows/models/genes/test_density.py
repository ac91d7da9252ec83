"""The density of genes against SciPy, Jacobians included, with a design whose rows repeat and one whose rows do not."""

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats

import maxwell
from workflows.modelling.model import Model
from workflows.models.genes.build import different_rows
from workflows.models.genes.priors import DegreesOfFreedom

SAMPLES = [f"s{number}" for number in range(6)]


def tapered_t(x: np.ndarray, freedom: float, scale: float) -> np.ndarray:
    """Log density of a Student t times a normal density of sd 4, normalised by quadrature."""

    def density(at: float) -> float:
        return float(scipy.stats.t.pdf(at, freedom, 0.0, scale) * np.exp(-(at**2) / 32.0))

    half = scipy.integrate.quad(density, 0.0, 60.0, points=[scale, 10.0 * scale], epsabs=1e-14, epsrel=1e-13, limit=500)
    return scipy.stats.t.logpdf(x, freedom, 0.0, scale) - x**2 / 32.0 - np.log(2.0 * half[0])


def made(formula: str) -> Model:
    rng = np.random.default_rng(0)
    counts = pd.DataFrame(
        rng.negative_binomial(2.0, 0.02, (5, 6)) + 2, index=[f"g{g}" for g in range(5)], columns=SAMPLES
    )
    sheet = pd.DataFrame({"dose": rng.normal(size=6), "group": list("aabbcc")}, index=SAMPLES)
    return maxwell.models.genes(counts, sheet, formula)


@pytest.mark.parametrize("formula", ["~ group", "~ group + dose"])
def test_terms_against_scipy(formula: str) -> None:
    model = made(formula)
    assert ("row_of" in model.data) == (formula == "~ group")
    position = jax.jit(model.target.initial)(jax.random.key(3), model.data)
    u = {name: np.asarray(value) for name, value in position.items()}
    terms = {name: np.asarray(value) for name, value in jax.jit(model.target.log_terms)(position, model.data).items()}
    x, sizes = model.constant["covariates"], np.log(model.constant["size_factor"])
    assert np.linalg.matrix_rank(x) == x.shape[1] == {"~ group": 2, "~ group + dose": 3}[formula]
    eta = u["intercept"] + x @ u["effect"].T
    mean, dispersion = np.exp(sizes[:, None] + eta), np.exp(u["dispersion"])
    expected = scipy.stats.nbinom.logpmf(model.observed["counts"], 1 / dispersion, 1 / (1 + dispersion * mean))
    np.testing.assert_allclose(terms["counts"], expected, rtol=1e-9, atol=1e-9)
    normal, halfnormal = scipy.stats.norm.logpdf, scipy.stats.halfnorm.logpdf
    np.testing.assert_allclose(
        terms["intercept"], normal(u["intercept"], u["intercept_mean"], np.exp(u["intercept_sd"])), rtol=1e-12
    )
    df = 1.0 + np.exp(u["effect_df"])
    tapered = [tapered_t(*law) for law in zip(u["effect"].T, df, np.exp(u["effect_sd"]), strict=True)]
    np.testing.assert_allclose(terms["effect"], np.sum(tapered, axis=0), rtol=1e-10)
    log_mean = u["intercept"] + sizes.mean() + (x @ u["effect"].T).mean(axis=0)
    trend = np.log(np.exp(u["dispersion_floor"]) + np.exp(u["dispersion_slope"]) / np.exp(log_mean))
    # On the log scale, where the sampler moves, the log-normal's Jacobian has made it a normal.
    np.testing.assert_allclose(
        terms["dispersion"], normal(u["dispersion"], trend, np.exp(u["dispersion_sd"])), rtol=1e-10
    )
    np.testing.assert_allclose(terms["intercept_mean"], normal(u["intercept_mean"], 4, 5), rtol=1e-12)
    np.testing.assert_allclose(terms["dispersion_floor"], normal(u["dispersion_floor"], -3, 2), rtol=1e-12)
    np.testing.assert_allclose(terms["dispersion_slope"], normal(u["dispersion_slope"], 1, 2), rtol=1e-12)
    for name, scale in (("intercept_sd", 5.0), ("dispersion_sd", 1.0), ("effect_sd", 1.0)):
        jacobian = halfnormal(np.exp(u[name]), scale=scale) + u[name]
        np.testing.assert_allclose(terms[name], jacobian.sum(), rtol=1e-12)
    gamma = scipy.stats.gamma(2.0, scale=10.0)
    cut = gamma.logpdf(df) - gamma.logsf(1.0) + u["effect_df"]
    np.testing.assert_allclose(terms["effect_df"], cut.sum(), rtol=1e-12)


def test_rows_that_repeat_are_worked_out_once() -> None:
    design = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    rows = different_rows(design)
    np.testing.assert_array_equal(rows.different, [[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    np.testing.assert_array_equal(rows.of, [0, 1, 0, 2, 1])
    assert different_rows(design[[0, 1, 3]]).of is None


def test_degrees_of_freedom_are_drawn_from_their_density() -> None:
    """Kolmogorov-Smirnov on 20,000 draws; the false-alarm rate is 1e-7."""
    prior, gamma = DegreesOfFreedom(), scipy.stats.gamma(2.0, scale=10.0)
    draws = np.asarray(prior.sample(jax.random.key(0), (20_000,)))
    found = scipy.stats.kstest(draws, lambda x: 1.0 - gamma.sf(x) / gamma.sf(1.0))
    assert found.pvalue > 1e-7
    assert scipy.integrate.quad(lambda x: float(np.exp(prior.log_prob(np.asarray(x)))), 1.0, 400.0)[0] == pytest.approx(
        1.0
    )


def test_names_are_those_that_a_biologist_reads() -> None:
    model = made("~ group + dose")
    assert model.name == "genes"
    assert model.dims["effect"] == ("gene", "coefficient")
    assert model.dims["counts"] == ("sample", "gene")
    assert list(model.coords["coefficient"]) == ["group[T.b]", "group[T.c]", "dose"]
    assert list(model.coords["gene"]) == ["g0", "g1", "g2", "g3", "g4"]
    np.testing.assert_array_equal(model.constant["contrast"], [0.0, 0.0, 1.0])
    assert model.target.term_kinds["counts"] == "likelihood"
