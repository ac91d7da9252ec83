"""Rounds that hand back several draws, and trajectories on all parameters at their end: the same chains, oftener."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.protocol.stages import EQUILIBRATE
from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.keys import replica_keys
from ensemble.shard.sweeps.rounds import Sweeps
from kernels.state import evaluate, log_density
from kernels.structure.joining import ALL_SITES, all_sites, level_of_all_sites
from tests.support.models.ensemble_models import REPLICAS, STORED, dispersed, small

SWEEPS = 4
KINDS = ("levels", "joint", "whole")


def quick(one):
    """All kinds, of which the others are slow: each compiles programs of its own."""
    return [kind if kind == one else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@cache
def spec(kind):
    """levels: Metropolis and interweaving; joint: trajectories of all beside them; whole: those alone, with several
    interweaving moves a sweep."""
    model = small()
    if kind == "levels":
        return model.spec
    if kind == "joint":
        joint = replace(level_of_all_sites(model.target, model.structure), leaf=False)
        return model.spec._replace(kernels={ALL_SITES: KernelSpec("nuts", max_depth=3)}, joint=(joint,))
    kernels = {ALL_SITES: KernelSpec("nuts", max_depth=3)}
    return SweepSpec(all_sites(model.target, model.structure), kernels, model.spec.interweavings)


@cache
def program(kind, draws=None):
    """A round with so many draws, or one that hands back none."""
    sweeps = Sweeps(small().target, spec(kind), replicas=REPLICAS, rungs=1, repeats=2)
    if draws is None:
        return jax.jit(sweeps.round)
    return jax.jit(lambda *arguments: sweeps.recorded_round(*arguments, draws=draws, stored=STORED))


def tuning(kind, sweeps=SWEEPS, ends=(3,)):
    """ends: the sweeps of a round in which trajectories of all parameters run beside the levels' moves."""
    chosen = spec(kind)
    found, each = first_tuning(chosen, np.ones(1), SWEEPS), chosen.interweavings_a_sweep
    lengths = {name: np.full((1, SWEEPS), 3) for name in found.lengths}
    if kind == "joint":
        lengths = {name: np.where(np.isin(np.arange(SWEEPS), ends), 3, 0)[None] for name in found.lengths}
    schedule = np.arange(SWEEPS * each) % 2
    levels = {
        name: tuple(rung._replace(log_scale=np.full_like(rung.log_scale, -1.5)) for rung in rungs)
        for name, rungs in found.levels.items()
    }
    return found._replace(
        levels=levels,
        lengths={name: values[:, :sweeps] for name, values in lengths.items()},
        schedule=schedule[: sweeps * each],
        parity=found.parity[:sweeps],
    )


def run(kind, draws=None, **changes):
    keys = replica_keys(0, EQUILIBRATE, 0, 0, (1, REPLICAS))
    return program(kind, draws)(start(kind), keys, small().data, tuning(kind, **changes))


def start(kind):
    return dispersed(1, spec(kind).structure)


def assert_close(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "kind", ["levels", pytest.param("joint", marks=pytest.mark.slow), pytest.param("whole", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("draws", [1, 4])
def test_it_ends_where_a_round_ends_and_counts_the_same(kind, draws):
    """Programs of other shapes round differently, in the last digits only."""
    (cold,), tally, _ = run(kind)
    (other,), recorded, _, found = run(kind, draws)
    assert_close(other, cold)
    assert_close(recorded._replace(jumps=None), tally)
    assert found.lp.shape == (draws, REPLICAS)
    assert {name: x.shape for name, x in found.position.items()} == {
        name: (draws, STORED, *x.shape[1:]) for name, x in cold.position.items()
    }
    np.testing.assert_array_equal(found.lp[-1], jax.vmap(log_density)(other.cells))
    for name, values in found.position.items():
        np.testing.assert_array_equal(values[-1], other.position[name][:STORED])


@pytest.mark.parametrize(
    "kind", ["joint", pytest.param("levels", marks=pytest.mark.slow), pytest.param("whole", marks=pytest.mark.slow)]
)
def test_draws_are_the_states_that_shorter_rounds_end_with(kind):
    """A round of k sweeps with the same keys is the beginning of a longer one."""
    found = run(kind, 4)[3]
    for sweeps in (1, 3):
        (cold,), _, _ = run(kind, sweeps=sweeps)
        for name, values in found.position.items():
            np.testing.assert_allclose(values[sweeps - 1], cold.position[name][:STORED], rtol=1e-9, atol=1e-9)
    assert len(np.unique(np.asarray(found.position["mu"]))) > 4


@pytest.mark.parametrize("kind", ["joint", "whole"])
def test_facts_of_a_draw_are_of_the_sweeps_since_the_one_before(kind):
    one, four = (run(kind, draws)[3].chains for draws in (1, 4))
    for name in ("n_steps", "trajectories", "divergences"):
        each = np.asarray(getattr(four, name))
        np.testing.assert_array_equal(getattr(one, name), each.sum(axis=0, keepdims=True))
    np.testing.assert_array_equal(one.tree_depth[0], np.asarray(four.tree_depth).max(axis=0))
    np.testing.assert_allclose(one.energy[-1], four.energy[-1], rtol=1e-9)
    np.testing.assert_allclose(one.acceptance.tried[0], np.asarray(four.acceptance.tried).sum(axis=0))


def test_joint_moves_run_where_they_have_a_length_and_nowhere_else():
    chains = run("joint", 4)[3].chains
    assert (np.asarray(chains.n_steps)[:3] == 0).all()
    assert (np.asarray(chains.n_steps)[3] > 0).all()
    assert np.isnan(np.asarray(chains.energy)[:3]).all()
    without = run("joint", 4, ends=())
    assert (np.asarray(without[3].chains.n_steps) == 0).all()
    assert float(without[1].rates[ALL_SITES][0].walk.tried.sum()) == 0.0


def test_without_joint_moves_a_round_is_that_of_the_levels_but_for_its_keys():
    """No key of theirs depends on whether a joint level stands beside them, but those of interweaving."""
    bare = spec("joint")._replace(interweavings=())
    alone = small().spec._replace(interweavings=())
    keys = replica_keys(0, EQUILIBRATE, 0, 0, (1, REPLICAS))
    ends = []
    for chosen in (bare, alone):
        found = first_tuning(chosen, np.ones(1), SWEEPS)
        sweeps = Sweeps(small().target, chosen, replicas=REPLICAS, rungs=1, repeats=2)
        ends.append(jax.jit(sweeps.round)(start("levels"), keys, small().data, found)[0][0])
    assert_close(ends[0], ends[1])


def test_jumps_are_squared_distances_from_the_first_state_to_the_last():
    (cold,), tally, _, _ = run("joint", 1)
    before = start("joint")[0]
    assert run("levels", 1)[1].jumps is None
    for level in small().structure.levels:
        far = jax.vmap(level.gather)(cold.position) - jax.vmap(level.gather)(before.position)
        np.testing.assert_allclose(tally.jumps[level.name], jnp.sum(far**2, axis=0), rtol=1e-12)
        assert (np.asarray(tally.jumps[level.name]) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cells_stay_those_of_the_position(kind):
    (cold,), *_ = run(kind, 4)
    model = small()
    fresh = jax.vmap(lambda p: evaluate(model.target, spec(kind).structure, p, model.data))(cold.position)
    assert_close(cold.cells, fresh.cells)
