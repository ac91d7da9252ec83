"""Levels, blocks, owners and cells of models with known structure."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.structure.discovery import StructureError, discover
from kernels.structure.owners import ALWAYS
from kernels.structure.probing import Prober
from kernels.structure.segments import Axes, Identity, SingleGroup
from kernels.target import Site
from tests.support.models.structure_models import census, genes, make_target, nested, nested_data, normal, zeros

KEY = jax.random.key(5)


def owner_of_elements(structure, level, term):
    """Element -> block, through the cells."""
    cells, owners = structure.cells[term], structure.level(level).owners[term]
    return owners.owner[cells.owner].reshape(cells.shape)


def check_nested(structure, data):
    """Every owner of the nested model is right."""
    states = data["state"]
    assert np.array_equal(owner_of_elements(structure, "area", "y"), data["area"])
    assert np.array_equal(owner_of_elements(structure, "area", "area"), np.arange(states.size))
    assert np.array_equal(owner_of_elements(structure, "state", "area"), states)
    blocks = structure.level("state").n_blocks
    assert np.array_equal(owner_of_elements(structure, "state", "state"), np.arange(blocks))
    assert structure.level("state").terms == ("area", "state")
    assert structure.level("area").terms == ("area", "y")


def test_every_owner_of_the_census_layout_is_found():
    target, data = census()
    structure = discover(target, data, zeros(target), key=KEY)
    check_nested(structure, data)
    found = [(level.name, level.n_blocks, level.width, level.leaf) for level in structure.levels]
    assert found == [("global", 3, 8, False), ("state", 51, 4, False), ("area", 2024, 4, True)]
    assert data["area"].size == 29_501
    assert {name: cells.n for name, cells in structure.cells.items() if cells.n > 1} == {
        "y": 2024,
        "area": 2024,
        "state": 51,
    }
    assert isinstance(structure.level("area").owners["y"], Identity)
    assert isinstance(structure.level("state").owners["state"], Identity)


def test_the_global_level_joins_the_sites_of_one_prior_and_says_so():
    target, data = census()
    structure = discover(target, data, zeros(target), key=KEY)
    level = structure.level("global")
    assert level.sites == ("mu", "log_sd_area", "log_sd_state", "log_sd")
    blocks = level.gather(
        {name: jnp.full(site.shape, index) for index, (name, site) in enumerate(target.sites.items())}
    )
    assert np.array_equal(level.sizes, [8, 4, 1])
    assert [sorted(set(blocks[: level.sizes[b], b].tolist())) for b in range(3)] == [[0, 2], [1], [3]]
    (sentence,) = structure.joined
    assert "'mu', 'log_sd_state'" in sentence
    assert "'state'" in sentence


def test_genes_are_cells_and_leaves():
    target, data = genes(30)
    structure = discover(target, data, zeros(target), key=KEY)
    gene, shared = structure.level("gene"), structure.level("global")
    assert (gene.n_blocks, gene.width, gene.leaf, gene.mask) == (30, 3, True, None)
    assert not shared.leaf
    assert isinstance(structure.cells["y"], Axes)
    assert structure.cells["y"].n == 30
    assert all(isinstance(gene.owners[term], Identity) for term in ("y", "a", "d", "phi"))
    assert all(isinstance(owners, SingleGroup) for owners in shared.owners.values())
    assert "y" not in shared.terms
    assert {frozenset(block) for block in blocks_by_site(shared)} == {
        frozenset({"mu_a", "sd_a"}),
        frozenset({"mu_p", "sd_p"}),
        frozenset({"sd_d"}),
    }


def blocks_by_site(level):
    """The sites in each block of a level of scalars."""
    names = {number: site for number, site in enumerate(level.sites)}
    blocks = np.asarray(level.gather({site: jnp.asarray(float(number)) for number, site in names.items()}))
    return [{names[int(value)] for value in blocks[: level.sizes[b], b]} for b in range(level.n_blocks)]


def test_reduce_sums_the_elements_of_each_gene():
    target, data = genes(30)
    structure = discover(target, data, zeros(target), key=KEY)
    terms = target.log_terms(zeros(target), data)
    cells = structure.reduce(terms)
    np.testing.assert_allclose(cells["y"], terms["y"].sum(0), rtol=1e-13)
    assert structure.reduce({"a": terms["a"].astype(jnp.float32)})["a"].dtype == jnp.float64


def test_a_model_without_plates_is_one_leaf_level():
    target = make_target(
        lambda p, data: {"y": -0.5 * (p["x"] ** 2).sum() - p["s"] ** 2}, Site("x", (3,)), Site("s", ())
    )
    structure = discover(target, None, zeros(target), key=KEY)
    (level,) = structure.levels
    assert (level.name, level.n_blocks, level.width, level.leaf) == ("global", 1, 4, True)


def test_a_single_density_over_a_plate_joins_everything():
    target = make_target(lambda p, data: {"y": -0.5 * (p["x"] ** 2).sum()}, Site("x", (60, 2), ("copy",)))
    (level,) = (structure := discover(target, None, zeros(target), key=KEY)).levels
    assert (level.n_blocks, level.width) == (1, 120)
    assert "all 60 blocks" in structure.joined[0]


def test_crossed_plates_are_both_leaves_and_their_interaction_is_finer():
    def log_terms(p, data):
        mean = p["row"][:, None] + p["column"] + p["both"]
        return {"y": normal(0.0, mean, 0.0), "both": normal(p["both"], 0.0, 0.0)}

    row, column = Site("row", (5,), ("r",)), Site("column", (4,), ("c",))
    target = make_target(log_terms, row, column, Site("both", (5, 4), ("r", "c")))
    structure = discover(target, None, zeros(target), key=KEY)
    assert [(level.name, level.n_blocks, level.leaf) for level in structure.levels] == [
        ("c", 4, False),
        ("r", 5, False),
        ("r*c", 20, True),
    ]

    crossed = make_target(lambda p, data: {"y": normal(0.0, p["row"][:, None] + p["column"], 0.0)}, row, column)
    assert all(level.leaf for level in discover(crossed, None, zeros(crossed), key=KEY).levels)


def test_sites_on_the_same_plates_in_another_order_share_blocks():
    def log_terms(p, data):
        return {"y": normal(p["u"], p["v"].sum(-1).T, 0.0)}

    target = make_target(log_terms, Site("u", (3, 5), ("r", "c")), Site("v", (5, 3, 2), ("c", "r")))
    structure = discover(target, None, zeros(target), key=KEY)
    (level,) = structure.levels
    assert (level.name, level.n_blocks, level.width, structure.joined) == ("r*c", 15, 3, ())
    u = np.arange(15.0).reshape(3, 5)
    v = np.stack([u.T, u.T], axis=-1)
    blocks = level.gather({"u": jnp.asarray(u), "v": jnp.asarray(v)})
    assert np.array_equal(blocks, np.tile(np.arange(15.0), (3, 1)))
    back = level.scatter({"u": jnp.zeros((3, 5)), "v": jnp.zeros((5, 3, 2))}, blocks)
    assert np.array_equal(back["u"], u)
    assert np.array_equal(back["v"], v)


@pytest.mark.parametrize("model", [genes(7), census()], ids=["genes", "census"])
def test_scatter_undoes_gather_and_leaves_other_levels_alone(model):
    target, data = model
    structure = discover(target, data, zeros(target), key=KEY)
    rng = np.random.default_rng(2)
    position = {name: jnp.asarray(rng.standard_normal(site.shape)) for name, site in target.sites.items()}
    for level in structure.levels:
        blocks = level.gather(position)
        assert blocks.shape == (level.width, level.n_blocks)
        if level.mask is not None:
            assert level.mask.shape == blocks.shape
            assert np.array_equal(level.mask.sum(0), level.sizes)
            assert not np.asarray(blocks)[~level.mask].any()
        back = level.scatter(zeros(target), blocks)
        for name, site in target.sites.items():
            expected = position[name] if name in level.sites else np.zeros(site.shape)
            assert np.array_equal(back[name], expected)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 49), min_size=80, max_size=80), st.lists(st.integers(0, 5), min_size=50, max_size=50))
def test_ragged_nests_are_found_empty_groups_included(area, state):
    data = nested_data(np.random.default_rng(3), np.asarray(area), np.asarray(state))
    target = nested(50, 6)
    structure = discover(target, data, zeros(target), key=KEY)
    check_nested(structure, data)
    assert structure.cells["y"].n == len(set(area))


def test_the_cost_is_two_tests_a_bit_and_one_trace():
    traces = Counter()

    def log_terms(p, data):
        traces["log_terms"] += 1
        return {"y": normal(data, p["x"], p["s"]), "x": normal(p["x"], 0.0, 0.0), "s": normal(p["s"], 0.0, 0.0)}

    target = make_target(log_terms, Site("x", (200,), ("item",)), Site("s", ()))
    calls = Counter()
    counted = Prober.terms

    def terms(self, position):
        calls["terms"] += 1
        return counted(self, position)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prober, "terms", terms)
        discover(target, np.zeros(200), zeros(target), key=KEY, bits=40)
    assert calls["terms"] == ALWAYS + ALWAYS * (40 + 1)
    assert traces["log_terms"] == 1


def test_the_same_key_finds_the_same_structure_and_another_key_too():
    target, data = genes(60)
    found = [discover(target, data, zeros(target), key=jax.random.key(seed)) for seed in (0, 0, 1)]
    for other in found[1:]:
        assert other.joined == found[0].joined
        for name, cells in found[0].cells.items():
            assert np.array_equal(cells.owner, other.cells[name].owner)


def test_terms_without_elements_or_without_sites_are_kept():
    def log_terms(p, data):
        return {"y": normal(data, p["x"], 0.0), "none": jnp.zeros((0,)) * p["s"], "constant": jnp.ones((2, 3))}

    target = make_target(log_terms, Site("x", (4,), ("item",)), Site("s", ()), Site("flat", (2,)))
    structure = discover(target, np.zeros(4), zeros(target), key=KEY)
    cells = structure.reduce(target.log_terms(zeros(target), np.zeros(4)))
    assert cells["none"].shape == (0,)
    assert np.array_equal(cells["constant"], [6.0])
    assert structure.depends["constant"] == frozenset()
    assert structure.level("global").n_blocks == 2


@pytest.mark.parametrize(
    ("sites", "position", "message"),
    [
        ([Site("x", (0,), ("p",))], {"x": np.zeros(0)}, r"'x' has shape \(0,\), without a coordinate"),
        ([Site("x", (2,), ("p",))], {}, "lacks site 'x'"),
        ([Site("x", (2,), ("p",))], {"x": np.zeros(3)}, r"\(3,\) in the position, \(2,\) declared"),
        ([Site("x", (), ("p",))], {"x": np.zeros(())}, "cannot lie on plates"),
        ([Site("x", (2,), ("global",))], {"x": np.zeros(2)}, "not called 'global'"),
        (
            [Site("x", (2,), ("p",)), Site("z", (3,), ("p",))],
            {"x": np.zeros(2), "z": np.zeros(3)},
            "a plate has one size",
        ),
    ],
)
def test_sites_that_cannot_be_arranged_are_refused(sites, position, message):
    target = make_target(lambda p, data: {"y": p["x"]}, *sites)
    with pytest.raises(StructureError, match=message):
        discover(target, None, position, key=KEY)


def test_unknown_rules_and_levels_are_named():
    target, data = genes(3)
    with pytest.raises(ValueError, match="allowed are 'join' and 'refuse'"):
        discover(target, data, zeros(target), key=KEY, couplings="ignore")
    with pytest.raises(KeyError, match="there are global, gene"):
        discover(target, data, zeros(target), key=KEY).level("state")
