"""The ladder in the ensemble: what travels, what is counted, how betas adapt, and real runs against closed forms.

Real runs are compared with known truths at stated odds; the rest is exact and leaves nothing to chance.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ensemble.protocol.stages import EQUILIBRATE, SAMPLE
from ensemble.protocol.statistics import LadderSums, Rate, RoundStatistics
from ensemble.run import ladder as run_ladder
from ensemble.run.ladder import LadderState
from ensemble.run.summary import summarise_ladder
from ensemble.shard.sweeps.rounds import Sweeps
from ensemble.shard.sweeps.walkers import exchange, first_walkers
from kernels.ladder import schedule as ladder
from kernels.state import LevelView
from kernels.transitions import block_swap, metropolis
from kernels.transitions.block_swap import BlockSwap
from kernels.transitions.hmc import Hmc, HmcParameters
from kernels.transitions.metropolis import Metropolis
from maxwell import run
from tests.support.harness import WIDTH, Sample, check_kernel, check_swap, draw_joint, hierarchy, view
from tests.support.models import ladder_models
from tests.support.models.ensemble_models import GROUPS, REPLICAS, dispersed, evaluated, small, tuning
from tests.support.statistics import statistics_of
from workflows.results.inspect import inspect_store, to_json
from workflows.results.inspect_text import closing_lines, render
from workflows.settings.loading import SettingsError
from workflows.studies.trials import ladder as ladder_trial

# The likelihood alone tempered, by the harness: x given the rest has precision 1 / sd^2 + beta.

TEMPERED = frozenset({"y"})
BETA = 0.4


def tempered_view() -> LevelView:
    target, structure = hierarchy()
    return LevelView(target, structure, structure.level("group"), TEMPERED)


def draw_likelihood_tempered(name: str) -> Sample:
    """Draws in which x has its law given mu, log sd and y, the likelihood to the power BETA."""
    position, y = draw_joint(name)
    weight = np.exp(-2.0 * position["log_sd"])[:, None, None]
    noise = np.random.default_rng(len(name)).normal(size=y.shape)
    mean = (weight * position["mu"][:, None, None] + BETA * y) / (weight + BETA)
    return {**position, "x": mean + noise / np.sqrt(weight + BETA)}, y


def walk(beta: float) -> metropolis.MetropolisParameters:
    ones = jnp.ones((WIDTH, 5))
    return metropolis.MetropolisParameters(jnp.asarray(beta), jnp.zeros(5), 0.0 * ones, ones, jnp.zeros(5))


@pytest.mark.slow
def test_metropolis_with_the_likelihood_tempered() -> None:
    samples = draw_likelihood_tempered("likelihood"), draw_likelihood_tempered("likelihood still")
    assert check_kernel("likelihood", Metropolis(tempered_view()), walk(BETA), *samples).passed
    assert not check_kernel("density", Metropolis(view("group")), walk(BETA), *samples).passed


@pytest.mark.slow
def test_hmc_with_the_likelihood_tempered() -> None:
    samples = draw_likelihood_tempered("likelihood hmc"), draw_likelihood_tempered("likelihood hmc still")
    chosen = HmcParameters(jnp.asarray(BETA), jnp.asarray(0.6), jnp.ones((WIDTH, 5)), jnp.asarray(3))
    assert check_kernel("likelihood hmc", Hmc(tempered_view()), chosen, *samples).passed


def test_a_view_without_a_choice_tempers_everything() -> None:
    """The harness's swap between temperatures of the whole density passes, with every term named it is the same."""
    target, structure = hierarchy()
    everything = LevelView(target, structure, structure.level("group"), frozenset(target.term_kinds))
    chosen = block_swap.BlockSwapParameters(jnp.asarray(1.0), jnp.asarray(0.5))
    named = check_swap("all terms", BlockSwap(everything), chosen, 0.5)
    assert named.passed
    assert named == check_swap("all terms", BlockSwap(view("group")), chosen, 0.5)
    assert not check_swap("all terms", BlockSwap(tempered_view()), chosen, 0.5).passed


# Whole replicas.


@pytest.mark.parametrize("parity", [0, 1])
def test_whole_replicas_change_places_with_all_that_is_theirs(parity: int) -> None:
    """At equal betas all pairs that meet swap: states, cached terms and walkers move together, and none is lost."""
    states, walkers = dispersed(4), first_walkers(4, REPLICAS)
    keys = jax.random.split(jax.random.key(5), REPLICAS)
    after, found, swaps = exchange(keys, states, walkers, jnp.asarray(parity), jnp.ones(4), None)
    np.testing.assert_array_equal(
        swaps.acceptance_probability, np.broadcast_to(np.arange(3) % 2 == parity, (REPLICAS, 3))
    )
    came_from = np.concatenate([np.asarray(of_rung.number) // REPLICAS for of_rung in found]).reshape(4, REPLICAS)
    partners = {0: [1, 0, 3, 2], 1: [0, 2, 1, 3]}[parity]
    np.testing.assert_array_equal(came_from, np.repeat(partners, REPLICAS).reshape(4, REPLICAS))
    everyone = jax.tree.map(lambda *arrays: np.concatenate(arrays), *states)
    for state, of_rung in zip(after, found, strict=True):
        expected = jax.tree.map(lambda array, chosen=of_rung.number: array[chosen], everyone)
        for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(one, other)
    numbers = np.concatenate([of_rung.number for of_rung in found])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(4 * REPLICAS))


def test_who_swaps_is_decided_on_the_tempered_terms() -> None:
    """One replica a rung: the reported probability is min(1, exp((beta_0 - beta_1) (l_1 - l_0))), l of those terms."""
    states, betas = tuple(jax.tree.map(lambda x: x[:1], s) for s in dispersed(2)), jnp.asarray([1.0, 0.97])
    for tempered in (None, TEMPERED):
        names = tempered or frozenset(states[0].cells)
        cold, hot = (sum(float(state.cells[name].sum()) for name in names) for state in states)
        keys = jax.random.split(jax.random.key(0), 1)
        swaps = exchange(keys, states, first_walkers(2, 1), jnp.asarray(0), betas, tempered)[2]
        expected = min(1.0, np.exp(0.03 * (hot - cold)))
        assert expected > 0.0
        np.testing.assert_allclose(swaps.acceptance_probability, [[expected]], rtol=1e-9)


SWEEPS = 11
WALKERS = first_walkers(3, REPLICAS)


@cache
def whole_round() -> Any:
    """The compiled round of three rungs, without interweaving."""
    model = small()
    options = {"replicas": REPLICAS, "rungs": 3, "repeats": 1}
    spec = model.spec._replace(interweavings=())
    return jax.jit(Sweeps(model.target, spec, **options, replica_swap=True, tempered=TEMPERED).round)


def whole_run(temperatures: tuple[float, ...]) -> Any:
    chosen = tuning(temperatures, SWEEPS, replica_swap=True)._replace(
        interweave=np.zeros(0), schedule=np.zeros(SWEEPS, int)
    )
    keys = jax.random.split(jax.random.key(1), (3, REPLICAS))
    return whole_round()(dispersed(3), keys, small().data, chosen, WALKERS)


def test_every_level_moves_at_every_rung_and_terms_stay_true() -> None:
    before = dispersed(3)
    after, tally, _ = whole_run((1.0, 2.0, np.inf))
    assert {name: len(rungs) for name, rungs in tally.rates.items()} == {"global": 3, "g": 3}
    assert list(tally.swaps) == ["whole"]
    assert [float(pair.tried) for pair in tally.swaps["whole"]] == [6 * REPLICAS, 5 * REPLICAS]
    for state in after:
        assert not np.isin(state.position["mu"], np.concatenate([s.position["mu"] for s in before])).all()
        fresh = evaluated(state.position)
        for name, cells in state.cells.items():
            np.testing.assert_allclose(cells, fresh.cells[name], rtol=1e-11, atol=1e-11)
    assert int(tally.stones.draws) == SWEEPS * REPLICAS


def test_round_trips_when_every_swap_is_accepted() -> None:
    """At equal betas every ladder of a shard has the closed form's round trips, whoever its replicas are."""
    _, _, walkers = whole_run((1.0, 1.0, 1.0))
    finished = sum(int(of_rung.trips.finished.sum()) for of_rung in walkers)
    assert finished == REPLICAS * ladder.round_trips_all_accepted(SWEEPS, 3)
    assert finished > 0


def test_blocks_swap_by_even_and_odd_pairs() -> None:
    """Three rungs: sweeps try the cold pair and the hot pair in turn."""
    model = small()
    sweeps = Sweeps(model.target, model.spec._replace(interweavings=()), replicas=REPLICAS, rungs=3, repeats=1)
    keys = jax.random.split(jax.random.key(3), (3, REPLICAS))
    chosen = tuning((1.0, 1.5, 2.0), 3)._replace(interweave=np.zeros(0), schedule=np.zeros(3, int))
    _, tally, _ = jax.jit(sweeps.round)(dispersed(3), keys, model.data, chosen)
    assert list(tally.swaps) == ["g"]
    assert [float(pair.tried[0]) / REPLICAS for pair in tally.swaps["g"]] == [2, 1]
    assert all((pair.accepted > 0).all() and pair.accepted.shape == (GROUPS,) for pair in tally.swaps["g"])
    assert [len(tally.rates[name]) for name in ("global", "g")] == [1, 3]


# The coordinator's state.


def round_of(accepted: list[float], energy: list[float], trips: int = 0) -> list[RoundStatistics]:
    """Two shards' statistics of a round of 10 tries a pair and shard."""
    swaps = {"g": tuple(Rate(np.full(5, 2.0 * share), np.full(5, 2.0)) for share in accepted)}
    ladder = LadderSums(np.asarray(energy), np.asarray(1.5), trips=np.asarray(trips))
    return [statistics_of(swaps=swaps, ladder=ladder)] * 2


BETAS = np.array([1.0, 0.5, 0.1])


def test_the_state_adds_rounds_and_keeps_rows_of_some() -> None:
    state = LadderState()
    for round_ in range(11):
        statistics = round_of([0.5, 0.25], [-8.0, -16.0, -24.0], trips=round_)
        state = run_ladder.absorb_swaps(state, statistics, BETAS, SAMPLE, round_, sweeps=4, chains=2)
    assert state.swaps == ((110.0, 220.0), (55.0, 220.0))
    assert (state.sweeps, state.trips, state.energies) == (44, 20, (-2.0, -4.0, -6.0))
    assert [row["round"] for row in state.rows] == [1, 2, 4, 8, 11]
    assert state.rows[-1]["accepted"] == [0.5, 0.25]
    assert state.rows[-1]["flow"] == 1.5
    np.testing.assert_allclose(run_ladder.rejections(state, 2), [0.5, 0.75])
    assert LadderState.from_json(json.loads(json.dumps(state._asdict()))) == state
    told = summarise_ladder(state, BETAS, chains=2)
    assert told is not None
    assert told["barrier"] == 1.25
    assert told["round_trips_expected"] == pytest.approx(88 * ladder.round_trip_rate(np.array([0.5, 0.75])))
    json.dumps(told, allow_nan=False)


def test_the_state_of_a_stage_without_hot_rungs_stays_empty() -> None:
    one = run_ladder.absorb_swaps(LadderState(), [statistics_of()], np.ones(1), SAMPLE, 0, 4, 2)
    assert one == LadderState()
    assert summarise_ladder(one, np.ones(1), 2) is None
    assert summarise_ladder(one, BETAS, 2)["barrier"] is None


def test_betas_adapt_after_rounds_that_double() -> None:
    """In between the ladder stands; what was seen on the old one is forgotten; two rungs have nothing to adapt."""
    state = run_ladder.absorb_swaps(LadderState(), round_of([0.9, 0.1], [0.0] * 3), BETAS, EQUILIBRATE, 0, 4, 2)
    moved = [round_ for round_ in range(20) if run_ladder.adapted(state, BETAS, round_)[1] is not BETAS]
    assert moved == [0, 1, 3, 7, 15]
    emptied, betas = run_ladder.adapted(state, BETAS, 3)
    assert emptied.swaps == ()
    assert (betas[0], betas[2]) == (1.0, 0.1)
    assert betas[1] < 0.5
    assert run_ladder.adapted(state, BETAS[:2], 3)[1] is not None


# Real runs.

SETTINGS: dict[str, Any] = {
    "ensemble": {"replicas": 32, "superchains": 8, "workers": 1},
    "round": {"sweeps": 16},
    "scout": {"kernel": "none"},
    "goals": {"ess": 1e6, "draws": 1000},
}


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight modes along five temperatures, from one mode and the posterior to the prior."""
    path = tmp_path_factory.mktemp("ladder") / "modes.zarr"
    tempering = {"tempers": "likelihood", "swaps": "whole", "stages": ["equilibrate", "sample"]}
    settings = {
        **SETTINGS,
        "model": {"name": "tests.support.models.ladder_models:two_modes"},
        "equilibrate": {"max_rounds": 24, "refine_rounds": 16},
        "tempering": {**tempering, "hottest": "inf", "rungs": 5},
        "limits": {"sweeps": 1000},
    }
    run(settings, out=path, local=True)
    return path


@pytest.mark.slow
def test_the_log_evidence_of_eight_modes(modes: Path) -> None:
    """All three estimates within errors that Student's t with 7 degrees of freedom exceeds with probability 1e-7."""
    told = inspect_store(modes)["ladder"]
    truth, alarm = ladder_models.two_modes_evidence(), stats.t(7).isf(0.5e-7)
    for value, error in told["log_evidence_by"].values():
        assert abs(value - truth) < alarm * error
        assert 0 < error < 0.04
    assert told["log_evidence"] == told["log_evidence_by"]["stepping_stone"][0]


@pytest.mark.slow
def test_the_ladder_adapts_to_equal_swaps_and_carries_replicas(modes: Path) -> None:
    """From shares of .4 to .99 to within .25 of each other, 6 standard errors; walkers come and go."""
    told = inspect_store(modes)["ladder"]
    swaps = [rung["swap"] for rung in told["rungs"][:-1]]
    assert max(swaps) - min(swaps) < 0.25
    betas = [rung["beta"] for rung in told["rungs"]]
    assert (betas[0], betas[-1]) == (1.0, 0.0)
    assert betas != [0.25**4 * k**4 for k in range(4, -1, -1)]
    assert 0.3 < told["round_trips"] / told["round_trips_expected"] < 1.05


@pytest.mark.slow
def test_the_cold_slots_hold_both_modes_and_many_walkers(modes: Path) -> None:
    """All chains began in one mode of eight; replicas are numbered over all rungs of their superchain, 5 x 4."""
    from maxwell import open_run

    data = open_run(modes).data
    x, replica = data["posterior"]["x"].values, data["sample_stats"]["replica"].values
    shares = (x > 0).mean(axis=(0, 1))
    assert (np.abs(shares - 0.5) < 0.15).all()
    for chain, walkers in enumerate(replica):
        superchain = chain // 4
        assert (walkers // 20 == superchain).all()
        assert len(np.unique(walkers)) > 4


@pytest.mark.slow
def test_inspect_shows_the_ladder(modes: Path) -> None:
    summary = inspect_store(modes)
    json.loads(to_json(summary))
    assert summary["ladder"]["rungs"][-1]["temperature"] is None
    text = render(summary)
    for part in ("5 temperatures, barrier", "round trips", "log evidence", "stepping stone", "prior", "flow"):
        assert part in text, part
    assert "log evidence" in "\n".join(closing_lines(summary, []))
    bare = {**summary, "ladder": None}
    assert "barrier" not in "\n".join(closing_lines(bare, []))


@pytest.mark.slow
def test_the_barrier_of_a_gaussian(tmp_path: Path) -> None:
    """10 dimensions, T = 1 to 8 by six rungs: Lambda of the run is that of its ladder within 10%, and each rung has the
    energy of its temperature, -d / (2 beta). Errors: 1% of Lambda, 3% of the ratios of neighbouring temperatures, 4% of
    the energies, which some rows of single rounds tell; what is allowed is 5 of them or more."""
    settings = {
        **SETTINGS,
        "model": {"name": "tests.support.models.ladder_models:gaussian"},
        "equilibrate": {"max_rounds": 16, "refine_rounds": 16},
        "tempering": {"swaps": "whole", "hottest": 8.0, "rungs": 6, "stages": ["equilibrate", "sample"]},
        "limits": {"sweeps": 800},
    }
    told = run(settings, out=tmp_path / "gaussian.zarr", local=True).summary()["ladder"]
    betas = np.array([rung["beta"] for rung in told["rungs"]])
    ratios = betas[:-1] / betas[1:]
    rejected = [ladder_trial.rejection(ladder_models.DIMENSION, ratio) for ratio in ratios]
    assert told["barrier"] == pytest.approx(sum(rejected), rel=0.1)
    np.testing.assert_allclose(ratios, 8.0**0.2, rtol=0.18)
    energies = np.mean([row["energy"] for row in told["rounds"] if row["round"] >= 16], axis=0)
    np.testing.assert_allclose(energies, -0.5 * ladder_models.DIMENSION / betas, rtol=0.25)
    assert told["log_evidence"] is None


def test_tempering_a_likelihood_that_is_not_there_is_refused(tmp_path: Path) -> None:
    settings = {
        **SETTINGS,
        "model": {"name": "tests.support.models.ladder_models:gaussian"},
        "tempering": {"temperatures": [1.0, 2.0], "tempers": "likelihood"},
    }
    with pytest.raises(SettingsError, match=r"tempering.tempers: given likelihood, but no term.*use density"):
        run(settings, out=tmp_path / "refused.zarr", local=True)


@pytest.mark.slow
def test_a_thousand_dimensions_need_many_rungs_or_blocks() -> None:
    """Theory: 31 rungs for whole vectors; blocks of one coordinate swap between two of them as in one dimension.

    Measured on 100 exact ladders of 30 pairs and 100,000 blocks: errors below .02 and .002, hence 5 of them.
    """
    row = ladder_trial.measure(1000, draws=100)
    assert row.rungs == 31
    assert row.barrier == pytest.approx(15.8, abs=0.01)
    assert row.measured == pytest.approx(row.predicted, abs=0.1)
    assert row.at_once == 0.0
    assert row.blocks == pytest.approx(1.0 - ladder_trial.rejection(1, ladder_trial.HOTTEST), abs=0.01)
