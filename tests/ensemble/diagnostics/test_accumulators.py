"""The accumulators against plain sums over stored draws, and their form in a checkpoint."""

from functools import partial

import jax
import numpy as np
import pytest

from ensemble.diagnostics import accumulators
from ensemble.diagnostics.accumulators import Accumulators
from ensemble.protocol.statistics import summed

REPLICAS, WIDTH, BLOCKS, SWEEPS = 3, 2, 4, 5


def draws(rounds, seed=0):
    """Draws [rounds, sweeps, R, p, B]."""
    return np.random.default_rng(seed).normal(size=(rounds, SWEEPS, REPLICAS, WIDTH, BLOCKS))


def absorb(rounds, start=None):
    """The accumulators after the given rounds of draws; two levels, of which "b" holds the negative of "a"."""
    state = accumulators.empty() if start is None else start
    for block in rounds:
        total, square = block.sum(axis=0), (block**2).sum(axis=(0, 1))
        state = accumulators.absorb(state, {"a": total, "b": -total}, {"a": square, "b": square})
    return state


def assert_same_bits(one: Accumulators, other: Accumulators) -> None:
    packed, expected = accumulators.pack(one), accumulators.pack(other)
    assert list(packed) == list(expected)
    for name, array in packed.items():
        assert array.dtype == expected[name].dtype, name
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("rounds", [1, 2, 7, 8, 13, 40])
def test_sums_are_those_of_the_stored_draws(rounds):
    x = draws(rounds)
    report = accumulators.pooled(absorb(x))
    chains = x.sum(axis=(0, 1))
    assert report.rounds == rounds
    np.testing.assert_allclose(report.sums["a"], chains.sum(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(report.chain_squares["a"], (chains**2).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(report.squares["a"], (x**2).sum(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(report.sums["b"], -report.sums["a"])


@pytest.mark.parametrize("rounds", [1, 2, 7, 8, 13, 40])
def test_batches_of_every_length_are_those_of_the_stored_draws(rounds):
    """Single precision is kept for batches that wait: relative 1e-6."""
    x = draws(rounds)
    report = accumulators.pooled(absorb(x))
    for level in range(rounds.bit_length()):
        finished = rounds >> level
        batches = x[: finished << level].reshape(finished, -1, REPLICAS, WIDTH, BLOCKS).sum(axis=1)
        np.testing.assert_allclose(report.batches[level].sums["a"], batches.sum(axis=(0, 1)), atol=1e-5)
        np.testing.assert_allclose(report.batches[level].squares["a"], (batches**2).sum(axis=(0, 1)), rtol=1e-6)
    assert len(report.batches) == rounds.bit_length()


def test_absorbing_changes_nothing_absorbed_before():
    before = absorb(draws(3))
    kept = {name: array.copy() for name, array in accumulators.pack(before).items()}
    absorb(draws(5, seed=1), start=before)
    for name, array in accumulators.pack(before).items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize("half", [0, 1, 4, 6, 11])
def test_packed_and_unpacked_in_the_middle_is_the_same_bit_for_bit(half):
    x = draws(11)
    middle = accumulators.unpack(accumulators.pack(absorb(x[:half])))
    assert_same_bits(absorb(x[half:], start=middle), absorb(x))


@pytest.mark.parametrize("check", [1, 4, 6, 10])
def test_drained_accumulators_go_on_from_a_checkpoint_bit_for_bit(check):
    """Saved right after a report and later: the next report and the state are those of a run that was not saved."""
    x = draws(11)
    after = accumulators.drained(absorb(x[:check]))
    for saved in range(check, 11):
        middle = absorb(x[check:saved], start=after)
        resumed = absorb(x[saved:], start=accumulators.unpack(accumulators.pack(middle)))
        assert_same_bits(resumed, absorb(x[check:], start=after))


@pytest.mark.parametrize("checks", [(3,), (1, 2, 3, 4), (8, 12)])
def test_reports_collected_are_the_report_of_all_rounds(checks):
    """The coordinator's sums of squares and batches, of two shards, with the shards drained at every report."""
    shards, kept, begun = [draws(13), draws(13, seed=1)], accumulators.NOTHING, 0
    states = [accumulators.empty()] * 2
    for end in (*checks, 13):
        states = [absorb(x[begun:end], start=state) for x, state in zip(shards, states, strict=True)]
        kept, begun = accumulators.collect(kept, [accumulators.pooled(state) for state in states]), end
        states = [accumulators.drained(state) for state in states]
    whole = [accumulators.pooled(absorb(x)) for x in shards]
    both = summed([(report.squares, report.batches) for report in whole])
    close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
    jax.tree.map(close, (kept.squares, kept.batches), both)
    packed = accumulators.pack_sums(kept)
    jax.tree.map(np.testing.assert_array_equal, accumulators.unpack_sums(packed), kept)


def test_draining_leaves_less_to_save():
    state = absorb(draws(12))
    assert len(accumulators.pack(accumulators.drained(state))) < len(accumulators.pack(state))
    assert not any(name.startswith(("square/", "batches/")) for name in accumulators.pack(accumulators.drained(state)))


def test_different_draws_give_different_accumulators():
    with pytest.raises(AssertionError):
        assert_same_bits(absorb(draws(4)), absorb(draws(4, seed=1)))


def test_names_with_slashes_survive_a_checkpoint():
    """A level is named by its plates, which a scoped model may call "outer/inner"."""
    total, square = np.ones((REPLICAS, WIDTH, BLOCKS)), np.ones((WIDTH, BLOCKS))
    state = accumulators.absorb(accumulators.empty(), {"outer/inner": total}, {"outer/inner": square})
    assert_same_bits(accumulators.unpack(accumulators.pack(state)), state)
    assert list(accumulators.unpack(accumulators.pack(state)).waiting[0]) == ["outer/inner"]


def test_a_report_is_of_the_size_of_the_model_not_of_the_ensemble():
    report = accumulators.pooled(absorb(draws(6)))
    assert {np.shape(array) for array in jax.tree.leaves(report)} == {(), (WIDTH, BLOCKS)}
