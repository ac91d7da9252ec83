"""References of the suite: exact draws by formula, integrated effects, names in the files."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.stats
from numpyro import handlers
from numpyro.infer.util import log_density

from workflows.studies.posteriors.exact import EXACT, moments
from workflows.studies.posteriors.judging import judge, read, variables_of
from workflows.studies.posteriors.recipes import RECIPES
from workflows.studies.posteriors.reference import make, summarise, variables
from workflows.studies.posteriors.suite import POSTERIORS, posterior

FOLDER = Path(__file__).resolve().parents[2] / "references" / "posteriors"
FILES = sorted(path.stem for path in FOLDER.glob("*.npz"))
LIMIT = 6.0
"""Standard errors, where a false alarm has a chance of 2e-9 a number."""


@pytest.mark.parametrize("name", FILES)
def test_a_file_knows_the_variables_of_its_posterior(name: str) -> None:
    reference = read(FOLDER / f"{name}.npz")
    assert sorted(variables_of(reference)) == sorted(variables(posterior(name).build()))
    assert (FOLDER / f"{name}.npz").stat().st_size < 100_000
    how = json.loads(str(reference["provenance"]))
    assert how["largest_rhat"] < 1.01
    assert len(how["divergences"]) == how["chains"]


def test_every_posterior_has_a_file() -> None:
    assert sorted(entry.name for entry in POSTERIORS) == FILES


@pytest.mark.parametrize("name", ["banana", "ill_conditioned", "funnel"])
def test_independent_draws_have_the_moments_of_the_formula(name: str) -> None:
    draws = EXACT[name](np.random.default_rng(1), 100_000)
    for variable, (mean, sd) in moments(name).items():
        values = draws[variable]
        assert np.all(np.abs(values.mean(axis=0) - mean) < LIMIT * sd / np.sqrt(len(values)))
        if variable in posterior(name).heavy:
            continue
        # Var of a sample variance is (fourth central moment - sd^4) / n.
        squares = (values - mean) ** 2
        assert np.all(np.abs(squares.mean(axis=0) - sd**2) < LIMIT * squares.std(axis=0) / np.sqrt(len(values)))


def test_the_regression_with_flat_priors_is_drawn_from_its_density() -> None:
    """log p(draw) + log |d draw| has to agree with the density of the model: compare means of the score, which are 0.

    For a density p, E d log p / dx = 0 by integration by parts, for each coordinate and of x times it -1.
    """
    model, data = posterior("earnings").build()
    draws = EXACT["earnings"](np.random.default_rng(2), 40_000)
    x = {name: np.asarray(values) for name, values in draws.items()}
    gradient = jax.vmap(jax.grad(lambda x: log_density(model, (), data, x)[0]))(x)
    for name in x:
        score = np.asarray(gradient[name])
        product = score * (x[name] - x[name].mean())
        assert abs(score.mean()) < LIMIT * score.std() / np.sqrt(score.size)
        assert abs(product.mean() + 1) < LIMIT * product.std() / np.sqrt(product.size)


SHARED = {
    "groups_5": ("effect", [{"mu": 2.0, "tau": 1.5, "sigma": 1.0}, {"mu": 4.0, "tau": 0.4, "sigma": 2.0}]),
    "measurement_error": (
        "x",
        [
            {"mu_x": 9.0, "sd_x": 2.0, "a": 1.0, "b": 1.0, "sigma": 0.5},
            {"mu_x": 10.0, "sd_x": 1.0, "a": -2.0, "b": 0.7, "sigma": 1.5},
        ],
    ),
}
"""Variables that are integrated out of a model, and two values of all others."""


@pytest.mark.parametrize("name", SHARED)
def test_integrated_effects_are_those_of_the_plain_model(name: str) -> None:
    """p(y | shared) = p(y, effect | shared) / p(effect | y, shared) for any effect; the last is normal, with the
    moments of what `complete` draws."""
    model, data = posterior(name).build()
    recipe = RECIPES[name]
    assert recipe.build is not None
    assert recipe.complete is not None
    integrated, integrated_data = recipe.build()
    effect, shared = SHARED[name]
    found, draws = [], 100_000
    for values in shared:
        many = {site: np.full(draws, value) for site, value in values.items()}
        effects = recipe.complete(many, data, np.random.default_rng(3))[effect]
        centre, spread = effects.mean(axis=0), effects.std(axis=0)
        joint = log_density(model, (), data, values | {effect: centre})[0]
        conditional = -np.sum(np.log(spread)) - 0.5 * np.log(2 * np.pi) * spread.size
        found.append(float(joint - conditional - log_density(integrated, (), integrated_data, values)[0]))
    # Constants that the integrated model leaves out are the same for both. Log sds have errors 1 / sqrt(2 n), means one
    # that costs 1 / (2 n) each; the two points share their random numbers.
    error = LIMIT * np.sqrt(spread.size / (2 * draws)) + spread.size / draws
    assert found[0] == pytest.approx(found[1], abs=error)


def test_integrated_rates_are_those_of_the_plain_model() -> None:
    model, data = posterior("tumours").build()
    build = RECIPES["tumours"].build
    assert build is not None
    integrated, _ = build()
    for phi, kappa in ((0.1, 10.0), (0.2, 40.0)):
        theta = np.full(71, 0.15)
        joint = log_density(model, (), data, {"phi": phi, "kappa": kappa, "theta": theta})[0]
        conditional = scipy.stats.beta(phi * kappa + data["y"], (1 - phi) * kappa + data["n"] - data["y"]).logpdf(theta)
        whole = log_density(integrated, (), data, {"phi": phi, "kappa": kappa})[0]
        # JAX's betaln is right to 1e-6 only, in each of 71 terms.
        assert float(joint - conditional.sum()) == pytest.approx(float(whole), abs=1e-4)


def test_integrated_steps_are_those_of_the_plain_model() -> None:
    """Given the scales, the plain model's score has mean 0 over exact draws of the steps, and times them -1."""
    model, data = posterior("trend").build()
    recipe = RECIPES["trend"]
    assert recipe.complete is not None
    scales = {"sd_level": 0.6, "sd_slope": 0.05, "sd_y": 1.2}
    many = {site: np.full(4000, value) for site, value in scales.items()}
    draws = recipe.complete(many, data, np.random.default_rng(9))
    steps = {site: draws[site] for site in ("first", "slope0", "z_level", "z_slope")}
    gradient = jax.vmap(jax.grad(lambda x: log_density(model, (), data, scales | x)[0]))(steps)
    for site, values in steps.items():
        score = np.asarray(gradient[site])
        product = score * (values - values.mean(axis=0))
        error = np.sqrt(len(score))
        assert np.all(np.abs(score.mean(axis=0)) < LIMIT * score.std(axis=0) / error)
        assert np.all(np.abs(product.mean(axis=0) + 1) < LIMIT * product.std(axis=0) / error)


@pytest.mark.parametrize("name", ["dates", "ephemeris", "volatility_walk", "schools_centred", "radon_centred"])
def test_an_equivalent_model_has_the_plain_models_density(name: str) -> None:
    """Their log densities differ by the Jacobian of a linear map alone, which two points with the same scales share."""
    model, data = posterior(name).build()
    build = RECIPES[name].build
    assert build is not None
    other, other_data = build()
    key = jax.random.key(0)
    sites = handlers.trace(handlers.seed(handlers.substitute(other, substitute_fn=_near_zero(key)), key)).get_trace(
        **other_data
    )
    scales = {
        name: site["value"]
        for name, site in sites.items()
        if site["type"] == "sample" and not site["is_observed"] and name != "z"
    }
    differences = []
    for seed in (1, 2):
        z = 0.3 * jax.random.normal(jax.random.key(seed), sites["z"]["value"].shape)
        density, trace = log_density(other, (), other_data, scales | {"z": z})
        plain = {n: trace[n]["value"] for n in variables((model, data)) if n in trace}
        differences.append(float(log_density(model, (), data, plain)[0] - density))
    assert differences[0] == pytest.approx(differences[1], abs=1e-4)


def _near_zero(key: jax.Array):  # type: ignore[no-untyped-def]
    """Values for sites that cannot be drawn from."""

    def value(site):  # type: ignore[no-untyped-def]
        if site["type"] == "sample" and type(site["fn"]).__name__ == "ImproperUniform":
            return jax.random.uniform(key, site["fn"].shape()) * 0.1 + 0.4
        return None

    return value


def test_exact_draws_agree_with_their_own_reference_and_biased_ones_do_not() -> None:
    entry, reference = posterior("banana"), make("banana", 1)
    draws = {name: values.reshape(4, 1000) for name, values in EXACT["banana"](np.random.default_rng(4), 4000).items()}
    assert judge(entry, draws, reference)["right"]
    shifted = draws | {"y": draws["y"] + 0.4 * draws["y"].std()}
    found = judge(entry, shifted, reference)
    assert not found["right"]
    assert found["mean_worst"] == "y[0]"
    narrow = draws | {"x": 1 + 0.7 * (draws["x"] - 1)}
    found = judge(entry, narrow, reference)
    assert not found["right"]
    assert found["sd_worst"] == "x[0]"


def test_chains_that_do_not_move_are_not_excused_by_their_noise() -> None:
    entry, reference = posterior("banana"), make("banana", 1)
    starts = EXACT["banana"](np.random.default_rng(5), 4)
    rng = np.random.default_rng(6)
    draws = {name: values[:, None] + 1e-3 * rng.normal(size=(4, 1000)) for name, values in starts.items()}
    found = judge(entry, draws, reference)
    assert not found["right"]
    assert found["ess"] < 20


def test_draws_of_32_bits_are_averaged_in_64() -> None:
    entry, reference = posterior("banana"), make("banana", 1)
    far = 2.0**21  # between whose neighbours .25 lie in 32 bits
    table = {key: value + far if key == "x/mean" else value for key, value in reference.items()}
    draws = {name: values.reshape(4, 1000) for name, values in EXACT["banana"](np.random.default_rng(8), 4000).items()}
    found = judge(entry, draws | {"x": (draws["x"] + far).astype(np.float32)}, table)
    assert found["right"]


def test_draws_of_other_variables_are_refused() -> None:
    entry, reference = posterior("banana"), make("banana", 1)
    with pytest.raises(ValueError, match=r"no draws of 'x'; there are some of z"):
        judge(entry, {"z": np.zeros((4, 10))}, reference)
    with pytest.raises(ValueError, match=r"'x' has 2 elements, 1 in the reference"):
        judge(entry, {"x": np.zeros((4, 10, 2)), "y": np.zeros((4, 10))}, reference)


def test_of_wide_variables_few_places_are_kept() -> None:
    draws = np.random.default_rng(7).normal(size=(4, 50, 30, 10)) + np.arange(300).reshape(30, 10)
    table = summarise({"x": draws})
    assert table["x/mean"].shape == (20,)
    np.testing.assert_allclose(table["x/mean"], table["x/index"], atol=LIMIT / np.sqrt(200))


def test_a_reference_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"posteriors.reference banana --out"):
        read(tmp_path / "banana.npz")
