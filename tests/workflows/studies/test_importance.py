"""Adaptive importance sampling on densities that are known, and the stock mixed model against the shipped one."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from workflows.modelling.stock import stock
from workflows.models.glmm.model import build
from workflows.studies.references import importance
from workflows.studies.references.agreement import of_reference, sites_of
from workflows.studies.references.importance import (
    Mixture,
    Sample,
    fitted,
    flat_density,
    run,
    summarise,
    tempered,
    weighed,
)

REFERENCES = Path(__file__).parents[2] / "references"
MAIN, SMALL = np.zeros(3), np.array([5.0, 0.0, -4.0])
SHARE = 0.02
PARTS = ((1.0 - SHARE, multivariate_normal(MAIN, np.eye(3))), (SHARE, multivariate_normal(SMALL, 0.16 * np.eye(3))))


def two_parts(x: np.ndarray) -> np.ndarray:
    """Log density, up to a constant, of a standard normal and a narrow part of a fiftieth of the mass."""
    return np.asarray(np.logaddexp(*(np.log(share) + law.logpdf(x) for share, law in PARTS))) + 7.0


@pytest.fixture
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "POINTS", 3000)


def test_a_small_part_far_away_is_found(few_points: None) -> None:
    """From a proposal ten times as wide: mean, sd and mass within six standard errors (a false alarm: below 1e-6)."""
    sample, course = run(two_parts, Mixture(np.ones(1), np.ones((1, 3)), 100.0 * np.eye(3)[None]), 0, 10_000)
    mean, variance = SHARE * SMALL, 1.0 - SHARE + 0.16 * SHARE + SHARE * (1.0 - SHARE) * SMALL**2
    assert sample.effective > 2000
    assert course[0][0] < 0.5, "the first round was to be a hard one"
    assert [power for power, _ in course[-importance.SETTLED :]] == [1.0] * importance.SETTLED
    found, error = sample.mean(sample.points)
    assert (np.abs(found - mean) < 6.0 * error).all()
    found, error = sample.mean((sample.points - mean) ** 2)
    assert (np.abs(found - variance) < 6.0 * error).all()
    found, error = sample.mean((sample.points[:, 0] > 3.0).astype(float))
    assert abs(found - SHARE) < 6.0 * error + 0.0015  # what the standard normal has beyond 3
    assert error < 0.2 * SHARE


def test_errors_of_equal_weights_are_those_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    sample = weighed(values, np.full(50, -3.0))
    mean, error = sample.mean(values)
    assert np.isclose(sample.effective, 50.0)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(error, values.std(axis=0) / np.sqrt(50))


def test_weights_keep_an_effective_share() -> None:
    rng = np.random.default_rng(1)
    points, log_weights = rng.normal(size=(1000, 2)), 20.0 * rng.normal(size=1000)
    sample, power = tempered(points, log_weights)
    assert 0.0 < power < 1.0
    np.testing.assert_allclose(sample.effective, importance.SHARE * 1000, rtol=1e-6)
    np.testing.assert_allclose(sample.weights, weighed(points, power * log_weights).weights)
    assert tempered(points, 0.1 * rng.normal(size=1000))[1] == 1.0


def test_densities_that_cannot_be_weighed_are_refused() -> None:
    points, log_weights = np.zeros((1000, 2)), np.full(1000, -np.inf)
    log_weights[:10] = 0.0
    with pytest.raises(ValueError, match="0 have a density that is NaN, and 10 one above 0; needed are none, and 20"):
        tempered(points, log_weights)
    with pytest.raises(ValueError, match="1 have a density that is NaN"):
        tempered(points, np.where(np.arange(1000) == 3, np.nan, 0.0))


def test_a_mixture_that_does_not_settle_is_no_reference(few_points: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "ROUNDS", 2)
    with pytest.raises(ValueError, match="not settled after 2 rounds"):
        run(two_parts, Mixture(np.ones(1), np.ones((1, 3)), 100.0 * np.eye(3)[None]), 0, 1000)


@pytest.mark.parametrize("name", importance.NAMES)
def test_shipped_references_are_of_the_present_model(name: str) -> None:
    with np.load(REFERENCES / f"{name}.npz", allow_pickle=False) as arrays:
        provenance = json.loads(str(arrays["provenance"]))
    assert provenance["arguments"] == importance.digest(stock(name))
    assert provenance["effective"] > 5000


def test_points_of_density_zero_have_no_weight() -> None:
    points = np.arange(4.0)[:, None]
    np.testing.assert_allclose(weighed(points, np.array([0.0, -np.inf, 0.0, 0.0])).weights, [1 / 3, 0.0, 1 / 3, 1 / 3])


def test_a_mixture_draws_what_its_density_says() -> None:
    """The mean of f / q over draws of q is the integral of f, 1, within six standard errors."""
    rng = np.random.default_rng(2)
    shares, means = np.array([0.3, 0.7]), np.array([[0.0, 0.0, 0.0], [4.0, 0.0, -3.0]])
    mixture = Mixture(shares, means, np.stack([2.0 * np.eye(3), np.eye(3)]))
    x = mixture.draw(rng, 20_000)
    ratio = np.exp(two_parts(x) - 7.0 - mixture.log_density(x))
    assert abs(ratio.mean() - 1.0) < 6.0 * ratio.std() / np.sqrt(20_000)
    assert ratio.std() < 5.0


def test_no_component_is_lost() -> None:
    """Clusters of points far apart, one of them with a single percent of the weight."""
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(size=(990, 2)), 30.0 + rng.normal(size=(10, 2))])
    mixture = fitted(Sample(points, np.full(1000, 1e-3)), rng)
    assert np.isclose(mixture.shares.sum(), 1.0)
    assert mixture.shares.min() > 0.5 * importance.LEAST
    assert np.abs(mixture.means - 30.0).max(axis=1).min() < 3.0


@pytest.mark.parametrize(("name", "variance"), [("glmm", 100.0), ("glmm_informed", 1.0)])
def test_the_stock_mixed_model_is_the_shipped_one(name: str, variance: float) -> None:
    """The same log density up to a constant; none where the components are the other way round, or one is empty."""
    density, shapes = flat_density(stock(name))
    model = build(estimator="exact", log_l_variance=variance)
    starts = [stock(name).start(chain) for chain in range(5)]
    x = np.stack([np.concatenate([np.ravel(start[site]) for site in shapes]) for start in starts])

    @jax.jit
    def ours(position: dict[str, jax.Array]) -> jax.Array:
        return sum(jnp.sum(term) for term in model.target.log_terms(position, model.data).values())

    expected = np.array([ours({site: jnp.asarray(value) for site, value in start.items()}) for start in starts])
    difference = density(x) - expected
    np.testing.assert_allclose(difference, difference[0], atol=1e-9)
    assert np.ptp(expected) > 1.0
    turned, empty = {**starts[0], "mu": starts[0]["mu"][::-1]}, {**starts[0], "logit_w": np.asarray(4.5)}
    outside = np.stack([np.concatenate([np.ravel(start[site]) for site in shapes]) for start in (turned, empty)])
    assert np.isneginf(density(outside)).all()


def test_summaries_are_references(tmp_path: Path) -> None:
    points = np.random.default_rng(4).normal(size=(100, 3))
    sample = weighed(points, np.zeros(100))
    table = summarise(sample, {"b": (2,), "a": ()}, ("a", "b"))
    np.savez(tmp_path / "r.npz", **table)
    assert sites_of(tmp_path / "r.npz") == ["a", "b"]
    found = of_reference(tmp_path / "r.npz")
    np.testing.assert_allclose(found.mean, points.mean(axis=0)[[2, 0, 1]])
    np.testing.assert_allclose(found.sd, points.std(axis=0)[[2, 0, 1]])
    fourth = ((points - points.mean(axis=0)) ** 2).std(axis=0) / 10.0
    np.testing.assert_allclose(found.sd_error, (fourth / (2.0 * points.std(axis=0)))[[2, 0, 1]])
