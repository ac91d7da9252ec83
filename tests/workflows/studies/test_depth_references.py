"""The depth benchmark: the reference moments of its densities."""

import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree

from tests.support.depth_moments import DIMENSIONS, unit_moments
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.studies.depth import (
    brownian,
    item_response,
    references,
)
from workflows.studies.depth.bias import own_b2
from workflows.studies.depth.references import Run, moments_of, sample
from workflows.studies.depth.targets import BUILDERS, EXACT, DepthTarget, build, depth_target, probe, reference_file

REFERENCES = Path(__file__).parents[2] / "references"


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(ModelError, match="no depth target is called 'ig'"):
        depth_target("ig")


def test_a_missing_reference_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"python -m workflows\.studies\.depth\.references german_credit"):
        depth_target("german_credit", tmp_path)


def test_a_reference_is_read_and_one_of_another_density_refused(tmp_path: Path) -> None:
    moments, path = unit_moments(51), tmp_path / reference_file("german_credit")
    right = probe(build("german_credit")).log_density
    np.savez(path, **moments._asdict(), provenance=json.dumps({"log_density_at_probe": right}))
    assert np.array_equal(depth_target("german_credit", tmp_path).reference.variance, moments.variance)
    np.savez(path, **moments._asdict(), provenance=json.dumps({"log_density_at_probe": right + 0.1}))
    with pytest.raises(ModelError, match="another density"):
        depth_target("german_credit", tmp_path)


def test_a_reference_run_refuses_targets_that_need_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'brownian' need no sampling"):
        references.main(["brownian", "--out", str(tmp_path)])


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - set(EXACT)))
def test_targets_without_moments_say_how_to_make_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"has no reference .* workflows\.studies\.depth\.references {name}"):
        depth_target(name, tmp_path)


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - set(EXACT)))
def test_references_are_precise_and_satisfy_the_identities_of_any_density(name: str) -> None:
    """E[dU/dx_i] = 0 and E[(x_i - m_i) dU/dx_i] = 1 held over the draws to 6 standard errors, the worst of all i."""
    target = depth_target(name)
    report = json.loads(str(np.load(REFERENCES / reference_file(name))["provenance"]))
    assert all(field.shape == (target.dimension,) for field in target.reference)
    assert own_b2(target.reference).max() < 1e-3
    assert own_b2(target.reference).mean() < 2e-4
    assert report["rhat_max"] < 1.02
    assert report["gradient_z_max"] < 6.0
    assert report["virial_z_max"] < 6.0


def test_the_brownian_moments_agree_with_plain_quadrature() -> None:
    """Given its two scales the path is Gaussian: conditioned by a Cholesky factor at every point of a coarser grid."""
    y, seen = brownian.simulate(), np.r_[0:10, 20:30]
    kernel = np.minimum.outer(np.arange(1.0, 31.0), np.arange(1.0, 31.0))
    weights, means, squares, fourths = [], [], [], []
    for log_a, log_b in itertools.product(np.arange(-12.0, 3.05, 0.1), repeat=2):
        prior = np.exp(2 * log_a) * kernel
        factor = np.linalg.cholesky(prior[np.ix_(seen, seen)] + np.exp(2 * log_b) * np.eye(20))
        white, half = np.linalg.solve(factor, y), np.linalg.solve(factor, prior[seen])
        path, variance = half.T @ white, np.diag(prior) - (half**2).sum(axis=0)
        evidence = -0.5 * white @ white - np.log(np.diag(factor)).sum()
        weights.append(evidence - 0.125 * (log_a**2 + log_b**2))
        means.append(np.r_[log_a, log_b, path])
        squares.append(np.r_[log_a**2, log_b**2, path**2 + variance])
        fourths.append(np.r_[log_a**4, log_b**4, path**4 + 6.0 * path**2 * variance + 3.0 * variance**2])
    weight, reference = scipy.special.softmax(weights), brownian.moments()
    assert weight @ np.array(means) == pytest.approx(reference.mean, rel=1e-5, abs=1e-6)
    assert weight @ np.array(squares) == pytest.approx(reference.square, rel=1e-5)
    assert weight @ np.array(fourths) - reference.square**2 == pytest.approx(reference.variance, rel=1e-4)


@pytest.mark.parametrize("name", references.EASIER)
def test_easier_coordinates_lead_to_the_targets_with_the_right_jacobian(name: str) -> None:
    """log |det| by differentiation of the map that flat vectors see."""
    target, change = DepthTarget(build(name), unit_moments(DIMENSIONS[name])), references.EASIER[name]
    start = jax.tree.map(lambda x: x[0], target.starts(jax.random.key(15), 1))
    flat, unflatten = ravel_pytree(start)
    jacobian = jax.jit(jax.jacfwd(lambda x: ravel_pytree(change(unflatten(x))[0])[0]))(flat)
    assert float(change(start)[1]) == pytest.approx(np.linalg.slogdet(jacobian)[1], rel=1e-9, abs=1e-9)


def test_the_levels_of_item_responses_are_the_means() -> None:
    position = {"mean": jnp.asarray(0.3), "ability": 40.0 * jnp.eye(400)[0], "difficulty": 5.0 * jnp.eye(100)[0]}
    changed, _ = item_response.from_levels(position)
    assert changed["ability"] == pytest.approx(np.full(400, 2.0))
    assert changed["difficulty"] == pytest.approx(np.full(100, 0.5))
    assert float(changed["mean"]) == pytest.approx(0.3 - 2.0 + 0.5)


def test_the_reference_run_finds_the_moments_of_a_known_density() -> None:
    """Each of 4 moments within 6 of its own Monte Carlo errors (false alarm 1e-8), the errors themselves small."""
    draws = sample(_small_gaussian(), Run(4, 200, 500), seed=5)
    moments, worst = moments_of(draws.flat)
    assert draws.flat.shape == (4, 500, 2)
    assert np.abs(moments.mean - [1.0, -1.0]).max() < 6 * moments.mean_error.max()
    assert np.abs((moments.square - [2.0, 5.0]) / moments.square_error).max() < 6.0
    assert moments.square_error.max() < 0.5
    assert worst["rhat_max"] < 1.05


def _small_gaussian() -> Model:
    """N(1, 1) and N(-1, 2), independent, as sites a and b."""
    return function_model(
        lambda position, data: -0.5 * (position["a"] - 1.0) ** 2 - 0.5 * ((position["b"] + 1.0) / 2.0) ** 2,
        {"a": (), "b": ()},
        name="small",
    )
