"""Which kernel a level gets, what is joined for it, and what is refused."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.shard.level_kernels.trajectories import affordable
from kernels.state import evaluate, log_density
from kernels.structure.discovery import discover
from kernels.structure.joining import all_sites, joined
from kernels.target import Site, Target
from tests.support.models.ensemble_models import GROUPS, small
from workflows.sampling.level_kernels import WIDEST_JOINT, KernelError, with_kernels
from workflows.settings.sections.kernels import KernelSettings


def chosen(replicas=64, target=None, structure=None, needs_blocks=False, **settings):
    model = small()
    found = target or model.target, structure or model.structure
    return with_kernels(*found, KernelSettings(**settings), replicas, needs_blocks=needs_blocks)


def kernels(spec):
    """Coarse to fine."""
    return [spec.kernel_of(level).kernel for level in spec.structure.levels]


def test_narrow_blocks_move_by_metropolis():
    spec = chosen(whole="none")
    assert kernels(spec) == ["metropolis", "metropolis"]
    assert [level.n_blocks for level in spec.structure.levels] == [1, GROUPS]
    assert spec.joint == ()


def many():
    """A target of 21 parameters in two levels, and its structure."""

    def log_terms(position, data):
        return {"m": -0.5 * position["m"] ** 2, "x": -0.5 * (position["x"] - position["m"]) ** 2}

    found = Target(
        sites={"m": Site("m", ()), "x": Site("x", (20,), ("group",))},
        term_kinds={"m": "prior", "x": "prior"},
        log_terms=log_terms,
        constrain=lambda position, data: position,
        initial=lambda key, data: {"m": jnp.zeros(()), "x": jax.random.normal(key, (20,))},
    )
    key = jax.random.key(0)
    return found, discover(found, {}, found.initial(key, {}), key=key)


def test_a_handful_of_parameters_moves_by_trajectories_alone():
    spec = chosen()
    assert [(level.name, spec.kernel_of(level).kernel) for level in spec.levels] == [("whole", "nuts")]
    assert spec.joint == ()
    assert spec.structure.levels[0].n_blocks == 1


def test_more_parameters_move_by_levels_and_by_trajectories_of_all():
    target, structure = many()
    spec = chosen(target=target, structure=structure)
    assert kernels(spec) == ["metropolis", "metropolis"]
    assert [(level.name, level.n_blocks, level.width, level.leaf) for level in spec.joint] == [("whole", 1, 21, False)]
    assert spec.kernel_of(spec.joint[0]).kernel == "nuts"


def test_where_blocks_are_exchanged_the_levels_stay():
    spec = chosen(needs_blocks=True)
    assert kernels(spec) == ["metropolis", "metropolis"]
    assert [level.name for level in spec.joint] == ["whole"]


def test_levels_that_are_named_are_all_that_moves_unless_trajectories_are_asked_for():
    assert chosen(levels={"g": "hmc"}).joint == ()
    target, structure = many()
    asked = chosen(target=target, structure=structure, levels={"global": "metropolis"}, whole="nuts")
    assert [level.name for level in asked.joint] == ["whole"]


def test_very_many_parameters_move_by_levels_alone():
    target, structure = many()
    wide = replace(target, sites={**target.sites, "x": Site("x", (WIDEST_JOINT,), ("group",))})
    assert chosen(target=wide, structure=structure).joint == ()


def test_one_block_is_not_moved_twice():
    """Whatever its width: trajectories on all parameters are those on the block."""
    target, structure = wide()
    spec = chosen(target=target, structure=structure)
    assert [(level.name, spec.kernel_of(level).kernel) for level in spec.levels] == [("whole", "nuts")]


def walk(steps):
    """A walk that is seen at every step, whose innovations are one block of all their coordinates, beside a level."""

    def log_terms(position, data):
        seen = -0.5 * (position["m"] + jnp.cumsum(position["x"])) ** 2
        return {"m": -0.5 * position["m"] ** 2, "x": -0.5 * position["x"] ** 2, "y": seen}

    found = Target(
        sites={"m": Site("m", ()), "x": Site("x", (steps,), ("step",))},
        term_kinds={"m": "prior", "x": "prior", "y": "likelihood"},
        log_terms=log_terms,
        constrain=lambda position, data: position,
        initial=lambda key, data: {"m": jnp.zeros(()), "x": jax.random.normal(key, (steps,))},
    )
    key = jax.random.key(0)
    return found, discover(found, {}, found.initial(key, {}), key=key)


@pytest.mark.parametrize("steps", [40, WIDEST_JOINT])
def test_a_block_of_most_coordinates_is_not_moved_beside_all_of_them(steps):
    """However many these are: the levels bring nothing that a trajectory on all does not."""
    target, structure = walk(steps)
    assert max(level.width for level in structure.levels) >= steps
    spec = chosen(target=target, structure=structure)
    assert [(level.name, spec.kernel_of(level).kernel) for level in spec.levels] == [("whole", "nuts")]
    assert spec.joint == ()


def test_trajectories_beside_a_level_of_everything_are_refused():
    with pytest.raises(KernelError, match=r"kernels.whole: given nuts beside kernels.levels.whole: leave out one"):
        chosen(levels={"whole": "hmc"}, whole="nuts")


def test_trajectories_of_a_black_box_are_refused_and_by_default_left_out():
    box = replace(small().target, has_gradient=False)
    assert kernels(chosen(target=box)) == ["metropolis", "metropolis"]
    with pytest.raises(KernelError, match=r"kernels.whole: given nuts, .*: allowed are auto and none"):
        chosen(target=box, whole="nuts")


@cache
def wide():
    """A target of one vector of 20 coordinates, all tied, and its structure."""
    found = Target(
        sites={"x": Site("x", (20,))},
        term_kinds={"x": "prior"},
        log_terms=lambda position, data: {"x": -0.5 * jnp.sum(position["x"]) ** 2 - 0.5 * jnp.sum(position["x"] ** 2)},
        constrain=lambda position, data: position,
        initial=lambda key, data: {"x": jax.random.normal(key, (20,))},
    )
    key = jax.random.key(0)
    return found, discover(found, {}, found.initial(key, {}), key=key)


def test_a_wide_block_follows_the_gradient_if_there_is_one():
    target, structure = wide()
    assert kernels(chosen(target=target, structure=structure)) == ["nuts"]
    box = replace(target, has_gradient=False)
    assert kernels(chosen(target=box, structure=structure)) == ["metropolis"]


def test_each_level_gets_the_kernel_it_is_given():
    spec = chosen(levels={"global": "nuts", "g": "metropolis"}, integrator="two_stage", max_depth=7)
    assert kernels(spec) == ["nuts", "metropolis"]
    assert (spec.kernels["global"].integrator, spec.kernels["global"].max_depth) == ("two_stage", 7)
    assert spec.structure.level("g").n_blocks == GROUPS


def test_hmc_keeps_the_blocks_and_nuts_joins_them():
    assert chosen(levels={"g": "hmc"}).structure.level("g").n_blocks == GROUPS
    assert chosen(levels={"g": "nuts"}).structure.level("g").n_blocks == 1


@pytest.mark.parametrize(("replicas", "metric"), [(20 // 4, "dense"), (20 // 4 - 1, "diagonal")])
def test_a_metric_is_dense_where_the_ensemble_is_large_enough(replicas, metric):
    target, structure = wide()
    spec = chosen(replicas, target, structure)
    assert spec.metric_of(spec.structure.levels[0]) == metric


@pytest.mark.parametrize(
    ("width", "replicas", "metric"),
    [(512, 128, "dense"), (512, 127, "auto"), (513, 4096, "low_rank"), (513, 64, "low_rank"), (513, 63, "auto")],
)
def test_the_widest_blocks_get_a_metric_of_low_rank(width, replicas, metric):
    assert affordable(width, replicas) == metric


@pytest.mark.parametrize("metric", ["dense", "diagonal", "low_rank"])
def test_a_metric_that_is_asked_for_is_used(metric):
    spec = chosen(levels={"whole": "hmc"}, metric=metric)
    assert spec.metric_of(spec.structure.levels[0]) == metric


@pytest.mark.parametrize("change", [all_sites, lambda target, structure: joined(target, structure, "g")])
def test_joining_changes_no_density(change):
    model = small()
    structure = change(model.target, model.structure)
    position = model.target.initial(jax.random.key(3), model.data)
    before = log_density(evaluate(model.target, model.structure, position, model.data).cells)
    after = log_density(evaluate(model.target, structure, position, model.data).cells)
    np.testing.assert_allclose(after, before, rtol=1e-13)


def test_a_joined_level_reads_back_what_it_wrote():
    model = small()
    position = model.target.initial(jax.random.key(3), model.data)
    for structure in (all_sites(model.target, model.structure), joined(model.target, model.structure, "g")):
        level = structure.levels[-1]
        blocks = np.arange(level.width, dtype=float)[:, None]
        np.testing.assert_array_equal(level.gather(level.scatter(position, blocks)), blocks)


def test_joining_knows_the_terms_of_the_level():
    """The prior of the shared parameters does not depend on the leaves."""
    model = small()
    level = joined(model.target, model.structure, "g").level("g")
    assert level.terms == model.structure.level("g").terms
    assert all(owner.n == 1 for owner in level.owners.values())


def test_structure_is_found_again_for_the_same_model():
    """The joined structure is another object: what was found is left as it was."""
    model = small()
    chosen(levels={"whole": "hmc"})
    again = discover(
        model.target, model.data, model.target.initial(jax.random.key(0), model.data), key=jax.random.key(0)
    )
    assert [level.n_blocks for level in again.levels] == [level.n_blocks for level in model.structure.levels]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"genes": "nuts"}, r"no level genes; its levels are global, g, and whole stands for"),
        ({"whole": "nuts", "g": "hmc"}, r"whole puts all levels into one block; leave out g, or whole"),
    ],
)
def test_levels_that_are_not_there_are_refused(levels, message):
    with pytest.raises(KernelError, match=message):
        chosen(levels=levels)


@pytest.mark.parametrize("levels", [{"global": "pm_hmc"}, {"g": "refresh"}, {"whole": "pm_metropolis"}])
def test_pseudo_marginal_kernels_need_auxiliary_variables(levels):
    """More of them: test_pseudo_marginal_runs."""
    (name, kernel), *_ = levels.items()
    with pytest.raises(
        KernelError, match=rf"{name} was given {kernel}, .* has none: allowed are metropolis, elliptical_slice, hmc"
    ):
        chosen(levels=levels)


@pytest.mark.parametrize("levels", [{"g": "hmc"}, {"whole": "nuts"}])
def test_gradients_of_a_black_box_are_refused(levels):
    box = replace(small().target, has_gradient=False)
    with pytest.raises(
        KernelError,
        match=r"follow the gradient, .* black box without one .*: allowed are metropolis and elliptical_slice$",
    ):
        chosen(target=box, levels=levels)
