"""Common laws are learned from the shards' quantiles and used for coordinates with heavy tails across the blocks."""

import jax
import numpy as np
import pytest
from scipy import stats

from ensemble.adaptation.common_laws import FEWEST, first_law, in_use, learned, schedule
from ensemble.protocol.sweep_spec import KernelSpec
from ensemble.shard.level_kernels.metropolis import Kernel
from kernels.structure.discovery import discover
from kernels.transitions.common_law import PROBABILITIES
from tests.support.models.structure_models import genes, zeros

INNER = np.clip(PROBABILITIES, 1e-5, 1 - 1e-5)


def law(*distributions, acceptance=1.0):
    """Learned from exact quantiles of these distributions, one for each coordinate."""
    knots = np.stack([one.ppf(INNER) for one in distributions])
    return learned(first_law(len(knots), 4), [knots], np.full(len(knots), acceptance), np.full(4, 0.5), 0)


def test_a_spike_with_far_values_is_drawn_and_a_normal_law_is_not():
    found = law(stats.norm(3.0, 2.0), stats.t(2.0), stats.t(12.0), stats.t(1.5, 0.0, 0.05))
    np.testing.assert_array_equal(in_use(found), [1, 3])


def test_what_the_blocks_refuse_is_not_drawn():
    assert in_use(law(stats.t(2.0), acceptance=0.01)).size == 0


def test_nothing_is_drawn_before_anything_is_known():
    assert in_use(first_law(3, 4)).size == 0
    assert (schedule(first_law(3, 4), 8, 5) == -1).all()


def test_every_second_sweep_draws_the_coordinates_in_turn():
    found = law(stats.t(2.0), stats.norm(), stats.t(1.5))
    rounds = np.concatenate([schedule(found, 8, round_) for round_ in range(3)])
    assert (rounds[::2] == -1).all()
    np.testing.assert_array_equal(rounds[1::2], np.tile([0, 2], 6))


def test_acceptance_of_what_was_not_tried_stays():
    before = law(stats.t(2.0), stats.t(2.0), acceptance=0.4)
    after = learned(before, [np.asarray(before.knots)] * 3, np.array([0.0, np.nan]), np.full(4, 0.5), 2)
    assert after.acceptance[0] < 0.4
    assert after.acceptance[1] == 0.4
    np.testing.assert_allclose(after.knots, before.knots)


def test_blocks_draw_more_often_the_less_their_own_fits_are_accepted():
    """Always where a fit is accepted less than one time in five, in a quarter of the sweeps from four in five."""
    found = first_law(1, 4)
    for _ in range(3):
        found = learned(found, [np.asarray(found.knots)], np.ones(1), np.array([0.0, 0.4, 0.8, np.nan]), 0)
    np.testing.assert_allclose(found.share, [1.0, 0.5, 0.25, 1.0])


@pytest.mark.parametrize(("blocks", "has"), [(FEWEST, True), (FEWEST - 1, False)])
def test_levels_of_many_blocks_have_common_laws(blocks, has):
    target, data = genes(blocks)
    structure = discover(target, data, zeros(target), key=jax.random.key(0))
    told = KernelSpec(metric="dense")
    assert (Kernel(structure.level("gene"), told).first().common is not None) == has
    assert Kernel(structure.level("global"), told).first().common is None
