"""What a check of the goals finds, and which goals that meets."""

import numpy as np
import pytest

from ensemble.run.goals import GoalCheck, goal_check, goals_met
from tests.support.models.ensemble_models import run_settings as settings
from tests.support.models.ensemble_models import shard_settings

GOOD = GoalCheck(rounds=20, rhat_max=1.1, rhat_shared_max=1.02, ess_min=400, ess_median=900, ess_shared_min=1000)


def unmet(goals, draws=4, chosen=None):
    met = goals_met(goals, draws, chosen or settings())
    return {name for name, is_met in met.items() if not is_met}


def test_goals_met_at_their_very_limits():
    assert unmet(GOOD) == set()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"ess_min": 399.9}, "ess"),
        ({"ess_min": None}, "ess"),
        ({"ess_min": np.nan}, "ess"),
        ({"rhat_max": 1.101}, "rhat"),
        ({"rhat_max": None}, "rhat"),
        ({"rhat_max": np.nan}, "rhat"),
        ({"ess_shared_min": 999.0}, "shared_ess"),
        ({"ess_shared_min": None}, "shared_ess"),
        ({"ess_shared_min": np.nan}, "shared_ess"),
        ({"rhat_shared_max": 1.021}, "shared_rhat"),
        ({"rhat_shared_max": None}, "shared_rhat"),
        ({"rhat_shared_max": np.nan}, "shared_rhat"),
    ],
)
def test_each_goal_alone_keeps_the_run_going(change, name):
    assert unmet(GOOD._replace(**change)) == {name}


def test_too_few_draws_keep_the_run_going():
    assert unmet(GOOD, draws=3) == {"draws"}


def test_before_the_first_check_no_goal_but_draws_can_be_met():
    assert unmet(GoalCheck()) == {"ess", "rhat", "shared_ess", "shared_rhat"}


def test_a_model_without_shared_parameters_has_no_goals_for_them():
    chosen = settings(shard=shard_settings(shared=()))
    assert unmet(GOOD._replace(ess_shared_min=None, rhat_shared_max=None), chosen=chosen) == set()


def test_goal_check_summarises_all_and_shared_coordinates():
    ess, rhat = np.array([500.0, 2000.0, 900.0]), np.array([1.05, 1.01, 1.2])
    found = goal_check(ess, rhat, np.array([False, True, False]), 40)
    assert found == GoalCheck(40, rhat_max=1.2, rhat_shared_max=1.01, ess_min=500, ess_median=900, ess_shared_min=2000)


def test_goal_check_without_shared_coordinates():
    found = goal_check(np.array([500.0]), np.array([1.05]), np.array([False]), 40)
    assert found.ess_shared_min is None
    assert found.rhat_shared_max is None


def test_goal_check_takes_nan_for_the_worst():
    """A coordinate that never moved has neither ESS nor R-hat: it must not let the others' decide."""
    nothing = np.zeros(2, bool)
    found = goal_check(np.array([np.nan, 900.0]), np.array([1.05, np.nan]), nothing, 40)
    assert found == GoalCheck(40)
    assert unmet(found) >= {"ess", "rhat"}
    shared = goal_check(np.array([500.0, 900.0]), np.array([np.nan, 1.0]), np.array([True, False]), 40)
    assert shared.rhat_max is None
    assert shared.rhat_shared_max is None
