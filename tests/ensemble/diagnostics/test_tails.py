"""Tails and signs: what a run knows of them from counts, against known values and against whole chains.

Seeds are fixed, and tolerances are at least five standard errors: a right program with another seed fails less than
once in 1e6.
"""

import arviz
import numpy as np
import pytest
from scipy.stats import norm

from ensemble.diagnostics import accumulators
from ensemble.diagnostics.convergence import diagnose, rhat_limit
from ensemble.protocol import events
from ensemble.protocol.events import TAIL
from tests.ensemble.diagnostics.test_diagnostics import REPLICAS, SUPERCHAINS, SWEEPS, chains


def diagnosed(x):
    """Diagnostics of draws [draws, K, M, coordinates] with the events of a level x of unit spread about zero."""
    draws, superchains, replicas, coordinates = x.shape
    rounds = np.moveaxis(x, 1, 0).reshape(superchains, draws // SWEEPS, SWEEPS, replicas, 1, coordinates)
    reports = []
    for superchain in rounds:
        sums = accumulators.empty()
        for block in superchain:
            seen = {"x": block, events.below("x"): block < -TAIL, events.above("x"): block > TAIL}
            total = {name: values.sum(axis=0).astype(float) for name, values in seen.items()}
            square = {name: (values.astype(float) ** 2).sum(axis=(0, 1)) for name, values in seen.items()}
            square[events.positive("x")] = (block > 0).sum(axis=(0, 1)).astype(float)
            sums = accumulators.absorb(sums, total, square)
        reports.append(accumulators.pooled(sums))
    return diagnose(reports, accumulators.collect(accumulators.NOTHING, reports), replicas, SWEEPS)


def test_a_tail_begins_where_a_normal_density_has_a_twentieth_left():
    assert norm.sf(TAIL) == pytest.approx(0.05)


def test_the_share_of_positive_values():
    x = chains((0.0, 0.0), 40) + np.array([0.0, 1.0])
    share = diagnosed(x).positive["x"][0]
    np.testing.assert_array_equal(share, (x > 0).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(share, norm.cdf([0.0, 1.0]), atol=5 * 0.5 / np.sqrt(x[..., 0].size))


def test_tail_ess_is_that_of_the_indicators():
    """Against ArviZ's ESS of a quantile, from whole chains, at the tails of autoregressive chains."""
    x = chains((0.0, 0.5, 0.9), 160)
    found = diagnosed(x).tail_ess["x"][0]
    whole = np.moveaxis(x, 0, 2).reshape(SUPERCHAINS * REPLICAS, -1, x.shape[-1])
    expected = [
        min(arviz.ess(whole[..., k], method="quantile", prob=prob) for prob in (0.05, 0.95)) for k in range(x.shape[-1])
    ]
    np.testing.assert_allclose(found / expected, 1.0, atol=0.4)


def test_superchains_of_one_mean_and_unequal_widths_show_in_the_tails_alone():
    """What folded R-hat sees (Vehtari et al. 2021), and nested R-hat of means cannot.

    It is sqrt(1 + B / W) of the shares in a tail, p of seven and q of one superchain: B = (q - p)^2 / 8,
    W = (7 p (1 - p) + q (1 - q)) / 8.
    """
    x = chains((0.0,), 160) * np.where(np.arange(SUPERCHAINS) == 3, 3.0, 1.0)[None, :, None, None]
    found = diagnosed(x)
    assert found.rhat["x"][0, 0] < 1.01
    p, q = norm.sf(TAIL), norm.sf(TAIL / 3)
    expected = np.sqrt(1 + (q - p) ** 2 / (7 * p * (1 - p) + q * (1 - q)))
    assert found.tail_rhat["x"][0, 0] == pytest.approx(expected, abs=0.01)
    assert found.tail_rhat["x"][0, 0] > rhat_limit(1, 400, SUPERCHAINS)


def test_a_tail_that_nothing_lies_in_is_not_known():
    """A density that ends within 1.645 standard deviations of its mean has no such tail."""
    found = diagnosed(np.abs(chains((0.0,), 40)))
    assert np.isfinite(found.tail_ess["x"]).all()
    found = diagnosed(np.clip(chains((0.0,), 40), -1.0, 1.0))
    assert np.isnan(found.tail_ess["x"]).all()
    assert np.isnan(found.tail_rhat["x"]).all()
