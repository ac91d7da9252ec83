"""The runner of shards: starts, rounds of every stage, what it reports, and that its state goes on bit for bit."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.protocol.flat import flatten
from ensemble.protocol.plans import RoundPlan
from ensemble.protocol.stages import stage_named
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.shard.audit import AuditError
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.runner import ShardRunner
from ensemble.shard.scouts import scout_tuning
from ensemble.shard.starts.starter import STARTS, StartError
from ensemble.shard.sweeps.rounds import ApproximateKernelError
from kernels.structure.discovery import discover
from kernels.transitions.metropolis import Metropolis
from tests.support.models.ensemble_models import GROUPS, SCOUT, initial, log_terms, shard_settings, small, target

SWEEPS, REPLICAS, STORED = 4, 3, 2
TEMPERATURES = (1.0, 3.0)
COLD_SAMPLE, WARM_SAMPLE = ("equilibrate",), ("equilibrate", "sample")


class Counted(NamedTuple):
    """A runner, and the traces of its target's terms so far."""

    runner: ShardRunner
    traces: list[int]


def fresh(stages=COLD_SAMPLE) -> Counted:
    """A runner of two temperatures, the hot ones in the given stages."""
    traces: list[int] = []

    def counting(position, data):
        traces.append(1)
        return log_terms(position, data)

    settings = shard_settings(ladder={"temperatures": TEMPERATURES, "stages": stages})
    model = small()
    return Counted(ShardRunner(target(counting), model.spec, settings, model.data), traces)


@cache
def runner(stages=COLD_SAMPLE, copy=0) -> ShardRunner:
    """One runner for all tests (or two alike), so that it compiles once; tests load the state that they start from."""
    return fresh(stages).runner


def tuning(stage, stages=COLD_SAMPLE, log_scale=-0.5):
    """Controls of a stage with scales to be seen."""
    model = small()
    rungs = 2 if stage in stages else 1
    start = first_tuning(model.spec, 1 / np.asarray(TEMPERATURES[:rungs]), SWEEPS)
    levels = {
        name: tuple(level._replace(log_scale=np.full_like(level.log_scale, log_scale)) for level in levels)
        for name, levels in start.levels.items()
    }
    start = start._replace(levels=levels)
    return start._replace(scout=scout_tuning(model.structure, SCOUT)) if stage == "scout" else start


ROUNDS = (("scout", 0), ("equilibrate", 0), ("equilibrate", 1), ("sample", 0), ("sample", 1), ("sample", 2))


def plan(epoch, stages=COLD_SAMPLE, **changes):
    """The plan of an epoch of a short run: scout, equilibrate, sample with its accumulators reset in its second."""
    stage, round_ = ROUNDS[epoch]
    sampled = stage == "sample"
    return RoundPlan(
        epoch=epoch,
        stage=stage_named(stage),
        round=round_,
        sweeps=SWEEPS,
        tuning=flatten(tuning(stage, stages)),
        record=sampled,
        reset=sampled and round_ == 1,
        with_diagnostics=sampled,
    )._replace(**changes)


def carry(runner, shard, first, last, stages=COLD_SAMPLE):
    """Reports of the epochs from first to last, without last."""
    return [runner.run(shard, plan(epoch, stages)) for epoch in range(first, last)]


def start(runner, shard=0):
    runner.load(shard, -1, runner.initial(shard))


def assert_same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def results(reports):
    """What a report says, but for its seconds."""
    return [report._replace(kernel_seconds=0.0, compile_seconds=0.0) for report in reports]


def test_all_replicas_of_a_superchain_start_together_and_superchains_apart():
    one, other = runner().initial(0), runner().initial(1)
    for name in ("mu", "x"):
        values = one[f"rung/0/position/{name}"]
        assert values.shape[0] == REPLICAS
        np.testing.assert_array_equal(values, np.broadcast_to(values[:1], values.shape))
        assert not np.array_equal(values, other[f"rung/0/position/{name}"])
    assert_same_bits(one, runner().initial(0))


def other_target(log_terms=log_terms, initial=initial, structure=None):
    model = small()
    spec = SweepSpec(structure or model.structure, {})
    return ShardRunner(target(log_terms, initial), spec, shard_settings(), model.data)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_density_that_is_finite_nowhere_is_refused_with_the_terms_to_look_at(value):
    def hopeless(position, data):
        terms = log_terms(position, data)
        return {**terms, "y": terms["y"] + value, "b": terms["b"].at[0].set(value)}

    with pytest.raises(StartError, match=f"any of {STARTS} starts of superchain 2.*infinite: b, y"):
        other_target(hopeless).initial(2)


def test_starts_are_drawn_until_the_density_is_finite():
    """Three starts in four have no density: the first of the others is taken, the same every time."""

    def picky(position, data):
        terms = log_terms(position, data)
        wanted = (position["mu"] > 0) & (position["log_sd"] > 0)
        return {**terms, "mu": jnp.where(wanted, terms["mu"], jnp.nan)}

    found = other_target(picky)
    states = [found.initial(shard) for shard in range(6)]
    assert all((state["rung/0/position/mu"] > 0).all() for state in states)
    assert all(np.isfinite(state["rung/0/cells/mu"]).all() for state in states)
    assert_same_bits(states[5], found.initial(5))


def test_a_round_out_of_turn_is_refused():
    start(runner())
    with pytest.raises(ValueError, match="shard 0 stands at round -1, it cannot run round 1"):
        runner().run(0, plan(1))
    runner().run(0, plan(0))
    with pytest.raises(ValueError, match="shard 0 stands at round 0, it cannot run round 0"):
        runner().run(0, plan(0))


def test_a_shard_that_was_not_loaded_is_refused():
    with pytest.raises(KeyError):
        runner().run(99, plan(0))


@pytest.mark.parametrize("stages", [COLD_SAMPLE, WARM_SAMPLE])
@pytest.mark.parametrize("half", [1, 2, 4, 5])
def test_stopped_and_loaded_elsewhere_it_goes_on_bit_for_bit(half, stages):
    """From the scout through the freeze: reports, draws and the last state, with hot replicas in `sample` or without.

    Another runner, with programs of its own, takes over; between its rounds it works on another shard.
    """
    one = runner(stages)
    start(one)
    whole = carry(one, 0, 0, half, stages)
    states = {name: array.copy() for name, array in one.state(0).items()}
    whole += carry(one, 0, half, 6, stages)
    expected = one.state(0)
    other = runner(stages, copy=1)
    start(other, shard=1)
    other.load(0, half - 1, states)
    parts = []
    for epoch in range(half, 6):
        other.run(1, plan(epoch - half, stages))
        parts += carry(other, 0, epoch, epoch + 1, stages)
    assert_same_bits(results(parts), results(whole[half:]))
    assert_same_bits(other.state(0), expected)


def test_keys_differ_between_shards_and_rounds():
    """From one and the same state: shard 0, shard 1 and the next round of shard 0 go different ways."""
    start(runner())
    carry(runner(), 0, 0, 1)
    state = runner().state(0)
    found = []
    for shard, round_ in ((0, 0), (1, 0), (0, 1), (0, 0)):
        runner().load(shard, 0, state)
        runner().run(shard, plan(1, round=round_))
        found.append(runner().state(shard)["rung/0/position/x"])
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[0], found[3])


def test_other_shards_and_rounds_give_other_draws():
    """The comparison of bits sees a difference where there must be one."""
    start(runner(), 0)
    start(runner(), 1)
    one, other = carry(runner(), 0, 0, 2), carry(runner(), 1, 0, 2)
    assert not np.array_equal(one[1].statistics.lp, other[1].statistics.lp)
    assert not np.array_equal(one[0].statistics.lp, one[1].statistics.lp)


def test_states_handed_out_stay_as_they_are():
    """The programs may reuse the memory of a shard's state, but not of what was handed out for a checkpoint."""
    start(runner())
    carry(runner(), 0, 0, 2)
    state = runner().state(0)
    kept = {name: array.copy() for name, array in state.items()}
    carry(runner(), 0, 2, 5)
    assert_same_bits(state, kept)
    runner().load(0, 1, state)
    carry(runner(), 0, 2, 5)
    assert_same_bits(state, kept)


def test_a_state_packs_and_unpacks_to_the_same_bits():
    start(runner())
    carry(runner(), 0, 0, 6)
    state = runner().state(0)
    runner().load(0, 5, {name: array.copy() for name, array in state.items()})
    assert_same_bits(runner().state(0), state)
    assert any(name.startswith("accumulators/waiting/") for name in state)
    assert any(name.startswith("rung/0/cells/") for name in state)


def test_hot_replicas_live_in_tempered_stages_only():
    start(runner())
    rungs = []
    for epoch in range(6):
        carry(runner(), 0, epoch, epoch + 1)
        rungs.append(sum(f"rung/{rung}/position/mu" in runner().state(0) for rung in range(3)))
    assert rungs == [1, 2, 2, 1, 1, 1]


def test_the_auxiliary_of_hot_replicas_follows_the_mean_until_the_freeze():
    """In `equilibrate` the hot replicas' shared parameters are the tuning's mean of the round; `sample` keeps them."""
    one = runner(WARM_SAMPLE)
    start(one)
    carry(one, 0, 0, 2, WARM_SAMPLE)

    def run(epoch, mean):
        chosen = tuning(ROUNDS[epoch][0], WARM_SAMPLE)
        shared = chosen.levels["global"][0]._replace(mean=np.array([[mean], [0.25]]))
        levels = {**chosen.levels, "global": (shared,)}
        one.run(0, plan(epoch, WARM_SAMPLE, tuning=flatten(chosen._replace(levels=levels))))
        return one.state(0)["rung/1/position/mu"]

    np.testing.assert_array_equal(run(2, 1.5), 1.5)
    np.testing.assert_array_equal(run(3, 7.0), 1.5)


def test_adapting_and_freezing_do_not_compile_anew():
    """Every program is traced in its stage's first round, and never again while only numbers change."""
    found = fresh(WARM_SAMPLE)
    start(found.runner)
    carry(found.runner, 0, 0, 2, WARM_SAMPLE)
    before = len(found.traces)
    for log_scale in (-1.0, 0.0):
        changed = tuning("equilibrate", WARM_SAMPLE, log_scale)
        mixed = tuple(level._replace(mix=np.full(GROUPS, 0.3)) for level in changed.levels["g"])
        changed = changed._replace(
            levels={**changed.levels, "g": mixed}, interweave=np.full(2, log_scale), schedule=np.full(SWEEPS, 2)
        )
        found.runner.load(0, 0, found.runner.state(0))
        report = found.runner.run(0, plan(1, WARM_SAMPLE, tuning=flatten(changed)))
        assert report.compile_seconds == 0
    carry(found.runner, 0, 2, 4, WARM_SAMPLE)
    start(found.runner, shard=1)
    carry(found.runner, 1, 0, 4, WARM_SAMPLE)
    assert len(found.traces) == before


def test_reports_carry_what_each_stage_needs():
    start(runner())
    scout, equilibrate, _, unreset, sample, later = (report.statistics for report in carry(runner(), 0, 0, 6))
    (leaf,), (shared,) = scout.rates["g"], scout.rates["global"]
    assert leaf.score.accepted.shape == leaf.score.tried.shape == (GROUPS,)
    np.testing.assert_array_equal(leaf.score.tried, REPLICAS)
    np.testing.assert_array_equal(shared.walk.tried, REPLICAS * SCOUT["repeats"])
    assert (leaf.walk, leaf.fitted, shared.score, shared.fitted) == (None,) * 4
    assert equilibrate.rates["g"][1].walk.accepted.shape == (GROUPS,)
    assert equilibrate.moments["g"][1].states.outer.shape == (2, 2, GROUPS)
    assert sample.rates["g"][0].walk.accepted.shape == ()
    assert sample.moments == sample.term_means == {}
    assert all(stats.lp.shape == (REPLICAS,) for stats in (scout, equilibrate, sample))
    assert [stats.accumulated.rounds for stats in (unreset, sample, later)] == [1, 1, 2]
    assert equilibrate.accumulated is None


def test_moments_are_those_of_the_states_about_the_controls_mean():
    start(runner())
    report = carry(runner(), 0, 0, 2)[1].statistics
    state = runner().state(0)
    for rung in (0, 1):
        x = np.stack([state[f"rung/{rung}/position/{site}"] for site in ("x", "b")], axis=1)
        sums = report.moments["g"][rung].states
        np.testing.assert_allclose(sums.sum, x.sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(sums.outer, np.einsum("rib,rjb->ijb", x, x), rtol=1e-10)


def test_lp_is_the_log_density_of_the_cold_replicas():
    start(runner())
    report = carry(runner(), 0, 0, 2)[1]
    state, model = runner().state(0), small()
    for replica in range(REPLICAS):
        position = {name: state[f"rung/0/position/{name}"][replica] for name in model.target.sites}
        terms = model.target.log_terms(position, model.data)
        expected = sum(float(values.sum()) for values in terms.values())
        np.testing.assert_allclose(report.statistics.lp[replica], expected, rtol=1e-12)


def test_draws_are_the_last_states_of_the_stored_replicas():
    start(runner(), shard=1)
    for epoch, report in enumerate(carry(runner(), 1, 0, 4)):
        warmup = "warmup_" if ROUNDS[epoch][0] != "sample" else ""
        assert set(report.draws) == {f"{warmup}posterior", f"{warmup}sample_stats"}
        values, stats = report.draws[f"{warmup}posterior"], report.draws[f"{warmup}sample_stats"]
        assert sorted(values) == (["mu"] if warmup else ["b", "mu", "sd", "x"])
        np.testing.assert_array_equal(stats["replica"], [[REPLICAS, REPLICAS + 1]])
        np.testing.assert_array_equal(stats["lp"], report.statistics.lp[None, :STORED])
        assert stats["acceptance_rate"].shape == (1, STORED)
    state = runner().state(1)
    assert values["x"].dtype == np.float64
    np.testing.assert_array_equal(values["x"][0], state["rung/0/position/x"][:STORED])
    np.testing.assert_allclose(values["sd"][0], np.exp(state["rung/0/position/log_sd"][:STORED]), rtol=1e-14)


def test_a_sampling_round_records_only_when_asked():
    start(runner())
    carry(runner(), 0, 0, 3)
    assert runner().run(0, plan(3, record=False)).draws == {}


def first_sampling():
    """The first round of a run without interweaving that begins with stage `sample`."""
    chosen = tuning("sample")._replace(interweave=np.zeros(0), schedule=np.zeros(SWEEPS, int))
    return plan(3, tuning=flatten(chosen))._replace(epoch=0)


def test_proposals_without_a_finite_density_are_rejected_and_counted():
    def walled(position, data):
        terms = log_terms(position, data)
        return {**terms, "b": jnp.where(jnp.abs(position["b"]) > 0.5, jnp.nan, terms["b"])}

    found = other_target(walled, lambda key, data: jax.tree.map(lambda x: 0.1 * x, initial(key, data)))
    start(found)
    statistics = found.run(0, first_sampling()).statistics
    assert int(statistics.nonfinite) > 0
    state = found.state(0)
    assert np.abs(state["rung/0/position/b"]).max() <= 0.5
    assert np.isfinite(state["rung/0/cells/b"]).all()


def test_a_hidden_coupling_stops_the_round():
    """Group means far out are tied in a way that no probe around 0 meets."""

    def coupled(position, data):
        neighbour = jnp.roll(position["x"], 1)
        return {**(terms := log_terms(position, data)), "y": terms["y"] + jnp.where(neighbour > 9, neighbour, 0.0)}

    def far(key, data):
        return {**initial(key, data), "x": jnp.full(GROUPS, 12.0)}

    origin = {name: np.zeros(site.shape) for name, site in small().target.sites.items()}
    structure = discover(target(coupled), small().data, origin, key=jax.random.key(0))
    assert structure.joined == small().structure.joined
    found = other_target(coupled, far, structure)
    start(found)
    with pytest.raises(AuditError, match=r"shard 0 in round 0 found term 'y'.*sites b, x"):
        found.run(0, first_sampling())


def test_an_approximate_kernel_cannot_sample(monkeypatch):
    """It may equilibrate: the law is about stage `sample`, which is refused before anything has moved."""
    monkeypatch.setattr(Metropolis, "exact", False)
    start(runner())
    carry(runner(), 0, 0, 3)
    with pytest.raises(ApproximateKernelError, match=r"Metropolis is approximate.*`sample`.*`scout`"):
        runner().run(0, plan(3))
    monkeypatch.undo()
    carry(runner(), 0, 3, 4)
