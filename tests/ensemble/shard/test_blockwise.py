"""Starts drawn block by block about modes: the law of a block, what they reach, and for which models they are."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ensemble.shard.starts.blockwise import FEWEST, Levelwise, Place, misfit, one_turn, suits, turned
from kernels.dynamics.metric import cholesky, solve_transposed
from kernels.state import LevelView, evaluate, log_density
from kernels.structure.discovery import discover
from kernels.structure.interweaving_discovery import find_interweavings
from kernels.target import Site
from tests.support.models.structure_models import make_target, normal

GROUPS = 300
SD, NOISE = 0.7, 0.5


@cache
def hierarchy():
    """x_g ~ N(mu, e^s), y_g ~ N(x_g, NOISE), with data of mu = 2, sd = SD."""

    def log_terms(p, y):
        return {
            "mu": normal(p["mu"], 0.0, jnp.log(10.0)),
            "s": normal(p["s"], 0.0, 0.0),
            "x": normal(p["x"], p["mu"], p["s"]),
            "y": normal(y, p["x"], jnp.log(NOISE)),
        }

    target = make_target(log_terms, Site("x", (GROUPS,), ("group",)), Site("mu", ()), Site("s", ()))
    rng = np.random.default_rng(3)
    y = jnp.asarray(2.0 + np.hypot(SD, NOISE) * rng.normal(size=GROUPS))
    structure = discover(target, y, {n: np.zeros(s.shape) for n, s in target.sites.items()}, key=jax.random.key(0))
    return target, structure, y


def test_blocks_are_drawn_from_their_conditional_law() -> None:
    """Normal given mu and s; standardised draws of all groups, from a far start, by Kolmogorov and Smirnov (1e-7)."""
    target, structure, y = hierarchy()
    draw = jax.jit(Levelwise(LevelView(target, structure, structure.level("group"))).drawn)
    far = {"mu": jnp.asarray(2.0), "s": jnp.asarray(np.log(SD)), "x": jnp.full(GROUPS, 40.0)}
    place = Place(far, far)
    for number in range(30):
        place = draw(jax.random.key(number), place, y, jnp.asarray(15))
    precision = 1 / SD**2 + 1 / NOISE**2
    mean = (2.0 / SD**2 + np.asarray(y) / NOISE**2) / precision
    np.testing.assert_allclose(place.modes["x"], mean, atol=1e-6)
    standardised = (np.asarray(place.position["x"]) - mean) * np.sqrt(precision)
    assert stats.kstest(standardised, "norm").pvalue > 1e-7


def test_a_far_start_comes_to_the_bulk() -> None:
    """The log density of 302 coordinates in equilibrium has a standard deviation of about 12."""
    target, structure, y = hierarchy()
    zeros = {n: np.zeros(s.shape) for n, s in target.sites.items()}
    moves = find_interweavings(target, structure, y, zeros, jax.random.key(1))
    far = {"mu": jnp.asarray(-30.0), "s": jnp.asarray(2.5), "x": jnp.full(GROUPS, 25.0)}
    starts = turned(jax.jit(one_turn(target, structure, moves)), jax.random.key(4), far, y, 3)
    truth = {"mu": jnp.asarray(2.0), "s": jnp.asarray(np.log(SD)), "x": jnp.zeros(GROUPS)}
    precision = 1 / SD**2 + 1 / NOISE**2
    mean = (2.0 / SD**2 + y / NOISE**2) / precision
    truth["x"] = mean + jax.random.normal(jax.random.key(5), (GROUPS,)) / np.sqrt(precision)
    heights = [float(log_density(evaluate(target, structure, one, y).cells)) for one in (far, truth, *starts)]
    assert heights[0] < heights[1] - 10_000
    assert all(abs(height - heights[1]) < 100 for height in heights[2:])
    assert len({float(one["x"][0]) for one in starts}) == 3


def test_cholesky_of_many_small_matrices() -> None:
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(4, 3, 3))
    matrices = np.einsum("bij,bkj->bik", roots, roots)
    found = np.asarray(cholesky(jnp.asarray(matrices.transpose(1, 2, 0)))).transpose(2, 0, 1)
    np.testing.assert_allclose(found, np.linalg.cholesky(matrices), rtol=1e-9, atol=1e-12)
    vectors = rng.normal(size=(4, 3))
    solved = np.asarray(solve_transposed(jnp.asarray(found.transpose(1, 2, 0)), jnp.asarray(vectors.T))).T
    np.testing.assert_allclose(np.einsum("bji,bj->bi", found, solved), vectors, rtol=1e-9, atol=1e-12)
    assert np.isnan(np.asarray(cholesky(-jnp.ones((1, 1, 1))))).all()


def test_models_without_a_gradient_or_with_auxiliary_variables_are_not_for_it() -> None:
    target, structure, _ = hierarchy()
    assert misfit(target, structure) is None
    assert suits(target, structure) == (GROUPS >= FEWEST)
    assert "no gradient" in str(misfit(replace(target, has_gradient=False), structure))
    assert "auxiliary" in str(misfit(replace(target, auxiliary=frozenset({"x"})), structure))


@pytest.mark.parametrize("groups", [FEWEST, FEWEST - 1])
def test_models_of_few_blocks_are_left_alone(groups: int) -> None:
    def log_terms(p, data):
        return {"x": normal(p["x"], 0.0, 0.0)}

    target = make_target(log_terms, Site("x", (groups,), ("group",)))
    structure = discover(target, None, {"x": np.zeros(groups)}, key=jax.random.key(0))
    assert suits(target, structure) == (groups >= FEWEST)
