"""Terms that tie blocks together: joined, refused with their names, or hidden from the probes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.structure.discovery import StructureError, discover
from kernels.target import Site
from tests.support.models.structure_models import make_target, normal, zeros

KEY = jax.random.key(11)
ITEMS = 300


def items(log_terms, *more, count=ITEMS):
    return make_target(log_terms, Site("x", (count,), ("item",)), *more)


def found(target, data=None, **options):
    return discover(target, data, zeros(target), key=KEY, **options)


def members(structure):
    """The blocks of site "x" as sets of its indices, read from the owners of y[i], which depends on x[i]."""
    owner = structure.level("item").owners["y"].owner[structure.cells["y"].owner]
    return {frozenset(np.flatnonzero(owner == block).tolist()) for block in set(owner)}


def own_terms(p, data):
    return {"y": normal(0.5, p["x"], 0.0)}


def chain_terms(p, data):
    x = p["x"]
    return {**own_terms(p, data), "step": normal(x[1:], 0.9 * x[:-1], 0.0)}


def pair_terms(p, data):
    return {**own_terms(p, data), "pair": normal(p["x"][data[:, 0]], p["x"][data[:, 1]], 0.0)}


def test_an_autoregressive_chain_is_one_block():
    structure = found(items(chain_terms))
    (level,) = structure.levels
    assert (level.n_blocks, level.width) == (1, ITEMS)
    (sentence,) = structure.joined
    assert sentence == f"level 'item': all {ITEMS} blocks joined, because elements of term 'step' touch several of them"
    assert structure.cells["step"].n == 1


def test_one_pair_joins_that_pair_only():
    structure = found(items(pair_terms), np.asarray([[7, 123]]))
    (level,) = structure.levels
    assert level.n_blocks == ITEMS - 1
    assert members(structure) == {frozenset({7, 123})} | {frozenset({i}) for i in range(ITEMS) if i not in (7, 123)}
    blocks = level.gather({"x": jnp.arange(1.0, ITEMS + 1)})
    assert np.array_equal(blocks[:, 7], [8.0, 124.0])
    assert np.array_equal(np.asarray(blocks)[1] != 0, np.arange(ITEMS - 1) == 7)
    assert "blocks 7, 123 joined" in structure.joined[0]
    owner = level.owners["y"].owner[structure.cells["y"].owner]
    assert owner[7] == owner[123] == 7
    assert np.array_equal(np.bincount(owner), level.sizes)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, ITEMS - 1), st.integers(1, ITEMS - 1)), min_size=12, max_size=12))
def test_random_pairs_join_into_their_connected_components(steps):
    """A foreign block joins by chance in fewer than 1 of 1e9 targets (see owners.CHANCE)."""
    pairs = [(first, (first + step) % ITEMS) for first, step in steps]
    structure = found(items(pair_terms), np.asarray(pairs))
    label = np.arange(ITEMS)
    for first, second in pairs:
        label[label == label[second]] = label[first]
    expected = {frozenset(np.flatnonzero(label == value).tolist()) for value in set(label)}
    assert members(structure) == expected
    assert len(structure.joined) <= 6


def test_terms_of_three_and_eight_blocks_join_exactly_those():
    def log_terms(p, data):
        triples, octet = p["x"][data].sum(-1), p["x"][100:300:25].sum()
        return {**own_terms(p, data), "triple": normal(triples, 0.0, 0.0), "octet": normal(octet, 0.0, 0.0)}

    structure = found(items(log_terms), np.asarray([[0, 1, 2], [2, 3, 4], [9, 8, 7]]))
    sets = {block for block in members(structure) if len(block) > 1}
    assert sets == {frozenset(range(5)), frozenset({7, 8, 9}), frozenset(range(100, 300, 25))}


def test_sum_to_zero_joins_all():
    structure = found(items(lambda p, data: {"y": normal(0.0, p["x"] - p["x"].mean(), 0.0)}))
    assert structure.levels[0].n_blocks == 1
    assert f"all {ITEMS} blocks" in structure.joined[0]


def test_a_coupling_behind_a_condition_that_no_probe_meets_stays_hidden():
    """Why the structure is audited while running: probing proves nothing about places it has not seen."""

    def log_terms(p, data):
        x = p["x"]
        return {"y": normal(0.5, x, 0.0) + jnp.where(x > 50.0, jnp.roll(x, 1), 0.0)}

    structure = found(items(log_terms))
    assert structure.levels[0].n_blocks == ITEMS
    assert structure.joined == ()


def test_a_site_that_never_shows_what_tracing_says_is_unresolved():
    def log_terms(p, data):
        return {"y": normal(0.5, p["x"], 0.0) + jnp.where(p["x"] > 50.0, p["s"], 0.0), "s": normal(p["s"], 0.0, 0.0)}

    target = items(log_terms, Site("s", ()), Site("t", ()), Site("z", (ITEMS,), ("item",)))
    structure = found(target)
    assert structure.level("item").n_blocks == ITEMS
    (sentence,) = structure.joined
    assert "term 'y' depends on site 's' but never changed with it" in sentence
    level = structure.level("global")
    assert level.n_blocks == 1
    assert (level.owners["y"].owner == 0).all()
    with pytest.raises(StructureError, match=r"level 'global' \(sites 's', 't'\): term 'y' depends on site 's'"):
        found(target, couplings="refuse")


def test_a_level_of_one_block_has_nothing_to_join_but_owns_what_is_unresolved():
    def log_terms(p, data):
        return {"y": normal(0.5, p["x"], 0.0) + jnp.where(p["x"] > 50.0, p["s"], 0.0)}

    structure = found(items(log_terms, Site("s", ())), couplings="refuse")
    assert structure.joined == ()
    assert (structure.level("global").owners["y"].owner == 0).all()


def test_dependence_through_a_lost_digit_joins_the_level():
    structure = found(items(lambda p, data: {"y": normal(0.5, p["x"], 0.0), "far": 1e20 + p["x"]}))
    (level,) = structure.levels
    assert level.n_blocks == 1
    assert "term 'far' depends on site 'x' but never changed" in structure.joined[0]
    assert (level.owners["far"].owner == 0).all()


def test_a_digit_that_only_small_moves_lose_is_found_by_larger_ones():
    """The float64 numbers near 1e15 lie 1/8 apart."""
    structure = found(items(lambda p, data: {"y": normal(0.5, p["x"], 0.0), "far": 1e15 + 0.1 * p["x"]}))
    assert structure.levels[0].n_blocks == ITEMS
    assert structure.joined == ()
    pair = found(items(lambda p, data: {"y": normal(0.5, p["x"], 0.0), "far": 1e15 + p["x"][:1] + p["x"][1:2]}))
    assert frozenset({0, 1}) in members(pair)
    assert pair.levels[0].n_blocks == ITEMS - 1


def test_an_element_whose_changes_are_lost_in_some_tests_joins_the_level():
    """It changes only where both blocks are moved far: a pattern with fewer bits than a code, which names nobody."""

    def log_terms(p, data):
        x = p["x"]
        both = jnp.minimum(jnp.abs(x[0::2]), jnp.abs(x[1::2]))
        return {"y": normal(0.5, x, 0.0), "both": jnp.maximum(both - 3.5, 0.0)}

    structure = found(items(log_terms))
    (level,) = structure.levels
    assert level.n_blocks == 1
    assert "changes of term 'both' with this level's sites are partly lost" in structure.joined[0]
    assert 0 in level.owners["both"].owner
    with pytest.raises(StructureError, match="partly lost"):
        found(items(log_terms), couplings="refuse")


def test_a_density_that_is_finite_only_near_the_start_is_probed_there():
    def log_terms(p, data):
        return {"y": jnp.where(jnp.abs(p["x"]) < 0.05, normal(0.5, p["x"], 0.0), jnp.nan)}

    structure = found(items(log_terms))
    assert structure.levels[0].n_blocks == ITEMS
    assert structure.joined == ()


def test_a_density_that_is_nowhere_finite_is_refused_by_name():
    def log_terms(p, data):
        return {"y": normal(0.5, p["x"], 0.0), "bad": jnp.log(-1.0 - p["x"] ** 2)}

    with pytest.raises(StructureError, match="term 'bad' is not finite at any of 8 points around the given position"):
        found(items(log_terms))


def test_refusing_names_level_sites_term_and_blocks():
    target = items(pair_terms, Site("z", (ITEMS,), ("item",)))
    with pytest.raises(StructureError) as refused:
        found(target, np.asarray([[7, 123]]), couplings="refuse")
    message = str(refused.value)
    assert message == (
        "level 'item' (sites 'x', 'z'): an element of term 'pair' touches blocks 7, 123; "
        "declare it in the sites' plates, or use couplings='join'"
    )


def test_refusing_allows_the_joins_of_the_global_level():
    def log_terms(p, data):
        return {"x": normal(p["x"], p["mu"], p["s"])}

    structure = found(items(log_terms, Site("mu", ()), Site("s", ())), couplings="refuse")
    assert structure.level("global").n_blocks == 1


def test_an_element_without_data_is_untouched_and_joins_nothing():
    def log_terms(p, data):
        return {"y": jnp.where(data > 0, normal(0.5, p["x"], 0.0), 0.0)}

    structure = found(items(log_terms), np.arange(ITEMS) % 3)
    (level,) = structure.levels
    owner = level.owners["y"].owner[structure.cells["y"].owner]
    assert np.array_equal(owner, np.where(np.arange(ITEMS) % 3 > 0, np.arange(ITEMS), -1))
