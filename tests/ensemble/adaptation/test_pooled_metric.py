"""The pooled metric: exact for normal targets whatever the law of the states, in each of its forms."""

import numpy as np
import pytest

from ensemble.adaptation import pooled_metric
from ensemble.adaptation.moments import Moments
from ensemble.protocol.statistics import Sketch, SketchSums, summed
from kernels.dynamics.metric import LowRank, multiply

P, B, N = 6, 3, 400


def precision(block, width=P):
    """A well-mixed precision matrix with eigenvalues from 0.01 to 100."""
    rotation = np.linalg.qr(np.random.default_rng(block).normal(size=(width, width)))[0]
    return rotation @ np.diag(np.logspace(-2, 2, width)) @ rotation.T


def moments_of(x, dense=True):
    """Moments of values [N, p, B]."""
    centred = x - x.mean(axis=0)
    scatter = np.einsum("rib,rjb->ijb", centred, centred) if dense else (centred**2).sum(axis=0)
    return Moments(np.full(x.shape[2], float(len(x))), x.mean(axis=0), scatter)


def states(law, width=P, blocks=B):
    """States [N, p, B] of a law that has nothing to do with the target."""
    rng = np.random.default_rng(7)
    normal = rng.normal(size=(N, width, blocks))
    return {"narrow": 1e-3 * normal, "wide": 1e3 * normal + 50.0, "skewed": np.exp(normal)}[law]


@pytest.mark.parametrize("law", ["narrow", "wide", "skewed"])
def test_dense_metric_is_the_covariance_of_a_normal_target_for_any_states(law):
    x = states(law)
    gradients = np.stack([-x[:, :, b] @ precision(b) for b in range(B)], axis=2)
    previous = np.repeat(np.eye(P)[:, :, None], B, axis=2)
    found = pooled_metric.factor(moments_of(x), moments_of(gradients), previous)
    for b in range(B):
        np.testing.assert_allclose(found[:, :, b] @ found[:, :, b].T @ precision(b), np.eye(P), atol=1e-6)
        assert (np.triu(found[:, :, b], 1) == 0).all()


def test_diagonal_metric_is_the_ratio_of_sds():
    x = states("skewed")
    scale = np.linspace(0.1, 3.0, P)[:, None]
    found = pooled_metric.factor(moments_of(x, False), moments_of(-x / scale**2, False), np.ones((P, B)))
    np.testing.assert_allclose(found, np.broadcast_to(scale, (P, B)), rtol=1e-12)


def test_variance_alone_would_not_see_it():
    """The control: states away from equilibrium have another variance than the target."""
    x = states("narrow")
    assert not np.allclose(np.sqrt(x.var(axis=0)), np.linspace(0.1, 3.0, P)[:, None], rtol=0.5)


def test_too_few_states_give_a_diagonal():
    """Below two states a coordinate the small eigenvalues of a covariance are noise."""
    x = states("wide")[: 2 * P - 1]
    gradients = np.stack([-x[:, :, b] @ precision(b) for b in range(B)], axis=2)
    found = pooled_metric.factor(moments_of(x), moments_of(gradients), np.repeat(np.eye(P)[:, :, None], B, axis=2))
    assert (found[~np.eye(P, dtype=bool)] == 0).all()
    assert (found[np.eye(P, dtype=bool)] > 0).all()


def test_padding_of_a_narrow_block_has_a_unit():
    x = states("wide")
    x[:, -1, 1] = 0.0
    narrow = precision(7, P - 1)
    gradients = np.stack([-x[:, :, b] @ precision(b) for b in range(B)], axis=2)
    gradients[:, :, 1] = np.pad(-x[:, :-1, 1] @ narrow, ((0, 0), (0, 1)))
    found = pooled_metric.factor(moments_of(x), moments_of(gradients), np.repeat(np.eye(P)[:, :, None], B, axis=2))
    np.testing.assert_allclose(found[:-1, :-1, 1] @ found[:-1, :-1, 1].T @ narrow, np.eye(P - 1), atol=1e-6)
    np.testing.assert_allclose(found[-1, :, 1], np.eye(P)[-1], atol=1e-9)


def test_a_block_without_spread_keeps_its_factor():
    x = states("wide")
    x[:, :, 1] = 3.0
    previous = np.random.default_rng(0).uniform(1, 2, size=(P, B))
    found = pooled_metric.factor(moments_of(x, False), moments_of(-x, False), previous)
    np.testing.assert_array_equal(found[:, 1], previous[:, 1])
    np.testing.assert_allclose(found[:, [0, 2]], 1.0)
    dense = np.random.default_rng(0).uniform(1, 2, size=(P, P, B))
    kept = pooled_metric.factor(moments_of(x), moments_of(-x * (x != 3.0)), dense)
    np.testing.assert_array_equal(kept[:, :, 1], dense[:, :, 1])


def test_geometric_mean_solves_its_equation():
    one, other = precision(0), precision(1)
    factor = pooled_metric.geometric_mean(one, other)
    sigma = factor @ factor.T
    np.testing.assert_allclose(sigma @ other @ sigma, one, rtol=1e-9, atol=1e-9)


def test_geometric_mean_of_what_has_none():
    assert pooled_metric.geometric_mean(-np.eye(2), np.eye(2)) is None


def test_low_rank_metric_finds_the_directions_that_the_diagonal_misses():
    """A target of unit diagonal precision but for one wide and one stiff direction, found by subspace iteration."""
    width, rank = 40, 4
    rng = np.random.default_rng(3)
    wide, stiff = np.linalg.qr(rng.normal(size=(width, 2)))[0].T
    target = np.eye(width) + 99.0 * np.outer(stiff, stiff) - 0.99 * np.outer(wide, wide)
    x = rng.normal(size=(2000, width)) @ np.linalg.cholesky(np.linalg.inv(target)).T
    gradients = -x @ target
    known = moments_of(x[:, :, None], False), moments_of(gradients[:, :, None], False)
    factor = LowRank(np.ones((width, 1)), np.eye(width, rank), np.ones(rank))
    sketch = np.linalg.qr(rng.normal(size=(width, rank)))[0]
    for _ in range(6):
        statistics = [
            sketched(x[part], gradients[part], factor.scale[:, 0], sketch) for part in np.split(np.arange(2000), 4)
        ]
        factor, sketch = pooled_metric.low_rank(*known, factor, sketch, summed(statistics))
    dense = as_matrix(factor)
    diagonal = np.diag(factor.scale[:, 0])
    # The diagonal itself bends to the two directions, so that the rest is not perfectly round either.
    assert condition(dense.T @ target @ dense) < 0.1 * condition(diagonal @ target @ diagonal)


def condition(matrix):
    """Largest eigenvalue over the smallest."""
    values = np.linalg.eigvalsh(matrix)
    return values[-1] / values[0]


def as_matrix(factor):
    """L itself."""
    columns = [np.asarray(multiply(factor, column[:, None]))[:, 0] for column in np.eye(len(factor.scale))]
    return np.stack(columns, axis=1)


def sketched(x, gradients, scale, sketch):
    """What a shard sends."""
    along = [(values @ sketch, values) for values in (x / scale, gradients * scale)]
    return Sketch(*(SketchSums(a.T @ a, values.T @ a) for a, values in along))
