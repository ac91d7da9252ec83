"""The small parts of the ensemble layer: the ledger as JSON, flat trees, keys, and functions compiled once."""

import itertools
import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.protocol.flat import flatten, prefixed, under, unflatten
from ensemble.run.ladder import LadderBooks
from ensemble.run.ledger import Goals, Ledger
from ensemble.run.summary import add_gradients, relocated_in
from ensemble.shard.compiled import Clock, Compiled
from ensemble.shard.keys import STAGES, relocation_key, replica_keys, stage_key
from tests.support.ensemble_models import tuning

FULL = Ledger(
    epoch=7,
    stage="sample",
    stage_round=3,
    settled=2,
    sweeps=112,
    draws=2,
    trace=(((-1.5, 2.0), (-2.25, 0.0)), ((-1e300, 3.0), (0.1, -1.0))),
    rates={"walk/g/0": (1.5, 3.0), "interweave/0": (0.0, 0.0)},
    useful=(True, False),
    virial=((0.9,), (1.5,)),
    relocated=(12, 0),
    nonfinite=4,
    goals=Goals(8, 1.01, None, 400.5, 900.0, None),
    ladder=LadderBooks(((1.5, 3.0),), 16, 2, (-1.5, -0.1), {"bridge": (-3.25, 0.1)}, ({"round": 1, "flow": 0.1},)),
    seconds={"wall": 0.1, "core": 0.2, "kernel": 0.3, "compile": 0.4},
    stages={"scout": (4, 4), "sample": (3, 24)},
    stage_seconds={"scout": 0.04, "sample": 0.06},
    stage_gradients={"scout": (2.0, 1.5), "sample": (5.0, 5.0)},
)


@pytest.mark.parametrize("ledger", [Ledger(), FULL])
def test_a_ledger_survives_json(ledger):
    assert Ledger.from_json(json.loads(json.dumps(ledger.to_json()))) == ledger


def test_a_ledger_differs_from_another():
    """The comparison above sees the smallest difference."""
    assert FULL._replace(trace=(*FULL.trace[:1], ((-1e300, 3.0), (np.nextafter(0.1, 1.0), -1.0)))) != FULL


def test_new_ledgers_share_nothing_that_changes():
    with pytest.raises(TypeError):
        Ledger().rates["walk/g/0"] = (1.0, 1.0)  # type: ignore[index]


class Pair(NamedTuple):
    first: np.ndarray
    second: dict[str, tuple[np.ndarray, ...]]


def test_flatten_names_leaves_by_their_path():
    tree = Pair(np.arange(3), {"x": (np.float32(1.5), np.arange(2) > 0), "a*b": ()})
    flat = flatten(tree)
    assert sorted(flat) == ["first", "second/x/0", "second/x/1"]
    back = unflatten(tree, flat)
    assert isinstance(back, Pair)
    assert back.second["a*b"] == ()
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(tree), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_unflatten_reads_below_a_prefix_and_misses_nothing_silently():
    flat = prefixed("here", flatten({"x": np.ones(2)}))
    assert list(flat) == ["here/x"]
    np.testing.assert_array_equal(unflatten({"x": 0}, flat, "here/")["x"], np.ones(2))
    with pytest.raises(KeyError):
        unflatten({"x": 0, "y": 0}, flat, "here/")


def test_under_takes_whole_names_only():
    arrays = {"walk/g/0": np.zeros(1), "walking/g": np.zeros(1), "walk": np.zeros(1)}
    assert list(under("walk", arrays)) == ["g/0"]


def test_no_key_equals_another():
    """Seeds, stages, rounds and replicas, and the keys of starts, 6,000 in all: no two alike."""
    seen = [
        jax.random.key_data(replica_keys(seed, stage, round_, 0, 100))
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
        jax.random.key_data(replica_keys(seed, stage, round_, 0, 100))
        for seed, stage, round_ in itertools.product(seeds, STAGES, rounds)
    ]
    keys = np.concatenate([np.stack(relocations), *others])
    assert len(np.unique(keys, axis=0)) == len(keys) == 6120


def test_gradients_are_those_of_a_chain():
    """Two shards of three replicas: 5 and 7 evaluations in lock-step, 12 and 18 of all replicas' own."""
    statistics = [{"gradients": np.array([5.0, 12.0])}, {"gradients": np.array([7.0, 18.0])}]
    before = {"scout": (1.0, 1.0), "sample": (100.0, 50.0)}
    assert add_gradients(before, "sample", statistics, 3) == {"scout": (1.0, 1.0), "sample": (106.0, 55.0)}
    assert add_gradients({}, "scout", statistics, 3) == {"scout": (6.0, 5.0)}
    assert FULL.gradients == (7.0, 6.5)


def test_a_round_that_looks_for_no_stragglers_says_nothing_of_them():
    assert relocated_in([{"relocated": np.asarray(2)}, {"relocated": np.asarray(3)}]) == (5,)
    assert relocated_in([{"lp": np.zeros(3)}] * 2) == ()


def test_keys_of_a_replica_do_not_depend_on_who_else_is_asked_for():
    whole = jax.random.key_data(replica_keys(3, "sample", 7, 0, 12))
    parts = [jax.random.key_data(replica_keys(3, "sample", 7, first, 4)) for first in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_unknown_stages_have_no_key():
    with pytest.raises(ValueError, match="not in tuple"):
        stage_key(0, "warmup", 0)


def counted():
    """A compiled function of tuning, and the list of its traces."""
    traces = []

    def scaled(x, tuning):
        traces.append(x.shape)
        return x * jnp.sum(tuning.levels["g"][0].log_scale)

    return Compiled(scaled, Clock()), traces


def test_compiled_once_for_all_values_of_the_controls():
    compiled, traces = counted()
    for value in range(4):
        start = tuning()
        level = start.levels["g"][0]._replace(log_scale=np.full(5, float(value)))
        changed = start._replace(levels={**start.levels, "g": (level,)})
        np.testing.assert_array_equal(compiled(jnp.ones(3), changed), np.full(3, 5.0 * value))
    assert traces == [(3,)]


def test_numpy_and_jax_arrays_share_a_program():
    compiled, traces = counted()
    compiled(np.ones(3), tuning())
    compiled(jnp.ones(3), jax.tree.map(jnp.asarray, tuning()))
    assert traces == [(3,)]


def test_compiled_anew_for_another_shape_or_dtype():
    compiled, traces = counted()
    for x in (jnp.ones(3), jnp.ones(4), jnp.ones(3, jnp.float32), jnp.ones(3)):
        compiled(x, tuning())
    assert len(traces) == 3


def test_the_clock_keeps_compiling_apart_and_starts_anew():
    clock = Clock()
    compiled = Compiled(lambda x: x + 1, clock)
    compiled(jnp.ones(3))
    kernel, compiling = clock.read()
    assert kernel > 0
    assert compiling > 0
    compiled(jnp.ones(3))
    kernel, compiling = clock.read()
    assert kernel > 0
    assert compiling == 0
    assert clock.read() == (0.0, 0.0)
