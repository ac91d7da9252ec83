"""How long a run will take, told from its ledger."""

import pytest

from ensemble.protocol.stages import SAMPLE
from ensemble.run.goals import GoalCheck
from ensemble.run.ledger import Ledger
from ensemble.run.status import seconds_left
from tests.support.models.ensemble_models import run_settings

CHECK = GoalCheck(rounds=20, ess_min=300.0, ess_shared_min=900.0, stored_ess_min=200.0, stored_ess_shared_min=900.0)
SETTINGS = run_settings()
"""Goals: an ESS of 400, 1000 of the shared, 4 draws."""


def left(check: GoalCheck, draws: int = 100, of_draws: bool = True) -> float | None:
    """Of a ledger of 60 rounds in 120 seconds, the last 20 of them in sample after those that are burnt."""
    round_of_stage = 20 + SETTINGS.stages.burn_rounds
    ledger = Ledger(epoch=60, stage=SAMPLE, stage_round=round_of_stage, draws=draws, goals=check)
    ledger = ledger._replace(seconds={**ledger.seconds, "wall": 120.0})
    return seconds_left(ledger, SETTINGS._replace(goals=SETTINGS.goals._replace(of_draws=of_draws)))


@pytest.mark.parametrize(
    ("change", "draws", "of_draws", "rounds"),
    [
        # 200 of 400 after 20 rounds: 20 more.
        ({}, 100, True, 20),
        # Of all sweeps 300 of 400, and 900 of 1000 of the shared.
        ({}, 100, False, 20 / 3),
        ({"stored_tail_ess_min": 100.0}, 100, True, 60),
        ({"stored_ess_shared_min": 250.0}, 100, True, 60),
        # 1 of 4 draws.
        ({}, 1, True, 60),
        ({"stored_ess_min": 500.0, "stored_ess_shared_min": 1500.0}, 100, True, 0),
        ({"stored_ess_min": 500.0, "stored_ess_shared_min": None}, 100, True, 0),
    ],
)
def test_the_goal_that_is_furthest_away_decides(
    change: dict[str, float | None], draws: int, of_draws: bool, rounds: float
) -> None:
    """Two seconds a round."""
    assert left(CHECK._replace(**change), draws, of_draws) == pytest.approx(2.0 * rounds)


@pytest.mark.parametrize(
    "check", [GoalCheck(), CHECK._replace(stored_ess_min=None), CHECK._replace(stored_ess_min=0.0)]
)
def test_before_anything_is_known_nothing_is_told(check: GoalCheck) -> None:
    assert left(check) is None
