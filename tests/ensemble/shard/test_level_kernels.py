"""Levels that choose kernels: a Gibbs scan of NUTS, HMC and Metropolis, what it counts and what it keeps."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.protocol.stages import EQUILIBRATE
from ensemble.protocol.statistics import ChainSums, Rate
from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from ensemble.shard.chain_sums import drawn, recorded
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.keys import replica_keys
from ensemble.shard.sweeps.rounds import Sweeps
from kernels.structure.joining import joined
from tests.support.models.ensemble_models import GROUPS, REPLICAS, dispersed, evaluated, small

SWEEPS = 4


@cache
def spec(shared, leaf):
    """The small model with these kernels on its global and its leaf level, and no interweaving."""
    model = small()
    found, kernels = model.structure, {}
    for name, kernel in (("global", shared), ("g", leaf)):
        if kernel == "nuts":
            found = joined(model.target, found, name)
        kernels[name] = KernelSpec(kernel, max_depth=4)
    return SweepSpec(found, kernels)


def structure(shared, leaf):
    return spec(shared, leaf).structure


@cache
def sweeps(shared, leaf):
    return Sweeps(small().target, spec(shared, leaf), replicas=REPLICAS, rungs=1, repeats=2)


@cache
def program(shared, leaf):
    return jax.jit(sweeps(shared, leaf).round)


def start(shared, leaf):
    return dispersed(1, structure(shared, leaf))


def tuning(shared, leaf, lengths, log_step=-1.0):
    found = first_tuning(spec(shared, leaf), np.ones(1), SWEEPS)
    levels = {
        name: (rungs[0]._replace(log_scale=np.full_like(rungs[0].log_scale, log_step)),)
        for name, rungs in found.levels.items()
    }
    return found._replace(
        levels=levels,
        lengths={name: np.full((1, SWEEPS), lengths) for name in found.lengths},
        schedule=np.zeros(SWEEPS, int),
    )


def run(shared, leaf, lengths=2, **changes):
    keys = replica_keys(0, EQUILIBRATE, 0, 0, (1, REPLICAS))
    return program(shared, leaf)(start(shared, leaf), keys, small().data, tuning(shared, leaf, lengths, **changes))[:2]


CHOICES = [("metropolis", "hmc"), ("nuts", "metropolis")]


@pytest.mark.parametrize(("shared", "leaf"), CHOICES)
def test_every_level_moves_and_is_counted(shared, leaf):
    before, ((cold,), tally) = start(shared, leaf)[0], run(shared, leaf)
    for name, kernel, blocks in (("global", shared, 1), ("g", leaf, 1 if leaf == "nuts" else GROUPS)):
        tries = SWEEPS * REPLICAS * (2 if name == "global" and kernel == "metropolis" else 1)
        np.testing.assert_array_equal(tally.rates[name][0].walk.tried, np.full(blocks, tries))
        assert ((tally.rates[name][0].walk.accepted > 0) & (tally.rates[name][0].walk.accepted <= tries)).all()
    for site in ("mu", "x"):
        assert not np.array_equal(cold.position[site], before.position[site])


@pytest.mark.parametrize(("shared", "leaf"), CHOICES)
def test_cells_stay_those_of_the_position(shared, leaf):
    (cold,), _ = run(shared, leaf)
    fresh = evaluated(cold.position, structure(shared, leaf))
    for name, cells in cold.cells.items():
        np.testing.assert_allclose(cells, fresh.cells[name], rtol=1e-10, atol=1e-12)


def test_gradients_of_hmc_are_its_steps_and_one_more():
    _, tally = run("metropolis", "hmc", lengths=3)
    np.testing.assert_array_equal(tally.gradients, [SWEEPS * 4, SWEEPS * 4 * REPLICAS])


def test_gradients_of_nuts_in_lock_step_are_at_least_those_of_any_chain():
    _, tally = run("nuts", "metropolis", lengths=4)
    lockstep, own = (float(x) for x in tally.gradients)
    assert own / REPLICAS <= lockstep <= SWEEPS * 2**4
    assert own >= 2 * SWEEPS * REPLICAS


def test_metropolis_needs_no_gradient():
    _, tally = run("metropolis", "metropolis")
    np.testing.assert_array_equal(tally.gradients, 0.0)


@pytest.mark.parametrize(("log_step", "failed"), [(-6.0, 0), (6.0, SWEEPS)])
def test_trajectories_that_are_rejected_for_certain_are_counted(log_step, failed):
    """Steps of e^-6 keep H; of e^6 no point is near."""
    chains = run("metropolis", "nuts", log_step=log_step)[1].chains
    np.testing.assert_array_equal(chains.failed, np.full(REPLICAS, failed))


@pytest.mark.parametrize("kernel", ["hmc", "nuts"])
def test_trajectories_of_no_length_move_nothing_and_say_nothing(kernel):
    before, ((cold,), tally) = start("metropolis", kernel)[0], run("metropolis", kernel, lengths=0)
    np.testing.assert_array_equal(cold.position["x"], before.position["x"])
    np.testing.assert_array_equal(tally.rates["g"][0].walk.tried, 0.0)


@pytest.mark.parametrize("kernel", ["hmc", "nuts"])
def test_a_step_far_too_long_is_refused(kernel):
    before, ((cold,), tally) = start("metropolis", kernel)[0], run("metropolis", kernel, log_step=6.0)
    np.testing.assert_array_equal(cold.position["x"], before.position["x"])
    assert float(jnp.max(tally.rates["g"][0].walk.accepted)) < 1e-6


def test_adaptation_compiles_nothing_anew():
    found, traces = sweeps("nuts", "hmc"), []

    def counted(*arguments):
        traces.append(1)
        return found.round(*arguments)

    compiled = jax.jit(counted)
    keys = replica_keys(0, EQUILIBRATE, 0, 0, (1, REPLICAS))
    for lengths, log_step in ((1, -1.0), (3, -2.0), (0, 0.5)):
        compiled(start("nuts", "hmc"), keys, small().data, tuning("nuts", "hmc", lengths, log_step))
    assert len(traces) == 1


def declared(shared, leaf):
    return set(recorded(spec(shared, leaf)))


def test_a_run_records_what_its_kernels_know():
    trajectories = {"n_steps", "diverging", "step_size", "energy"}
    assert declared("metropolis", "metropolis") == {"acceptance_rate"}
    assert declared("metropolis", "hmc") == {"acceptance_rate", *trajectories}
    assert declared("nuts", "metropolis") == declared("nuts", "hmc") == {"acceptance_rate", "tree_depth", *trajectories}


@pytest.mark.parametrize(
    ("shared", "leaf", "leading"),
    [("metropolis", "metropolis", "g"), ("metropolis", "hmc", "g"), ("nuts", "metropolis", "global")],
)
def test_chains_accept_as_often_as_the_blocks_of_their_leading_level(shared, leaf, leading):
    _, tally = run(shared, leaf)
    (rates,) = tally.rates[leading]
    sums, blocks = tally.chains.acceptance, len(rates.walk.tried)
    np.testing.assert_array_equal(sums.tried, SWEEPS)
    np.testing.assert_allclose(sums.accepted.sum(), rates.walk.accepted.sum() / blocks, rtol=1e-12)
    assert len(np.unique(sums.accepted)) > 1


def test_chains_count_the_trajectories_of_all_levels():
    _, tally = run("nuts", "hmc", lengths=2)
    chains = tally.chains
    np.testing.assert_array_equal(chains.trajectories, 2 * SWEEPS)
    np.testing.assert_array_equal(chains.tree_depth <= 2, np.ones(REPLICAS, bool))
    assert ((chains.n_steps > 2 * SWEEPS) & (chains.n_steps <= (2 + 3) * SWEEPS)).all()
    np.testing.assert_allclose(chains.step_size, np.exp(-1.0))
    assert np.isfinite(chains.energy).all()


def one_draw(chains):
    """The sums of a round, as its only draw."""
    return jax.tree.map(lambda values: np.asarray(values)[None], chains)


@pytest.mark.parametrize("kernel", ["hmc", "nuts"])
def test_divergent_trajectories_are_counted_by_chain(kernel):
    for log_step, diverging in ((6.0, SWEEPS), (-4.0, 0)):
        chains = run("metropolis", kernel, log_step=log_step)[1].chains
        np.testing.assert_array_equal(chains.divergences, np.full(REPLICAS, diverging))
        np.testing.assert_array_equal(chains.trajectories, SWEEPS)
    draw = drawn(one_draw(chains), 2, recorded(spec("metropolis", kernel)))
    assert not draw["diverging"].any()
    assert draw["n_steps"].shape == (1, 2)


@pytest.mark.parametrize("kernel", ["hmc", "nuts"])
def test_trajectories_of_no_length_are_none(kernel):
    chains = run("metropolis", kernel, lengths=0)[1].chains
    for counts in (chains.trajectories, chains.n_steps, chains.divergences, chains.acceptance.tried):
        np.testing.assert_array_equal(counts, 0)
    assert np.isnan(drawn(one_draw(chains), 2, recorded(spec("metropolis", kernel)))["acceptance_rate"]).all()


def test_rounds_of_a_scout_know_no_trajectories():
    """Their draws have the variables of the run all the same."""
    score = ChainSums(Rate(np.array([0.5, 0.25]), np.ones(2)))
    draw = drawn(one_draw(score), 2, recorded(spec("metropolis", "nuts")))
    np.testing.assert_array_equal(draw["acceptance_rate"], [[0.5, 0.25]])
    assert {name: values.dtype for name, values in draw.items()} == recorded(spec("metropolis", "nuts"))
    assert not draw["diverging"].any()
    assert np.isnan(draw["energy"]).all()
