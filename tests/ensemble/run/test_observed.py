"""What is read off the statistics of rounds."""

import numpy as np

from ensemble.protocol.stages import SAMPLE, SCOUT
from ensemble.protocol.statistics import ChainSums, Rate
from ensemble.run.observed import add_divergences, add_gradients, added_pairs, failed_in, relocated_in
from tests.support.statistics import statistics_of


def test_gradients_are_those_of_a_chain():
    """Two shards of three replicas: 5 and 7 evaluations in lock-step, 12 and 18 of all replicas' own."""
    statistics = [statistics_of(gradients=np.array(pair)) for pair in ([5.0, 12.0], [7.0, 18.0])]
    before = {"scout": (1.0, 1.0), "sample": (100.0, 50.0)}
    assert add_gradients(before, SAMPLE, statistics, 3) == {"scout": (1.0, 1.0), "sample": (106.0, 55.0)}
    assert add_gradients({}, SCOUT, statistics, 3) == {"scout": (6.0, 5.0)}


def test_a_round_that_looks_for_no_stragglers_says_nothing_of_them():
    assert relocated_in([statistics_of(relocated=2), statistics_of(relocated=3)]) == (5,)
    assert relocated_in([statistics_of()] * 2) == ()


def test_divergences_are_counted_by_stage_over_all_shards():
    rate = Rate(np.zeros(3), np.zeros(3))
    chains = ChainSums(rate, trajectories=np.full(3, 8), divergences=np.array([0, 2, 1]))
    before = {"equilibrate": (7, 10), "sample": (1, 100)}
    found = add_divergences(before, SAMPLE, [statistics_of(chains=chains)] * 2)
    assert found == {"equilibrate": (7, 10), "sample": (7, 148)}
    assert add_divergences({}, SAMPLE, [statistics_of()] * 2) == {}


def test_trajectories_that_fail_are_counted_among_those_of_the_leading_level():
    rate = Rate(np.array([5.0, 6.0, 4.0]), np.full(3, 8.0))
    chains = ChainSums(rate, trajectories=np.full(3, 16), failed=np.array([0, 2, 1]))
    assert failed_in([statistics_of(chains=chains)] * 2) == (6, 48)
    assert added_pairs((4, 52), (6, 48)) == (10, 100)
    assert failed_in([statistics_of()] * 2) is None
    assert added_pairs((4, 52), None) == (4, 52)
