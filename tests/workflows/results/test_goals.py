"""How far goals are, from the summary of a run."""

import pytest

from tests.workflows.results.test_inspect import full
from workflows.results.goals import TITLES, Goal, goals_of


def test_goals_are_told_in_one_order_with_what_was_reached() -> None:
    known = {"furthest_chain": 5.0, "furthest_chain_limit": 4.0}
    summary = {**full(), **known, "goals_met": {"chains": False, "draws": True, "mine": False, "ess": False}}
    assert goals_of(summary) == [
        Goal("ess", False, 312.4, 400),
        Goal("draws", True, 50, 50),
        Goal("chains", False, 5.0, 4.0),
        Goal("mine", False, None, None),
    ]
    assert [goal.title for goal in goals_of(summary)] == [TITLES["ess"], TITLES["draws"], TITLES["chains"], "mine"]
    assert goals_of({**summary, "goals_met": None}) == []


@pytest.mark.parametrize(
    ("goal", "share"),
    [
        # ESS and draws grow with the sweeps.
        (Goal("ess", False, 100.0, 400.0), 0.25),
        (Goal("draws", False, 0, 50), 0.0),
        # 1.2^2 - 1 is .44 where .21 is allowed.
        (Goal("rhat", False, 1.2, 1.1), 21 / 44),
        (Goal("tail_rhat", False, 1.2, 1.1), 21 / 44),
        (Goal("drift", False, 8.0, 4.0), 0.5),
        (Goal("chains", True, 3.0, 4.0), 1.0),
        (Goal("ess", True, None, None), 1.0),
        # Missed for another reason than the number: there is no saying how far it is.
        (Goal("chains", False, 3.0, 4.0), None),
        (Goal("shared_ess", False, None, 1000.0), None),
        (Goal("rhat", False, 1.2, None), None),
        (Goal("rhat", False, 0.999, 1.1), None),
    ],
)
def test_shares_of_the_way(goal: Goal, share: float | None) -> None:
    assert goal.share == (None if share is None else pytest.approx(share, rel=1e-12))
