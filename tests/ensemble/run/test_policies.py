"""Every decision of the coordinator, at its edges."""

import numpy as np
import pytest

from ensemble.protocol.stages import EQUILIBRATE, SAMPLE, SCOUT
from ensemble.run.decisions import policies, settling
from ensemble.run.goals import GoalCheck
from ensemble.run.ledger import Ledger
from tests.support.models.ensemble_models import run_settings as settings

DIMENSION = 200
SD = np.sqrt(DIMENSION / 2)
REPLICAS = settings().shard.replicas


def flat(rounds, superchains=4):
    """Log densities that stand still."""
    return (((-100.0,),) * superchains,) * rounds


def rising(rounds, step):
    """Log densities that rise by `step` standard deviations a round."""
    return tuple(((step * SD * round_,),) * 4 for round_ in range(rounds))


def beside(rounds, term):
    """Log densities that stand still beside one term, given as a function of round and superchain."""
    return tuple(tuple((-100.0, term(round_, chain)) for chain in range(4)) for round_ in range(rounds))


NAN = (((np.nan,),) * 4,)


def test_settings_count_cold_replicas():
    assert settings().replicas == 12


def test_first_stage():
    assert policies.first_stage(settings()) == SCOUT
    assert policies.first_stage(settings(stages={"scouts": False})) == EQUILIBRATE


@pytest.mark.parametrize(
    ("lp", "expected"),
    [
        (flat(5), False),
        (flat(6), True),
        (rising(6, 0.1), False),
        (rising(6, 0.08), True),
        (rising(6, -0.1), False),
        (rising(6, 10.0) + flat(6), True),
        (flat(5) + NAN, False),
    ],
)
def test_settled_compares_the_last_two_windows(lp, expected):
    """Windows of 3 rounds lie 3 rounds apart: they settle below a rise of 0.25 / 3 = 0.083 sd a round."""
    assert settling.has_settled(lp, DIMENSION, REPLICAS, 3) is expected


def test_what_superchains_do_not_agree_on_is_noise():
    """Moves of +1, -1, 1.2 and -.8 sd: a mean of .1 with a standard error of .56 sd."""
    after = tuple((-100.0 + step * SD,) for step in (1.0, -1.0, 1.2, -0.8))
    assert settling.has_settled(flat(3) + (after,) * 3, DIMENSION, REPLICAS, 3)


@pytest.mark.parametrize(("common", "expected"), [(0.24, True), (0.26, False)])
def test_a_move_common_to_all_superchains_is_none(common, expected):
    assert settling.has_settled(flat(3) + (((-100.0 + common * SD,),) * 4,) * 3, DIMENSION, REPLICAS, 3) is expected


@pytest.mark.parametrize(("step", "expected"), [(0.0, True), (0.03, True), (0.3, False)])
def test_a_term_that_drifts_under_a_still_total_has_not_settled(step, expected):
    """Superchains spread by 1 have replicas spread by sqrt(replicas): the unit of the drift over three rounds."""
    spread = np.array([-1.0, 1.0, -1.0, 1.0]) * np.sqrt(3 / 4)
    trace = beside(6, lambda round_, chain: spread[chain] + step * np.sqrt(REPLICAS) * round_)
    assert settling.has_settled(trace, DIMENSION, REPLICAS, 3) is expected


@pytest.mark.parametrize(
    ("virial", "expected"),
    [
        ((), True),
        (((), ()), True),
        (((1.05,), (1.06,)), True),
        (((1.2,), (1.21,)), False),
        (((0.8,), (0.79,)), False),
        (((1.5,), (0.9,)), True),
        (((1.0, 1.3), (1.0, 1.31)), False),
        (((np.nan,), (1.0,)), False),
    ],
)
def test_the_virial_is_one_in_equilibrium(virial, expected):
    """Within 0.1 beyond two standard errors, which superchains of 1.5 and 0.9 have 0.3 of."""
    assert settling.is_balanced(virial) is expected


def test_an_ensemble_that_stands_still_out_of_balance_has_not_settled():
    ledger = Ledger(stage=EQUILIBRATE, stage_round=6, trace=flat(6), virial=((2.0,),) * 4)
    assert not policies.settles_now(ledger, settings(), DIMENSION)
    assert policies.next_stage(ledger._replace(stage=SCOUT), settings(), DIMENSION) == SCOUT


@pytest.mark.parametrize(
    ("relocated", "expected"),
    [((), True), ((100, 100, 0, 0, 0), True), ((100, 5, 6, 5), True), ((0, 0, 20), False), ((10, 10, 10), False)],
)
def test_a_scout_stage_waits_for_its_stragglers(relocated, expected):
    """By chance 1% of 100 replicas twice over in three rounds: 6, and 2 standard deviations of it: 10.9; the last
    three rounds count, 16 in the first case of two: allowed are 18 of 200 replicas."""
    replicas = 200 if relocated[:1] == (100,) else 100
    assert settling.is_gathered(relocated, 0.01, replicas) is expected


def test_the_scout_stage_does_not_end_before_stragglers_are_home():
    ledger = Ledger(stage=SCOUT, stage_round=6, trace=flat(6), virial=((1.0,),) * 4)
    assert policies.next_stage(ledger._replace(relocated=(9, 0, 0, 0)), settings(), DIMENSION) == EQUILIBRATE
    assert policies.next_stage(ledger._replace(relocated=(0, 0, 0, 9)), settings(), DIMENSION) == SCOUT


@pytest.mark.parametrize(
    ("stage", "epoch", "settled", "expected"),
    [
        (SCOUT, 5, None, (0.7, 1.3)),
        (SCOUT, 6, None, policies.ROAMING),
        (EQUILIBRATE, 20, None, policies.ROAMING),
        (EQUILIBRATE, 20, 9, (0.7, 1.3)),
        (SAMPLE, 60, 9, (0.7, 1.3)),
        (SAMPLE, 60, None, (0.7, 1.3)),
    ],
)
def test_trajectories_roam_once_energy_is_shed_and_until_the_ensemble_settles(stage, epoch, settled, expected):
    """The settings' jitter is .3."""
    ledger = Ledger(stage=stage, epoch=epoch, settled_round=settled)
    assert policies.length_range(ledger, settings()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("stage", "stage_round", "settled", "lp", "expected"),
    [
        (SCOUT, 5, None, flat(5), SCOUT),
        (SCOUT, 6, None, flat(6), EQUILIBRATE),
        (SCOUT, 19, None, rising(19, 1), SCOUT),
        (SCOUT, 20, None, rising(20, 1), EQUILIBRATE),
        (EQUILIBRATE, 49, None, flat(49), EQUILIBRATE),
        (EQUILIBRATE, 50, None, rising(50, 1), SAMPLE),
        (EQUILIBRATE, 19, 10, flat(19), EQUILIBRATE),
        (EQUILIBRATE, 20, 10, flat(20), SAMPLE),
        (EQUILIBRATE, 50, 45, flat(50), SAMPLE),
        (EQUILIBRATE, 50, 50, flat(50), SAMPLE),
        (EQUILIBRATE, 10, None, NAN * 10, EQUILIBRATE),
        (SAMPLE, 0, None, (), SAMPLE),
        (SAMPLE, 10_000, None, flat(10_000), SAMPLE),
    ],
)
def test_next_stage(stage, stage_round, settled, lp, expected):
    """`equilibrate` goes on for 10 rounds after it settled, and for 50 at most."""
    ledger = Ledger(stage=stage, stage_round=stage_round, settled_round=settled, trace=lp)
    assert policies.next_stage(ledger, settings(), DIMENSION) == expected


@pytest.mark.parametrize(
    ("stage", "settled", "lp", "expected"),
    [
        (EQUILIBRATE, None, flat(5), False),
        (EQUILIBRATE, None, flat(6), True),
        (EQUILIBRATE, 6, flat(7), False),
        (SCOUT, None, flat(6), False),
        (SAMPLE, None, flat(6), False),
        (EQUILIBRATE, None, rising(6, 1), False),
        (EQUILIBRATE, None, NAN * 10, False),
    ],
)
def test_the_ensemble_settles_once_and_in_equilibrate_only(stage, settled, lp, expected):
    ledger = Ledger(stage=stage, stage_round=len(lp), settled_round=settled, trace=lp)
    assert policies.settles_now(ledger, settings(), DIMENSION) is expected


def test_the_window_of_equilibrate_grows_with_the_stage():
    """A slow drift that three rounds do not show shows over a quarter of the stage."""
    lp = rising(80, 0.05)
    assert settling.has_settled(lp, DIMENSION, REPLICAS, 3)
    assert not policies.settles_now(Ledger(stage=EQUILIBRATE, stage_round=80, trace=lp), settings(), DIMENSION)


@pytest.mark.parametrize(("dimension", "expected"), [(policies.LARGE - 1, False), (policies.LARGE, True)])
def test_large_models_stand_still_over_an_eighth(dimension, expected):
    """A rise that ends after 52 of 80 rounds: within the quarter from 40 to 60, before the eighths from 60 on."""
    lp = rising(52, 1.0) + (((51 * SD,),) * 4,) * 28
    ledger = Ledger(stage=EQUILIBRATE, stage_round=80, trace=lp)
    assert policies.settles_now(ledger, settings(), dimension) is expected


@pytest.mark.parametrize(("rounds", "expected"), [(40, False), (72, False), (120, False), (200, True)])
def test_a_slow_approach_has_not_settled_before_it_is_over(rounds, expected):
    """A term of eight superchains that come by half in every 24 rounds, from 6 to 18 standard deviations away: after
    40 rounds 3.8 are left on average, after 120 .4, after 200 .04. That they differ makes the unit uncertain."""
    rng = np.random.default_rng(0)
    away = np.linspace(6.0, 18.0, 8) * 2.0 ** (-np.arange(rounds) / 24)[:, None]
    term = away + rng.normal(size=(rounds, 8)) / np.sqrt(REPLICAS)
    trace = tuple(tuple((-100.0, float(x)) for x in row) for row in term)
    ledger = Ledger(stage=EQUILIBRATE, stage_round=rounds, trace=trace)
    assert policies.settles_now(ledger, settings(), DIMENSION) is expected


def test_rounds_of_a_phase_count_from_where_the_ensemble_settled():
    assert Ledger(stage=EQUILIBRATE, stage_round=9).phase_round == 9
    assert Ledger(stage=EQUILIBRATE, stage_round=9, settled_round=6).phase_round == 3


def test_every_thin_th_round_after_the_unrecorded_ones_is_recorded():
    recorded = [r for r in range(15) if policies.should_record(Ledger(stage=SAMPLE, stage_round=r), settings())]
    assert recorded == [4, 7, 10, 13]


def test_nothing_is_recorded_before_sample_or_beyond_the_budget():
    assert not policies.should_record(Ledger(stage=EQUILIBRATE, stage_round=4), settings())
    assert policies.should_record(Ledger(stage=SAMPLE, stage_round=4, draws=4), settings())
    assert not policies.should_record(Ledger(stage=SAMPLE, stage_round=4, draws=5), settings())


@pytest.mark.parametrize("burn", [0, 2])
def test_accumulators_start_anew_once_after_the_unrecorded_rounds(burn):
    chosen = settings(stages={"burn_rounds": burn})
    assert [r for r in range(9) if policies.should_reset(Ledger(stage=SAMPLE, stage_round=r), chosen)] == [burn]
    assert not policies.should_reset(Ledger(stage=EQUILIBRATE, stage_round=burn), chosen)


def test_goals_are_checked_every_few_rounds_of_what_counts():
    checked = [r for r in range(15) if policies.should_diagnose(Ledger(stage=SAMPLE, stage_round=r), settings())]
    assert checked == [5, 9, 13]
    assert not policies.should_diagnose(Ledger(stage=EQUILIBRATE, stage_round=5), settings())


@pytest.mark.parametrize(
    ("sweeps", "wall", "limit", "expected"),
    [
        (999, 1e9, None, None),
        (1000, 0.0, None, "limits.sweeps = 1000"),
        (0, 89.9, 90.0, None),
        (0, 90.0, 90.0, "limits.minutes = 1.5"),
        (1000, 90.0, 90.0, "limits.sweeps = 1000"),
    ],
)
def test_limits(sweeps, wall, limit, expected):
    ledger = Ledger(sweeps=sweeps, seconds={"wall": wall, "core": 0.0, "kernel": 0.0, "compile": 0.0})
    assert policies.limit_reached(ledger, settings(limits={"seconds": limit})) == expected


FULL = GoalCheck(
    20,
    rhat_max=1.0,
    rhat_shared_max=1.0,
    ess_min=5000,
    ess_median=5000,
    ess_shared_min=5000,
    stored_ess_min=30,
    stored_ess_shared_min=30,
    furthest_max=1.0,
    furthest_limit=4.0,
)


@pytest.mark.parametrize(
    ("stage", "draws", "check", "of_draws", "ends"),
    [
        (SAMPLE, 5, FULL, True, True),
        (SAMPLE, 4, FULL, True, False),
        (SAMPLE, 5, FULL._replace(ess_min=10), True, False),
        (SAMPLE, 5, FULL._replace(rhat_max=3.0), True, False),
        (SAMPLE, 5, FULL._replace(stored_ess_min=5000, stored_ess_shared_min=5000), True, False),
        (SAMPLE, 5, FULL, False, False),
        (EQUILIBRATE, 5, FULL, True, False),
    ],
    ids=["only draws lack", "room left", "sweeps lack too", "chains disagree", "done", "goals of sweeps", "warm-up"],
)
def test_a_full_store_ends_a_run_whose_goals_more_sweeps_would_not_meet(stage, draws, check, of_draws, ends):
    ledger = Ledger(stage=stage, draws=draws, goals=check)
    limit = policies.limit_reached(ledger, settings(goals={"of_draws": of_draws}))
    assert (limit is not None and limit.startswith("store.budget_mb")) is ends


@pytest.mark.parametrize(
    ("left", "noise", "expected"),
    [
        (0.9, 0.1, False),  # in modes of their own, or slow: they stay apart
        (0.3, 0.1, True),  # from both sides of a common place
        (0.3, 4.0, False),  # no further apart than the rounds of each differ
    ],
)
def test_superchains_that_come_together_have_not_settled(left, noise, expected):
    """Twelve rounds: distances of 1 in the third quarter, `left` of that in the last; their mean never moves."""
    side = np.array([-1.0, 1.0, -1.0, 1.0])
    wiggle = noise * np.array([1.0, -1.0, 0.0])
    rows = [side * (1.0 if round_ < 9 else left) + wiggle[round_ % 3] for round_ in range(12)]
    trace = tuple(tuple((float(value),) for value in row) for row in rows)
    assert settling.superchains_approach(trace) is expected


def test_a_few_rounds_say_nothing_of_superchains():
    assert not settling.superchains_approach(((((0.0,),) * 4),) * 5)


@pytest.mark.parametrize(
    ("diverged", "failed", "expected"),
    [((0, 0), (0, 0), False), ((2, 1000), (50, 1000), False), ((3, 1000), (0, 1000), True), ((0, 0), (51, 1000), True)],
)
def test_steps_become_shorter_where_trajectories_diverge_or_fail(diverged, failed, expected):
    chosen = settings()
    over = Ledger(
        stage=EQUILIBRATE,
        stage_round=chosen.stages.refine_rounds,
        settled_round=0,
        refined=diverged,
        refined_failed=failed,
    )
    assert policies.needs_care(over, chosen, DIMENSION) is expected
    assert not policies.needs_care(over._replace(care=policies.MOST_CARE), chosen, DIMENSION)
    assert not policies.needs_care(over._replace(stage_round=over.stage_round - 1), chosen, DIMENSION)
