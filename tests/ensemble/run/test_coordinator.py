"""The coordinator stepped against a fake fleet: stages, the freeze, commits, stops, limits, goals, and resuming.

The fake's log densities stand still, so by the rules of policies.py and these settings a run is: 6 rounds of scout, 6
of equilibrate until it settles and 10 more, then sample; independent draws meet the goals at the fifth check.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ensemble.adaptation.interweaving import schedule
from ensemble.protocol.plans import RoundPlan
from ensemble.protocol.progress import NullProgress, Status
from ensemble.protocol.statistics import LadderSums, Rate
from ensemble.run.coordinator import Coordinator, Outcome
from ensemble.run.decisions import policies
from ensemble.run.ledger import Ledger
from ensemble.run.sitting import Sitting
from ensemble.store import opening as stores
from ensemble.store.contents import Layout, Variable
from tests.support.fake_fleet import FakeFleet, unchanged
from tests.support.models.ensemble_models import STORED, run_settings, shard_settings, small

GOALS = {"ess": 400.0, "rhat": 1.2, "shared_ess": 400.0, "shared_rhat": 1.2, "of_draws": False}
SCOUT, EQUILIBRATE, SAMPLE = 6, 16, 22
ROUNDS = SCOUT + EQUILIBRATE + SAMPLE


class Heard(NullProgress):
    """Keeps what the coordinator says."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.statuses: list[Status] = []

    def stage(self, name: str, text: str) -> None:
        self.stages.append(name)

    def update(self, status: Status) -> None:
        self.statuses.append(status)


def reopened(path):
    return stores.reopen(path / "run.zarr")


def create(path):
    stats = {"lp": Variable("float64")}
    groups = {"posterior": {"mu": Variable("float64")}, "sample_stats": stats, "warmup_sample_stats": stats}
    return stores.create(path / "run.zarr", Layout(groups, STORED, 4, 4, {}, {}), {"seed": 0})


def coordinator(fleet, store, **options: Any) -> Coordinator:
    """A coordinator of the small model; options are its own or changes of the settings."""
    own = {name: options.pop(name) for name in Sitting._fields if name in options}
    settings = run_settings(**{"goals": GOALS, **options})
    model = small()
    return Coordinator(fleet, store, model.spec, settings, Sitting(**own))


def drive(path, fleet=None, **options: Any) -> tuple[FakeFleet, Outcome]:
    """A new run from start to end."""
    fleet = fleet or FakeFleet(4)
    fleet.initialise()
    with create(path) as store:
        steering = coordinator(fleet, store, **options)
        steering.start()
        return fleet, steering.run()


def resume(path, fleet=None, **options: Any) -> tuple[FakeFleet, Outcome]:
    """A stored run, gone on with by another coordinator and fleet."""
    fleet = fleet or FakeFleet(4)
    with reopened(path) as store:
        steering = coordinator(fleet, store, **options)
        steering.resume()
        return fleet, steering.run()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One uninterrupted run: its fleet and its store."""
    path = tmp_path_factory.mktemp("whole")
    fleet, outcome = drive(path)
    assert outcome == Outcome(done=True, limit=None, interrupted=False)
    return fleet, path


def stop_after(rounds):
    """A stop request that comes during the round after which so many rounds are done."""
    asked = iter(range(10_000))
    return lambda: next(asked) >= rounds


def draws(path):
    """All stored values of a run."""
    opened = stores.reader(path / "run.zarr").groups()
    groups = ("posterior", "sample_stats", "warmup_sample_stats")
    return {(group, name): array.values for group in groups for name, array in opened[group].data_vars.items()}


def assert_same_plans(plans: list[RoundPlan], expected: list[RoundPlan]) -> None:
    assert [plan._replace(tuning={}) for plan in plans] == [plan._replace(tuning={}) for plan in expected]
    for plan, other in zip(plans, expected, strict=True):
        assert list(plan.tuning) == list(other.tuning)
        for name, values in plan.tuning.items():
            np.testing.assert_array_equal(values, other.tuning[name], err_msg=f"{name} in round {plan.epoch}")


def assert_same_draws(path, expected):
    found, other = draws(path), draws(expected)
    assert found.keys() == other.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, other[name], err_msg=str(name))


def assert_same_checkpoints(path, expected):
    """The last states of the shards and the coordinator's arrays (its sums over all shards, ess, rhat)."""
    with reopened(path) as store, reopened(expected) as other:
        one, two = store.load_checkpoint(), other.load_checkpoint()
    assert any(name.startswith("diagnostic_sums/batches/") for name in one.coordinator)
    assert any(name.startswith("diagnostics/ess/") for name in one.coordinator)
    pairs = [(one.coordinator, two.coordinator), *zip(one.shards, two.shards, strict=True)]
    for found, arrays in pairs:
        assert found.keys() == arrays.keys()
        for name, values in found.items():
            np.testing.assert_array_equal(values, arrays[name], err_msg=name)


def test_stages_follow_one_another(whole):
    fleet, _ = whole
    expected = ["scout"] * SCOUT + ["equilibrate"] * EQUILIBRATE + ["sample"] * SAMPLE
    assert [plan.stage.name for plan in fleet.plans] == expected
    assert [plan.round for plan in fleet.plans] == [*range(SCOUT), *range(EQUILIBRATE), *range(SAMPLE)]
    assert [plan.epoch for plan in fleet.plans] == list(range(ROUNDS))
    assert {plan.sweeps for plan in fleet.plans if plan.stage.name == "scout"} == {1}
    assert {plan.sweeps for plan in fleet.plans if plan.stage.name != "scout"} == {4}


def test_the_books_hold_rounds_sweeps_and_time_of_each_stage(tmp_path):
    """Over two sittings, with a clock that ticks once a round: as many seconds as rounds."""
    ticks = iter(range(10_000))
    options = {"clock": lambda: float(next(ticks))}
    drive(tmp_path, stop_requested=stop_after(SCOUT + 2), **options)
    resume(tmp_path, **options)
    with reopened(tmp_path) as store:
        books = Ledger.from_json(store.load_checkpoint().info)
    rounds = {"scout": SCOUT, "equilibrate": EQUILIBRATE, "sample": SAMPLE}
    assert books.stages == {stage: (n, n if stage == "scout" else 4 * n) for stage, n in rounds.items()}
    assert books.stage_seconds == {stage: float(n) for stage, n in rounds.items()}


def test_without_a_scout_the_run_begins_by_equilibrating(tmp_path):
    fleet, _ = drive(tmp_path, stages={"scouts": False}, limits={"sweeps": 8})
    assert [(plan.stage.name, plan.round) for plan in fleet.plans] == [("equilibrate", 0), ("equilibrate", 1)]
    assert not any(name.startswith("scout") for name in fleet.plans[0].tuning)


def test_controls_adapt_before_the_freeze_and_never_after(whole):
    """The schedule of the interweaving moves goes on in turn: it depends on the round's number and nothing else."""
    fleet, _ = whole
    scouts, equilibrating, sampling = (
        [plan for plan in fleet.plans if plan.stage.name == stage] for stage in ("scout", "equilibrate", "sample")
    )
    scales = [plan.tuning["levels/g/0/log_scale"] for plan in equilibrating]
    changed = [not np.array_equal(before, after) for before, after in pairwise(scales)]
    # Until the ensemble settles every round adapts; then a few rounds only gather moments.
    settled = changed.index(False)
    held = slice(settled, settled + policies.HOLD)
    assert settled > 0
    assert all(changed[:settled])
    assert not any(changed[held])
    assert all(changed[held.stop :])
    assert not np.array_equal(scouts[0].tuning["scout/g/step_size"], scouts[1].tuning["scout/g/step_size"])
    frozen = {name: values for name, values in sampling[0].tuning.items() if name != "schedule"}
    assert not np.array_equal(frozen["levels/g/0/mean"], equilibrating[-1].tuning["levels/g/0/mean"])
    for plan in sampling:
        for name, values in frozen.items():
            np.testing.assert_array_equal(plan.tuning[name], values)
        np.testing.assert_array_equal(plan.tuning["schedule"], schedule(4, plan.round, np.ones(2, bool)))


def test_draws_resets_and_checks_are_asked_for_by_the_settings(whole):
    """Two unrecorded rounds, every third draw up to the budget of 5, a check every 4 rounds."""
    fleet, _ = whole
    sampling = [plan for plan in fleet.plans if plan.stage.name == "sample"]
    assert [plan.round for plan in sampling if plan.record] == [4, 7, 10, 13, 16]
    assert [plan.round for plan in sampling if plan.reset] == [2]
    assert [plan.round for plan in sampling if plan.with_diagnostics] == [5, 9, 13, 17, 21]
    assert not any(
        plan.record or plan.reset or plan.with_diagnostics for plan in fleet.plans if plan.stage.name != "sample"
    )


def test_commits_come_every_few_rounds_at_the_start_and_at_the_end(whole):
    fleet, _ = whole
    done = [event if event == "commit" else "round" for event in fleet.events if event != "initialise"]
    assert fleet.events[:2] == ["initialise", "commit"]
    commits = [done[:at].count("round") for at, event in enumerate(done) if event == "commit"]
    assert commits == list(range(0, ROUNDS + 1, 4))


def test_the_store_holds_all_draws_and_the_last_state(whole):
    _, path = whole
    found = draws(path)
    assert found["posterior", "mu"].shape == (4 * STORED, 5)
    assert found["warmup_sample_stats", "lp"].shape == (4 * STORED, SCOUT + EQUILIBRATE)
    with reopened(path) as store:
        assert store.load_checkpoint().epoch == ROUNDS
        summary = store.attributes["summary"]
    names = "ess rhat tail_ess tail_rhat log_density trajectories draws chains drift shared_ess shared_rhat"
    assert summary["goals_met"] == dict.fromkeys(names.split(), True)
    assert summary["sweeps"] == SCOUT + 4 * (EQUILIBRATE + SAMPLE)
    assert summary["nonfinite"] == 4 * (2 * SCOUT + EQUILIBRATE + SAMPLE)
    assert summary["d"] == 12


def test_progress_hears_of_every_stage_and_round(tmp_path):
    heard = Heard()
    drive(tmp_path, progress=heard)
    assert heard.stages == ["scout", "equilibrate", "sample"]
    assert [status.epoch for status in heard.statuses] == list(range(1, ROUNDS + 1))
    last = heard.statuses[-1]
    assert last.ess_min is not None
    assert last.ess_min >= 400
    assert last.acceptance["g"] == pytest.approx(0.6, abs=0.05)
    assert heard.statuses[0].ess_min is None
    assert heard.statuses[0].acceptance == {"global": 0.5, "g": pytest.approx(0.6)}


@pytest.mark.parametrize("rounds", [0, 1, 7, 8, 23])
def test_a_stop_request_ends_the_run_between_rounds_with_a_commit(tmp_path, rounds):
    fleet, outcome = drive(tmp_path, stop_requested=stop_after(rounds))
    assert outcome == Outcome(done=False, limit=None, interrupted=True)
    assert len(fleet.plans) == rounds
    assert fleet.events[-1] == "commit"
    with reopened(tmp_path) as store:
        assert store.load_checkpoint().epoch == rounds


@pytest.mark.parametrize("rounds", [0, 3, 6, 12, 13, 22, 25, 28, 41])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(whole, tmp_path, rounds):
    """Stopped in each stage, at its edges, at the settling, in the unrecorded interval, right after a report (28, when
    the shards hold no squares or batches of their own) and between two: the same plans, draws and diagnostics."""
    uninterrupted, expected = whole
    first, _ = drive(tmp_path, stop_requested=stop_after(rounds))
    second, outcome = resume(tmp_path)
    assert second.events[0] == ("load", rounds - 1)
    assert outcome.done
    assert_same_plans(first.plans + second.plans, uninterrupted.plans)
    assert_same_draws(tmp_path, expected)
    assert_same_checkpoints(tmp_path, expected)


@pytest.mark.parametrize("epoch", [2, 11, 26, 43])
def test_a_lost_run_goes_on_from_its_last_commit_bit_for_bit(whole, tmp_path, epoch):
    """The fleet is lost in a round: nothing after the last commit counts, and the rounds since are run again."""
    uninterrupted, expected = whole
    with pytest.raises(ConnectionError):
        drive(tmp_path, FakeFleet(4, fail_at=epoch))
    second, outcome = resume(tmp_path)
    assert second.plans[0].epoch == epoch - epoch % 4
    assert outcome.done
    assert_same_plans(second.plans, uninterrupted.plans[second.plans[0].epoch :])
    assert_same_draws(tmp_path, expected)


def test_runs_that_differ_are_seen_to_differ(whole, tmp_path):
    """The comparisons above are not blind: one number reported otherwise changes the plans from the next round on."""
    uninterrupted, expected = whole

    def script(plan, statistics):
        if plan.epoch == 9:
            (rates,) = statistics.rates["g"]
            slightly = rates._replace(walk=rates.walk._replace(accepted=rates.walk.accepted * (1 - 1e-12)))
            return statistics._replace(rates={**statistics.rates, "g": (slightly,)})
        return statistics

    fleet, _ = drive(tmp_path, FakeFleet(4, script))
    assert_same_plans(fleet.plans[:10], uninterrupted.plans[:10])
    with pytest.raises(AssertionError):
        assert_same_plans(fleet.plans, uninterrupted.plans)
    with pytest.raises(AssertionError):
        assert_same_draws(tmp_path, expected)


def test_a_finished_run_that_is_resumed_runs_no_more(whole, tmp_path):
    first, _ = drive(tmp_path)
    second, outcome = resume(tmp_path)
    assert outcome.done
    assert second.plans == []
    assert len(first.plans) == ROUNDS


def test_new_goals_let_a_finished_run_go_on(tmp_path):
    drive(tmp_path)
    second, outcome = resume(tmp_path, goals={**GOALS, "ess": 1200.0})
    assert outcome.done
    assert [plan.round for plan in second.plans] == list(range(SAMPLE, SAMPLE + len(second.plans)))
    assert len(second.plans) % 4 == 0
    assert second.plans


def test_the_limit_on_sweeps_ends_the_run_with_a_commit(tmp_path):
    fleet, outcome = drive(tmp_path, limits={"sweeps": 20})
    assert outcome == Outcome(done=False, limit="limits.sweeps = 20", interrupted=False)
    assert sum(plan.sweeps for plan in fleet.plans) == 22
    assert sum(plan.sweeps for plan in fleet.plans[:-1]) < 20
    assert fleet.events[-1] == "commit"


def test_the_limit_on_time_counts_the_time_of_all_sessions(tmp_path):
    """A clock that ticks once a reading is read once a round: a limit of 5 s is 5 rounds, however often resumed."""
    ticks = iter(range(10_000))
    options = {"limits": {"seconds": 5.0}, "clock": lambda: float(next(ticks))}
    first, _ = drive(tmp_path, stop_requested=stop_after(2), **options)
    second, outcome = resume(tmp_path, **options)
    assert len(first.plans) == 2
    assert outcome.limit == "limits.minutes = 0.0833333"
    assert len(second.plans) == 3


def test_times_decide_nothing_else(whole, tmp_path):
    uninterrupted, _ = whole
    ticks = iter(range(0, 10**9, 12345))
    fleet, _ = drive(tmp_path, clock=lambda: float(next(ticks)))
    assert_same_plans(fleet.plans, uninterrupted.plans)


@pytest.mark.parametrize(
    ("goal", "value"), [("ess", 1e9), ("rhat", 1.0), ("shared_ess", 1e9), ("shared_rhat", 1.0), ("draws", 6)]
)
def test_each_goal_must_be_met(tmp_path, goal, value):
    fleet, outcome = drive(tmp_path, limits={"sweeps": 200}, goals={**GOALS, goal: value})
    assert not outcome.done
    assert outcome.limit == "limits.sweeps = 200"
    assert len(fleet.plans) > ROUNDS


def test_a_coordinate_that_never_moves_keeps_the_goals_unmet(tmp_path):
    """Its ESS and R-hat are NaN, which counts as the worst."""

    def stuck(plan, statistics):
        if (sums := statistics.accumulated) is not None:
            batches = [part for batch in sums.batches for part in batch]
            for part in (sums.sums, sums.chain_squares, sums.squares, *batches):
                part["g"][..., 0, 3] = 0.0
        return statistics

    _, outcome = drive(tmp_path, FakeFleet(4, stuck), limits={"sweeps": 200})
    assert not outcome.done


def test_drifting_log_densities_keep_the_stages_to_their_last_round(tmp_path):
    def drifting(plan, statistics):
        return statistics._replace(lp=statistics.lp + 10.0 * plan.epoch)

    fleet, _ = drive(
        tmp_path, FakeFleet(4, drifting), stages={"scout_rounds": 9, "equilibrate_rounds": 12}, limits={"sweeps": 70}
    )
    stages = [plan.stage.name for plan in fleet.plans]
    assert (stages.count("scout"), stages.count("equilibrate")) == (9, 12)
    assert stages[21:] == ["sample"] * len(stages[21:])


def test_settling_in_the_last_allowed_round_keeps_what_was_learned(tmp_path):
    """The freeze follows the settling at once: covariances and interweaving moves are those of the rounds before."""
    fleet, _ = drive(tmp_path, stages={"equilibrate_rounds": 6}, limits={"sweeps": 40})
    sampling = [plan for plan in fleet.plans if plan.stage.name == "sample"]
    assert sampling[0].epoch == SCOUT + 6
    assert set(sampling[0].tuning["schedule"]) == {0, 1}
    np.testing.assert_allclose(sampling[0].tuning["levels/g/0/factor"][0, 0], 1.0, atol=0.5)


def test_moves_that_gain_nothing_are_left_out_of_sample(tmp_path):
    """The second interweaving move was hardly ever accepted: only the first is scheduled once frozen."""

    def refused(plan, statistics):
        if plan.stage.name == "equilibrate":
            return statistics._replace(interweaving=Rate(np.array([6.0, 1e-9]), np.full(2, 10.0)))
        return statistics

    fleet, _ = drive(tmp_path, FakeFleet(4, refused), limits={"sweeps": 90})
    for plan in fleet.plans:
        scheduled = set(plan.tuning["schedule"].tolist())
        assert scheduled <= ({0} if plan.stage.name == "sample" else {0, 1})


def test_hot_rungs_have_controls_in_tempered_stages_only(tmp_path):
    def swapping(plan, statistics):
        if len(plan.tuning["betas"]) > 1:
            return statistics._replace(swaps={"g": (Rate(np.full(5, 3.0), np.full(5, 12.0)),)})
        return statistics

    heard = Heard()
    shard = shard_settings(ladder={"temperatures": (1.0, 3.0), "stages": ("equilibrate",)})
    fleet, outcome = drive(tmp_path, FakeFleet(4, swapping), shard=shard, progress=heard)
    assert outcome.done
    for plan in fleet.plans:
        hot = plan.stage.name == "equilibrate"
        np.testing.assert_array_equal(plan.tuning["betas"], [1.0, 1 / 3] if hot else [1.0])
        assert ("levels/g/1/mix" in plan.tuning) is hot
        assert "levels/global/1/mix" not in plan.tuning
    assert heard.statuses[SCOUT + 1].swap_rates == {"g/0-1": 0.25}
    assert heard.statuses[-1].swap_rates == {}


def laddered(plan, statistics):
    """Swaps of three rungs that are harder between the cold ones."""
    if len(plan.tuning["betas"]) > 1:
        ladder = LadderSums(np.array([-1.0, -2.0, -3.0]), np.asarray(0.5), trips=np.asarray(plan.round))
        swaps = {"g": tuple(Rate(np.asarray(share), np.asarray(12.0)) for share in (3.0, 9.0))}
        return statistics._replace(ladder=ladder, swaps=swaps)
    return statistics


def test_temperatures_adapt_before_the_freeze_and_resume_bit_for_bit(tmp_path):
    """After rounds 1, 2, 4, ... of a phase of `equilibrate`; the ends stay, and all of them in `sample`."""
    shard = shard_settings(ladder={"temperatures": (1.0, 2.0, 4.0), "stages": ("equilibrate", "sample")})
    fleet, outcome = drive(tmp_path / "one", FakeFleet(4, laddered), shard=shard)
    assert outcome.done
    tempered = [plan for plan in fleet.plans if plan.stage.name != "scout"]
    betas = np.stack([plan.tuning["betas"] for plan in tempered])
    assert (betas[:, 0] == 1.0).all()
    assert (betas[:, 2] == 0.25).all()
    changed = np.flatnonzero(np.diff(betas[:, 1])) + 1
    settled = 6
    assert list(changed) == [1, 2, 4, settled + 1, settled + 2, settled + 4, settled + 8]
    assert (np.diff(betas[:, 1]) >= 0).all()
    np.testing.assert_array_equal([plan.tuning["parity"] for plan in tempered], [[0, 1, 0, 1]] * len(tempered))
    for rounds in (9, 15, 25):
        path = tmp_path / f"two-{rounds}"
        first, _ = drive(path, FakeFleet(4, laddered), shard=shard, stop_requested=stop_after(rounds))
        second, _ = resume(path, FakeFleet(4, laddered), shard=shard)
        assert_same_plans(first.plans + second.plans, fleet.plans)
    with reopened(tmp_path / "one") as store:
        told = store.attributes["summary"]["ladder"]
    assert [rung["swap"] for rung in told["rungs"]] == [0.25, 0.75, None]
    assert told["barrier"] == 1.0
    assert told["round_trips"] == 4 * (SAMPLE - 1)


def test_temperatures_stay_where_they_are_told_to(tmp_path):
    shard = shard_settings(ladder={"temperatures": (1.0, 2.0, 4.0), "stages": ("equilibrate",)})
    fleet, _ = drive(tmp_path, FakeFleet(4, laddered), shard=shard, adapt_temperatures=False, limits={"sweeps": 60})
    for plan in fleet.plans:
        np.testing.assert_array_equal(plan.tuning["betas"][1:], [0.5, 0.25] if plan.stage.name == "equilibrate" else [])


def test_a_right_fleet_and_a_scripted_one_differ_only_by_the_script(whole, tmp_path):
    """The fake itself is deterministic."""
    uninterrupted, expected = whole
    fleet, _ = drive(tmp_path, FakeFleet(4, unchanged))
    assert_same_plans(fleet.plans, uninterrupted.plans)
    assert_same_draws(tmp_path, expected)
