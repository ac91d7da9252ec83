"""The census data and the census model: what is read, the density by plain NumPy, the structure that is found."""

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
from workflows.modelling.distributions.student_t import StudentT
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model
from workflows.modelling.registry import build
from workflows.models.census import dataset as census
from workflows.models.census.model import COEFFICIENTS

AREAS = 40


@pytest.fixture(scope="module")
def model() -> Model:
    return build("census", {"areas": AREAS})


def test_the_whole_data_set() -> None:
    data = census.load()
    assert (len(data.log_income), len(data.areas), len(data.states)) == (29_501, 2_024, 51)
    workers = np.bincount(data.area, minlength=2_024)
    assert (workers.min(), workers.max(), (workers == 1).sum()) == (1, 54, 45)
    assert data.areas[data.area[0]] == "South Carolina 100"
    assert (data.education[0], data.log_income[0], data.experience[0]) == (13.0, 6.471038, 37.0)
    assert (data.education.min(), data.education.max()) == (9.0, 16.0)
    assert (data.experience.min(), data.experience.max()) == (3.0, 49.0)
    assert len(set(data.areas)) == 2_024
    assert all(name.startswith(data.states[state] + " ") for name, state in zip(data.areas, data.state, strict=True))
    np.testing.assert_allclose([data.log_income.mean(), data.log_income.std()], [6.636277, 0.721708], atol=1e-6)


def test_a_subset_of_areas_keeps_all_their_workers() -> None:
    whole, part = census.load(), census.load(100)
    chosen = np.sort(np.random.default_rng(0).choice(2_024, 100, replace=False))
    np.testing.assert_array_equal(part.areas, whole.areas[chosen])
    inside = np.isin(whole.area, chosen)
    np.testing.assert_array_equal(part.log_income, whole.log_income[inside])
    np.testing.assert_array_equal(part.areas[part.area], whole.areas[whole.area[inside]])
    np.testing.assert_array_equal(part.states[part.state], whole.states[whole.state[chosen]])
    assert set(part.state) == set(range(len(part.states)))


@pytest.mark.parametrize("areas", [0, 2_025])
def test_an_impossible_subset_is_refused(areas: int) -> None:
    with pytest.raises(ValueError, match=rf"areas = {areas}: choose between 1 and 2024, the number of areas"):
        census.load(areas)


def test_a_flipped_bit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip_a_bit(monkeypatch, tmp_path, "census", "workers.tsv.gz")
    with pytest.raises(DatasetError, match=r"census/workers.tsv.gz has SHA-256 .* the file was changed"):
        census.load()


@pytest.mark.parametrize("freedom", [0.7, 4.0, 300.0])
def test_student_t_agrees_with_scipy(freedom: float) -> None:
    y = np.array([-400.0, -3.0, 0.0, 1.5, 12.0])
    found = StudentT(jnp.float64(freedom), jnp.float64(1.5), jnp.float64(0.6)).log_prob(jnp.asarray(y))
    np.testing.assert_allclose(found, scipy.stats.t.logpdf(y, freedom, 1.5, 0.6), rtol=1e-12)


def test_student_t_draws_follow_their_law() -> None:
    """Kolmogorov-Smirnov distance of 20,000 draws: below .019 but for 1 in 10^6 samples."""
    draws = StudentT(jnp.float64(4.0), jnp.float64(1.0), jnp.float64(2.0)).sample(jax.random.key(0), (20_000,))
    assert scipy.stats.kstest(np.asarray(draws), scipy.stats.t(4.0, 1.0, 2.0).cdf).statistic < 0.019


def drawn(model: Model, number: int = 0) -> dict[str, jax.Array]:
    """A random position: a prior draw moved by standard normals."""
    key = jax.random.key(number)
    start = jax.jit(model.target.initial)(key, model.data)
    keys = jax.random.split(key, len(start))
    return {
        name: value + 0.3 * jax.random.normal(k, value.shape)
        for k, (name, value) in zip(keys, start.items(), strict=True)
    }


@pytest.mark.parametrize(
    ("correlated", "residual"),
    [
        (True, "student"),
        pytest.param(True, "normal", marks=pytest.mark.slow),
        pytest.param(False, "student", marks=pytest.mark.slow),
        (False, "normal"),
    ],
)
def test_the_terms_by_plain_numpy(correlated: bool, residual: str) -> None:
    model = build("census", {"areas": AREAS, "correlated": correlated, "residual": residual})
    data, normal = census.load(AREAS), scipy.stats.norm.logpdf
    position = drawn(model)
    p = {name: np.asarray(value) for name, value in position.items()}
    terms = {name: np.asarray(value) for name, value in jax.jit(model.target.log_terms)(position, model.data).items()}
    values = {name: np.asarray(v) for name, v in jax.jit(model.target.constrain)(position, model.data).items()}
    e, x = (data.education - 13) / 2, (data.experience - 24) / 10
    factor = values["cholesky"] if correlated else np.eye(4)
    scale = np.diag([np.exp(p[f"sd_area_{name}"]) for name in COEFFICIENTS])
    b = np.stack([p[f"state_{name}"] for name in COEFFICIENTS], axis=1)[data.state] + p["z"] @ (scale @ factor).T
    np.testing.assert_allclose(values["coefficients"], b, rtol=1e-10, atol=1e-12)
    mean = (np.stack([np.ones_like(e), e, x, x**2 - 1], axis=1) * b[data.area]).sum(axis=1)
    sigma = np.exp(p["sigma"])
    if residual == "student":
        nu = np.exp(p["nu"])
        np.testing.assert_allclose(terms["y"], scipy.stats.t.logpdf(data.log_income, nu, mean, sigma), rtol=1e-10)
        assert float(terms["nu"]) == pytest.approx(scipy.stats.gamma.logpdf(nu, 2, scale=10) + p["nu"], rel=1e-12)
    else:
        np.testing.assert_allclose(terms["y"], normal(data.log_income, mean, sigma), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(terms["z"], normal(p["z"]).sum(axis=1), rtol=1e-12)
    assert float(terms["sigma"]) == pytest.approx(scipy.stats.halfnorm.logpdf(sigma) + p["sigma"], rel=1e-12)
    for name in COEFFICIENTS:
        mu, sd = p[f"mu_{name}"], np.exp(p[f"sd_state_{name}"])
        np.testing.assert_allclose(terms[f"state_{name}"], normal(p[f"state_{name}"], mu, sd), rtol=1e-10)
        centre, width = (6.5, 1.0) if name == "intercept" else (0.0, 0.5)
        assert float(terms[f"mu_{name}"]) == pytest.approx(normal(mu, centre, width), rel=1e-12)
        for site in (f"sd_state_{name}", f"sd_area_{name}"):
            expected = scipy.stats.gamma.logpdf(np.exp(p[site]), 2, scale=1 / 8) + p[site]
            assert float(terms[site]) == pytest.approx(expected, rel=1e-10)


def test_the_correlations_have_their_prior_up_to_its_constant(model: Model) -> None:
    """det(R)^(eta - 1) over the correlations r, eta = 2, with the Jacobian of r by the six free coordinates."""
    pairs = np.tril_indices(4, -1)

    @jax.jit
    def both(position):
        def correlations(free):
            return model.target.constrain({**position, "cholesky": free}, model.data)["correlation"][pairs]

        jacobian = jax.jacfwd(correlations)(position["cholesky"])
        matrix = model.target.constrain(position, model.data)["correlation"]
        plain = jnp.linalg.slogdet(matrix)[1] + jnp.linalg.slogdet(jacobian)[1]
        return model.target.log_terms(position, model.data)["cholesky"], plain

    found, plain = np.array([both(drawn(model, number)) for number in range(3)]).T
    np.testing.assert_allclose(np.diff(found), np.diff(plain), rtol=1e-8)


def test_an_area_of_one_worker_has_coefficients_of_its_own() -> None:
    data = census.load(1_000)
    alone = np.flatnonzero(np.bincount(data.area, minlength=1_000) == 1)
    assert alone.size > 10
    model = build("census", {"areas": 1_000})
    assert model.target.sites["z"].shape == (1_000, 4)
    np.testing.assert_array_equal(model.coords["area"], data.areas)


def test_names_and_sizes(model: Model) -> None:
    data = census.load(AREAS)
    assert model.target.dimension == 20 + 4 * len(data.states) + 4 * AREAS
    assert model.dims["coefficients"] == ("area", "coefficient")
    assert model.dims["z"] == ("area", "coefficient")
    assert model.dims["state_education"] == ("state",)
    assert model.dims["correlation"] == ("coefficient", "other_coefficient")
    assert list(model.coords["coefficient"]) == list(COEFFICIENTS)
    np.testing.assert_array_equal(model.observed["y"], data.log_income)
    assert model.target.term_kinds["y"] == "likelihood"


def test_the_structure_is_found(model: Model) -> None:
    """Levels, blocks and owners with nothing declared, and the moves of scales and locations."""
    data, key = census.load(AREAS), jax.random.key(0)
    position = jax.jit(model.target.initial)(key, model.data)
    structure = discover(model.target, model.data, position, key=key)
    found = {level.name: (level.n_blocks, level.width, level.leaf) for level in structure.levels}
    assert found == {"global": (5, 12, False), "state": (len(data.states), 4, False), "area": (AREAS, 4, True)}
    assert [sentence for sentence in structure.joined if not sentence.startswith("level 'global'")] == []
    np.testing.assert_array_equal(structure.cells["y"].owner, data.area)
    moves = {(move.kind, move.parent, move.child) for move in find_interweavings(
        model.target, structure, model.data, position, key
    )}  # fmt: skip
    assert moves == {
        move
        for name in COEFFICIENTS
        for move in (("location", f"mu_{name}", f"state_{name}"), ("scale", f"sd_state_{name}", f"state_{name}"))
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"areas": "some"}, r'areas = \'some\'; allowed are "all" and a number of areas'),
        ({"areas": True}, r"areas = True; allowed"),
        ({"areas": 3_000}, r'choose between 1 and 2024, the number of areas, or "all"'),
        ({"correlated": "yes"}, r"correlated = 'yes'; allowed are true and false"),
        ({"residual": "cauchy"}, r"residual = 'cauchy'; allowed are student and normal"),
        ({"area": 3}, r"does not take area; its settings are: areas = 'all', correlated = True"),
    ],
)
def test_wrong_settings_are_refused(keys: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build("census", keys)
