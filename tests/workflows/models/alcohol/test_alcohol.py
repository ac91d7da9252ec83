"""The alcohol survey, counts that heap, and the model: what is read, densities by plain NumPy, the structure found."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from kernels.structure.discovery import discover
from kernels.structure.interweaving_discovery import find_interweavings
from tests.support.flipped import flip_a_bit
from workflows.modelling.datasets import DatasetError
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model
from workflows.modelling.registry import build
from workflows.models.alcohol import dataset as alcohol
from workflows.models.alcohol import heaping
from workflows.models.alcohol.model import GROUPS

PEOPLE = 300
WEIGHTS = np.array([0.3, 0.35, 0.25, 0.1])
EVERY_WAY = pytest.mark.parametrize("weights", [WEIGHTS, np.array([0.4, 0.35, 0.25])], ids=["words", "no words"])


@pytest.fixture(scope="module")
def model() -> Model:
    return build("alcohol", {"people": PEOPLE})


def test_the_whole_survey() -> None:
    data = alcohol.load()
    assert (len(data.drinks), (~data.known).sum()) == (26_946, 238)
    assert (data.drinks[data.known].min(), data.drinks.max()) == (1, 98)
    assert set(data.drinks[~data.known]) == {0}
    counts = np.bincount(data.drinks)
    np.testing.assert_array_equal(counts[[1, 2, 5, 6, 7, 12, 24, 98]], [10_350, 7_880, 759, 1_247, 189, 246, 21, 1])
    assert (data.people[0], data.people[-1], len(set(data.people))) == (2, 43_092, 26_946)
    assert {name: len(labels) for name, labels in data.categories.items()} == {
        "region": 4, "sex": 2, "education": 4, "ethnicity": 5, "marital": 6, "age": 14,
    }  # fmt: skip
    assert list(data.categories["sex"]) == ["men", "women"]
    np.testing.assert_array_equal(np.bincount(data.groups["sex"]), [13_067, 13_879])
    np.testing.assert_array_equal(np.bincount(data.groups["region"]), [5_492, 6_093, 9_007, 6_354])
    first = {name: data.categories[name][index[0]] for name, index in data.groups.items()}
    assert first == {
        "region": "4", "sex": "women", "education": "2", "ethnicity": "5", "marital": "1", "age": "25-29",
    }  # fmt: skip


def test_every_age_is_in_its_group() -> None:
    data = alcohol.load()
    labels = data.categories["age"]
    assert list(labels[[0, 1, -2, -1]]) == ["18-19", "20-24", "75-79", "80+"]
    bounds = np.array([label.rstrip("+").split("-") + ["200"] * ("+" in label) for label in labels], dtype=int)
    low, high = bounds[data.groups["age"]].T
    assert np.all((low <= data.age) & (data.age <= high))


def test_a_subset_is_some_of_the_people() -> None:
    whole, part = alcohol.load(), alcohol.load(2_000)
    chosen = np.sort(np.random.default_rng(0).choice(26_946, 2_000, replace=False))
    np.testing.assert_array_equal(part.people, whole.people[chosen])
    np.testing.assert_array_equal(part.drinks, whole.drinks[chosen])
    np.testing.assert_array_equal(part.groups["marital"], whole.groups["marital"][chosen])
    assert 0 < (~part.known).sum() < 40


@pytest.mark.parametrize("people", [0, 26_947])
def test_an_impossible_subset_is_refused(people: int) -> None:
    with pytest.raises(ValueError, match=rf"people = {people}: choose between 1 and 26946, the number of people"):
        alcohol.load(people)


def test_a_flipped_bit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip_a_bit(monkeypatch, tmp_path, "alcohol", "people.tsv.gz")
    with pytest.raises(DatasetError, match=r"alcohol/people.tsv.gz has SHA-256 .* the file was changed"):
        alcohol.load()


@pytest.mark.parametrize(
    ("grid", "pairs"),
    [
        (heaping.HALF_DOZENS, {1: 1, 4: 4, 5: 6, 8: 6, 9: 12, 14: 12, 15: 18, 98: 96, 600: 600, 601: 601}),
        (heaping.WORDS, {1: 2, 2: 2, 3: 3, 4: 3, 5: 6, 8: 6, 9: 12, 17: 12, 18: 24, 30: 36, 595: 600, 601: 601}),
        (heaping.ROUND_NUMBERS, {5: 5, 6: 6, 7: 8, 9: 10, 11: 12, 13: 12, 14: 15, 17: 15, 18: 20, 23: 25, 35: 40}),
    ],
)
def test_rounding_goes_to_the_nearest_value_of_a_grid(grid: np.ndarray, pairs: dict[int, int]) -> None:
    np.testing.assert_array_equal(heaping.rounded(np.array(list(pairs)), grid), list(pairs.values()))


def heaped_log(propensity: np.ndarray, counts: np.ndarray, weights: np.ndarray = WEIGHTS) -> np.ndarray:
    known = heaping.tables(counts, len(weights))
    return np.asarray(jax.jit(heaping.log_probability)(jnp.asarray(propensity), jnp.asarray(weights), known))


def by_enumeration(propensity: float, reported: int, weights: np.ndarray) -> float:
    """P(y) as the sum over all true counts and ways of reporting of their probabilities, grids searched by distance."""
    true = np.arange(1, 1_000)
    p = scipy.stats.poisson.pmf(true - 1, np.exp(propensity))
    total = weights[0] * p[reported - 1]
    for weight, grid in zip(weights[1:], heaping.GRIDS[: len(weights) - 1], strict=True):
        distance = np.abs(true[:, None] - grid[::-1])
        seen = np.where(true > heaping.LARGEST, true, grid[::-1][distance.argmin(axis=1)])
        total += weight * p[seen == reported].sum()
    return float(total)


@EVERY_WAY
@pytest.mark.parametrize("propensity", [-30.0, -1.0, 0.7, 2.0, 4.0, 5.5])
def test_heaped_counts_sum_to_one(propensity: float, weights: np.ndarray) -> None:
    counts = np.arange(1, 1_000)
    total = np.exp(heaped_log(np.full(counts.size, propensity), counts, weights)).sum()
    assert total == pytest.approx(1.0, abs=1e-12)


@EVERY_WAY
@pytest.mark.parametrize("propensity", [-1.0, 0.7, 2.5])
def test_heaped_counts_by_enumeration(propensity: float, weights: np.ndarray) -> None:
    counts = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 20, 24, 25, 30, 36, 45, 48, 98])
    expected = [by_enumeration(propensity, int(y), weights) for y in counts]
    found = np.exp(heaped_log(np.full(counts.size, propensity), counts, weights))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-300)


def test_heaped_counts_hold_where_probabilities_underflow() -> None:
    """The count of 12 at x = -100 comes from 9 drinks, the smallest that is rounded to it, by half dozens and words:
    (t - 1) x = -800."""
    found = heaped_log(np.array([-100.0, 12.0]), np.array([12, 24]))
    expected = np.log(WEIGHTS[1] + WEIGHTS[3]) - 800.0 - np.exp(-100.0) - scipy.special.gammaln(9)
    assert found[0] == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(found[1])


def test_the_gradient_of_heaped_counts() -> None:
    """Against central differences, step 1e-5, of which the error is about 1e-9."""
    counts = np.array([1, 3, 6, 7, 12, 20, 36])
    x, h = np.linspace(-0.5, 3.0, counts.size), 1e-5
    known = heaping.tables(counts)
    gradient = jax.jit(jax.grad(lambda v: heaping.log_probability(v, jnp.asarray(WEIGHTS), known).sum()))(
        jnp.asarray(x)
    )
    np.testing.assert_allclose(gradient, (heaped_log(x + h, counts) - heaped_log(x - h, counts)) / (2 * h), rtol=1e-6)


def test_draws_of_heaped_counts_follow_their_law() -> None:
    """100,000 draws, each frequency within 6 standard errors (+ 5 draws): false alarms below 1e-6 in all."""
    n, x = 100_000, 1.8
    likelihood = heaping.HeapedCounts(jnp.full(n, x), jnp.asarray(WEIGHTS))
    draws = np.asarray(jax.jit(lambda key: likelihood.sample(key))(jax.random.key(0)))
    counts = np.arange(1, 40)
    p = np.exp(heaped_log(np.full(counts.size, x), counts))
    seen = np.bincount(draws, minlength=40)[1:40]
    assert np.all(np.abs(seen - n * p) < 6 * np.sqrt(n * p * (1 - p)) + 5)


@pytest.mark.parametrize("counts", [[0, 3], [2.5], [-1]])
def test_counts_that_are_none_are_refused(counts: list[float]) -> None:
    with pytest.raises(ValueError, match="below 1 or no whole number: leave out those that are not known"):
        heaping.tables(np.array(counts))


def drawn(model: Model) -> dict[str, jax.Array]:
    """A random position: a prior draw moved by normals."""
    key = jax.random.key(2)
    start = jax.jit(model.target.initial)(key, model.data)
    keys = jax.random.split(key, len(start))
    return {
        name: value + 0.3 * jax.random.normal(k, value.shape)
        for k, (name, value) in zip(keys, start.items(), strict=True)
    }


def test_the_terms_by_plain_numpy(model: Model) -> None:
    data, normal, gamma = alcohol.load(PEOPLE), scipy.stats.norm.logpdf, scipy.stats.gamma.logpdf
    position = drawn(model)
    p = {name: np.asarray(value) for name, value in position.items()}
    terms = {name: np.asarray(value) for name, value in jax.jit(model.target.log_terms)(position, model.data).items()}
    values = {name: np.asarray(v) for name, v in jax.jit(model.target.constrain)(position, model.data).items()}
    walk = np.concatenate([[0.0], np.cumsum(p["step_age"])])
    np.testing.assert_allclose(values["effect_age"], walk - walk.mean(), rtol=1e-10, atol=1e-12)
    eta = p["mu"] + sum(values[f"effect_{name}"][index] for name, index in data.groups.items())
    x = eta + p["deviation"]
    np.testing.assert_allclose(values["propensity"], x, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(terms["deviation"], normal(p["deviation"], 0.0, np.exp(p["sd_person"])), rtol=1e-9)
    np.testing.assert_allclose(
        terms["y"], heaped_log(x[data.known], data.drinks[data.known], values["reporting"]), rtol=1e-9
    )
    for name in GROUPS:
        effect, sd = values[f"effect_{name}"], np.exp(p[f"sd_{name}"])
        assert effect.sum() == pytest.approx(0.0, abs=1e-12)
        # The K effects lie in a plane of K - 1 dimensions, on which their density is normal.
        expected = normal(effect, 0.0, sd).sum() + 0.5 * np.log(2 * np.pi * sd**2)
        assert float(terms[f"effect_{name}"]) == pytest.approx(expected, rel=1e-10)
    assert float(terms["step_age"]) == pytest.approx(normal(p["step_age"], 0, np.exp(p["sd_age"])).sum(), rel=1e-10)
    assert float(terms["mu"]) == pytest.approx(normal(p["mu"]), rel=1e-12)
    for name, mean in (*((group, 0.5) for group in GROUPS), ("age", 0.25), ("person", 1.0)):
        log_sd = p[f"sd_{name}"]
        assert float(terms[f"sd_{name}"]) == pytest.approx(gamma(np.exp(log_sd), 2, scale=mean / 2) + log_sd, rel=1e-10)


def test_the_prior_of_the_ways_of_reporting(model: Model) -> None:
    """Dirichlet(2, 2, 2, 2), and the Jacobian of three of the weights by the three free coordinates."""
    position = drawn(model)

    def three(free):
        return model.target.constrain({**position, "reporting": free}, model.data)["reporting"][:3]

    jacobian = np.asarray(jax.jit(jax.jacfwd(three))(position["reporting"]))
    first = np.asarray(three(position["reporting"]))
    weights = np.append(first, 1 - first.sum())
    expected = scipy.stats.dirichlet.logpdf(weights, [2, 2, 2, 2]) + np.log(abs(np.linalg.det(jacobian)))
    found = jax.jit(model.target.log_terms)(position, model.data)["reporting"]
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_unknown_counts_have_no_likelihood_term(model: Model) -> None:
    data = alcohol.load(PEOPLE)
    assert 0 < (~data.known).sum() < PEOPLE
    assert model.observed["y"].shape == (data.known.sum(),)
    assert model.target.sites["deviation"].shape == (PEOPLE,)
    position = drawn(model)
    likelihood = jax.jit(jax.grad(lambda p: model.target.log_terms(p, model.data)["y"].sum()))(position)
    np.testing.assert_array_equal(np.asarray(likelihood["deviation"]) == 0.0, ~data.known)
    prior = jax.jit(jax.grad(lambda p: model.target.log_terms(p, model.data)["deviation"].sum()))(position)
    assert np.all(np.asarray(prior["deviation"]) != 0.0)


def test_imputed_counts_have_the_mean_of_their_propensity() -> None:
    """100,000 counts, 5 standard errors: false alarms below 1e-6."""
    counts = np.asarray(heaping.true_counts(jax.random.key(0), jnp.full(100_000, 1.1)))
    assert counts.min() >= 1
    assert abs(counts.mean() - 1 - np.exp(1.1)) < 5 * np.sqrt(np.exp(1.1) / 100_000)


@pytest.mark.parametrize("people", [PEOPLE, 3])
def test_the_people_whose_counts_are_unknown_are_imputed(people: int) -> None:
    """Nobody else is; an expected exp(-50) drinks beyond the first are none, and exp(8) within 6 standard deviations
    (false alarms below 1e-6). Of three people every count is known."""
    data = alcohol.load(people)
    silent = ~data.known
    propensity = jnp.where(jnp.arange(people) % 2 == 0, -50.0, 8.0)
    model = build("alcohol", {"people": people})
    assert model.generative is not None
    found = np.asarray(model.generative.impute["y_unknown"](jax.random.key(1), {"propensity": propensity}, model.data))
    rate = np.exp(propensity[silent])
    assert found.shape == (silent.sum(),)
    assert np.all(np.abs(found - 1 - rate) <= 6 * np.sqrt(rate))
    np.testing.assert_array_equal(model.coords["nonrespondent"], data.people[silent])
    assert model.dims["y_unknown"] == ("nonrespondent",)
    assert silent.any() == (people == PEOPLE)


def test_names_and_groups(model: Model) -> None:
    assert model.target.dimension == 40 + PEOPLE
    assert build("alcohol", {"people": PEOPLE, "words": False}).target.dimension == 39 + PEOPLE
    assert model.dims["propensity"] == ("person",)
    assert model.dims["effect_age"] == ("age",)
    assert model.dims["effect_marital"] == ("marital",)
    assert list(model.coords["way"]) == ["exact", "half dozens", "round numbers", "words"]
    assert model.coords["age_step"][0] == "18-19 to 20-24"
    np.testing.assert_array_equal(model.coords["person"], alcohol.load(PEOPLE).people)
    assert model.target.term_kinds["y"] == "likelihood"


def test_the_structure_is_found(model: Model) -> None:
    data, key = alcohol.load(PEOPLE), jax.random.key(0)
    position = jax.jit(model.target.initial)(key, model.data)
    structure = discover(model.target, model.data, position, key=key)
    found = {level.name: (level.n_blocks, level.width, level.leaf) for level in structure.levels}
    assert found == {"global": (2, 39, False), "person": (PEOPLE, 1, True)}
    assert [sentence for sentence in structure.joined if not sentence.startswith("level 'global'")] == []
    level = structure.level("person")
    np.testing.assert_array_equal(level.owners["deviation"].owner[structure.cells["deviation"].owner], range(PEOPLE))
    answered = np.flatnonzero(data.known)
    np.testing.assert_array_equal(level.owners["y"].owner[structure.cells["y"].owner], answered)
    moves = find_interweavings(model.target, structure, model.data, position, key)
    assert {(move.kind, move.parent, move.child, move.center) for move in moves} == {
        ("scale", "sd_region", "effect_region", None),
        ("scale", "sd_education", "effect_education", None),
        ("scale", "sd_ethnicity", "effect_ethnicity", None),
        ("scale", "sd_marital", "effect_marital", None),
        ("scale", "sd_age", "step_age", None),
        ("scale", "sd_person", "deviation", None),
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"people": "some"}, r'people = \'some\'; allowed are "all" and a number of people'),
        ({"people": False}, r"people = False; allowed"),
        ({"words": 1}, r"words = 1; allowed are true and false"),
        ({"people": 30_000}, r'choose between 1 and 26946, the number of people, or "all"'),
        ({"person": 3}, r"does not take person; its settings are: people = 'all', words = True"),
    ],
)
def test_wrong_settings_are_refused(keys: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build("alcohol", keys)
