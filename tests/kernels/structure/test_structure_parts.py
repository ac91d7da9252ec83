"""The parts of structure discovery: segment sums against NumPy, codes, and the tracing of dependence."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kernels.structure import codes as c
from kernels.structure.dependency import sources
from kernels.structure.segments import Axes, Identity, Padded, SingleGroup, segments


def check_segments(owner, n, kind):
    """A kind's sum and spread against NumPy, jitted, mapped over a batch, and with rubbish in what is not summed."""
    found = segments(owner, n)
    assert type(found) is kind
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, *owner.shape))
    inside = owner >= 0
    expected = np.zeros((3, n))
    for row in range(3):
        np.add.at(expected[row], owner[inside], values[row][inside])
    sums = jax.jit(jax.vmap(found.sum))(np.where(inside, values, np.nan))
    assert sums.shape == (3, n)
    np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12)
    groups = rng.standard_normal(n)
    spread = jax.jit(found.spread)(groups, -7.0)
    wanted = np.full(owner.shape, -7.0)
    wanted[inside] = groups[owner[inside]]
    assert np.array_equal(spread, wanted)
    assert np.array_equal(found.spread(jnp.asarray(groups > 0), False), (wanted > 0) & inside)


@pytest.mark.parametrize(
    ("owner", "n", "kind"),
    [
        (np.arange(6).reshape(2, 3), 6, Identity),
        (np.asarray(0), 1, Identity),
        (np.zeros(0, int), 0, Identity),
        (np.zeros((2, 3), int), 1, SingleGroup),
        (np.full((2, 3), 4), 6, SingleGroup),
        (np.tile(np.arange(5), (4, 1)), 5, Axes),
        (np.tile(np.arange(4)[:, None], (1, 5)), 4, Axes),
        (np.broadcast_to(np.arange(6).reshape(2, 1, 3), (2, 4, 3)), 6, Axes),
        (np.asarray([2, 0, 1]), 3, Padded),
        (np.asarray([0, 0, 3, -1, 3]), 5, Padded),
        (np.full(4, -1), 3, Padded),
        (np.full(4, -1), 0, Padded),
        (np.zeros(0, int), 4, Padded),
        (np.repeat(np.arange(40), np.r_[np.ones(39, int), 500]), 40, Padded),
    ],
)
def test_each_kind_is_chosen_and_sums_as_numpy_does(owner, n, kind):
    check_segments(owner, n, kind)


@settings(max_examples=12)
@given(arrays.arrays(np.int64, 40, elements=st.integers(-1, 9)))
def test_any_grouping_sums_as_bincount(owner):
    found = segments(owner, 10)
    values = np.random.default_rng(1).integers(-99, 99, owner.shape).astype(float)
    inside = owner >= 0
    expected = np.bincount(owner[inside], values[inside], minlength=10)
    assert np.array_equal(found.sum(jnp.asarray(values)), expected)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60))
def test_padding_stays_within_its_limit(sizes):
    found = Padded(np.repeat(np.arange(len(sizes)), sizes).astype(np.int32), len(sizes), (sum(sizes),))
    assert sum(index.size for index in found.buckets) <= 3 * max(sum(sizes), 1)
    assert sum(index.shape[1] for index in found.buckets) == len(sizes)


def test_owners_out_of_range_are_refused():
    with pytest.raises(ValueError, match="between 0 and 3; allowed are -1"):
        segments(np.asarray([0, 3]), 3)


def test_segments_are_compared_by_identity():
    first, second = segments(np.arange(3), 3), segments(np.arange(3), 3)
    assert first == first
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize(("blocks", "bits"), [(41, 40), (20_000, 40), (60, 10), (50_000, 64)])
def test_codes_are_distinct_and_of_constant_weight(blocks, bits):
    found = c.draw_codes(np.random.default_rng(0), blocks, bits)
    assert np.unique(found.words).size == blocks
    assert (np.bitwise_count(found.words) == bits // 2).all()
    assert int(found.words.max()) < 2**bits
    assert sum(found.carriers(bit).sum() for bit in range(bits)) == blocks * (bits // 2)


def test_few_blocks_get_a_test_each():
    found = c.draw_codes(np.random.default_rng(0), 5, 40)
    assert (found.bits, found.weight) == (5, 1)
    assert found.words.tolist() == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(("bits", "message"), [(8, "too few codes for 100 blocks"), (1, "2 to 64"), (65, "2 to 64")])
def test_bits_that_cannot_serve_are_refused(bits, message):
    with pytest.raises(ValueError, match=message):
        c.draw_codes(np.random.default_rng(0), 100, bits)


def test_every_pattern_of_one_or_two_blocks_is_told_apart():
    found = c.draw_codes(np.random.default_rng(0), 120, 40)
    assert np.array_equal(c.identify(found.words, found), np.arange(120))
    unions = np.asarray([found.words[i] | found.words[j] for i, j in combinations(range(120), 2)], np.uint64)
    assert (c.identify(unions, found) == c.SEVERAL).all()
    lost = found.words & ~np.uint64(1)
    assert set(c.identify(lost[lost != found.words], found)) == {c.UNKNOWN}
    assert c.identify(np.zeros(1, np.uint64), found)[0] == c.NOBODY


def test_candidates_are_those_inside_all_rounds_and_chance_falls_with_each():
    rng = np.random.default_rng(0)
    rounds = [c.draw_codes(rng, 5000, 40), c.draw_codes(rng, 5000, 40, 10), c.draw_codes(rng, 5000, 40, 10)]
    patterns = np.asarray([[code.words[17] | code.words[4000]] for code in rounds])
    chances = [c.chance_candidates(patterns[:k], rounds[:k]) for k in (1, 2, 3)]
    assert chances[0] > 100 * chances[1] > 1e4 * chances[2]
    elements, blocks = c.candidates(patterns, rounds)
    assert elements.tolist() == [0, 0]
    assert blocks.tolist() == [17, 4000]
    assert c.explained(patterns, rounds, elements, blocks).tolist() == [True]
    assert c.explained(patterns, rounds, elements[:1], blocks[:1]).tolist() == [False]


@jax.custom_jvp
def with_custom_jvp(x, y):
    return x


with_custom_jvp.defjvp(lambda primals, tangents: (primals[0], tangents[0]))


@jax.custom_vjp
def with_custom_vjp(x, y):
    return x, y


with_custom_vjp.defvjp(lambda x, y: ((x, y), None), lambda _, g: g)


def callback(x, y):
    shape = jax.ShapeDtypeStruct((), x.dtype)
    return jax.pure_callback(lambda a, b: (a, b), (shape, shape), x, y)


def looped(x, y):
    """The first carry meets y only through the second one."""

    def body(carry, step):
        a, b = carry
        return (a + b, y), a * step

    (a, b), steps = jax.lax.scan(body, (x, x), jnp.arange(3.0))
    return a, b, steps


TRACED = {
    "plain": (lambda x, y: (x + 1, y, x * y), [{0}, {1}, {0, 1}]),
    "constant": (lambda x, y: (jnp.ones(3), x), [set(), {0}]),
    "jit": (lambda x, y: jax.jit(lambda a, b: (b, a))(x, y), [{1}, {0}]),
    "checkpoint": (lambda x, y: jax.checkpoint(lambda a, b: (b, jnp.sin(a)))(x, y), [{1}, {0}]),
    "custom_jvp": (lambda x, y: (with_custom_jvp(x, y), y), [{0}, {1}]),
    "custom_vjp": (with_custom_vjp, [{0}, {1}]),
    "cond": (lambda x, y: jax.lax.cond(x > 0, lambda: (y, 1.0), lambda: (2.0, 1.0)), [{0, 1}, {0}]),
    "scan": (looped, [{0, 1}, {0, 1}, {0, 1}]),
    "scan apart": (
        lambda x, y: jax.lax.scan(lambda s, _: ((s[0] + x, s[1] * y), s[0]), (x, y), None, 3),
        [{0}, {1}, {0}],
    ),
    "while": (
        lambda x, y: jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, 2 * s[1]), (x, y)),
        [{0}, {0, 1}],
    ),
    "callback": (callback, [{0, 1}, {0, 1}]),
    "gradient": (lambda x, y: (jax.grad(lambda a: a * a)(x), y), [{0}, {1}]),
}


@pytest.mark.parametrize(("function", "expected"), TRACED.values(), ids=TRACED)
def test_dependence_is_traced_through(function, expected):
    jaxpr = jax.jit(function).trace(1.0, 2.0).jaxpr.jaxpr
    found = sources(jaxpr, [frozenset({0}), frozenset({1})])
    assert [set(got) for got in found] == expected
