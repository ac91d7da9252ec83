"""Random keys: no two alike, and of nobody else."""

import itertools

import jax
import numpy as np

from ensemble.protocol.stages import SAMPLE, STAGES
from ensemble.shard.keys import relocation_key, replica_keys


def test_no_key_equals_another():
    """Seeds, stages, rounds and replicas, and the keys of starts, 6,000 in all: no two alike."""
    seen = [
        jax.random.key_data(replica_keys(seed, stage, round_, 0, (100,)))
        for seed, stage, round_ in itertools.product((0, 1, 2**40), STAGES, range(5))
    ]
    keys = np.concatenate(seen)
    assert len(keys) == 6000
    assert len(np.unique(keys, axis=0)) == len(keys)


def test_keys_of_stragglers_are_keys_of_nothing_else():
    seeds, rounds = (0, 1, 2**40), range(5)
    relocations = [
        jax.random.key_data(relocation_key(seed, round_, shard))
        for seed, round_, shard in itertools.product(seeds, rounds, range(8))
    ]
    others = [
        jax.random.key_data(replica_keys(seed, stage, round_, 0, (100,)))
        for seed, stage, round_ in itertools.product(seeds, STAGES, rounds)
    ]
    keys = np.concatenate([np.stack(relocations), *others])
    assert len(np.unique(keys, axis=0)) == len(keys) == 6120


def test_keys_of_a_replica_do_not_depend_on_who_else_is_asked_for():
    whole = jax.random.key_data(replica_keys(3, SAMPLE, 7, 0, (12,)))
    parts = [jax.random.key_data(replica_keys(3, SAMPLE, 7, first, (4,))) for first in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
