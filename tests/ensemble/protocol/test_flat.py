"""Pytrees as flat arrays and back."""

from typing import NamedTuple

import jax
import numpy as np
import pytest

from ensemble.protocol.flat import flatten, prefixed, under, unflatten


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
