"""The ledger as JSON."""

import json

import numpy as np
import pytest

from ensemble.protocol.stages import EQUILIBRATE, SAMPLE
from ensemble.run.goals import GoalCheck
from ensemble.run.ladder import LadderState
from ensemble.run.ledger import Ledger, Outlier

FULL = Ledger(
    epoch=7,
    stage=SAMPLE,
    stage_round=3,
    settled_round=2,
    sweeps=112,
    draws=2,
    trace=(((-1.5, 2.0), (-2.25, 0.0)), ((-1e300, 3.0), (0.1, -1.0))),
    divergences={"sample": (3, 1200)},
    rates={"walk/g/0": (1.5, 3.0), "interweave/0": (0.0, 0.0)},
    interweavings_kept=(True, False),
    virial=((0.9,), (1.5,)),
    relocated=(12, 0),
    quartiles=((-1.0, 0.5), (0.0, 1.0), (1.0, 2.5)),
    outliers={"3": Outlier(1, (40.5, 41.0))},
    nonfinite=4,
    goals=GoalCheck(8, 1.01, None, 400.5, 900.0, None),
    ladder=LadderState(((1.5, 3.0),), 16, 2, (-1.5, -0.1), {"bridge": (-3.25, 0.1)}, ({"round": 1, "flow": 0.1},)),
    seconds={"wall": 0.1, "core": 0.2, "kernel": 0.3, "compile": 0.4},
    stages={"scout": (4, 4), "sample": (3, 24)},
    stage_seconds={"scout": 0.04, "sample": 0.06},
    stage_gradients={"scout": (2.0, 1.5), "sample": (5.0, 5.0)},
)


@pytest.mark.parametrize("ledger", [Ledger(), FULL])
def test_a_ledger_survives_json(ledger):
    assert Ledger.from_json(json.loads(json.dumps(ledger.to_json()))) == ledger


def test_the_ledger_of_an_older_run_knows_no_outliers():
    """One that was written before single coordinates were looked at goes on, and looks at them from there."""
    older = json.loads(json.dumps(FULL.to_json()))
    del older["quartiles"], older["outliers"]
    assert Ledger.from_json(older) == FULL._replace(quartiles=(), outliers={})


def test_a_ledger_differs_from_another():
    """The comparison above sees the smallest difference."""
    assert FULL._replace(trace=(*FULL.trace[:1], ((-1e300, 3.0), (np.nextafter(0.1, 1.0), -1.0)))) != FULL


def test_new_ledgers_share_nothing_that_changes():
    with pytest.raises(TypeError):
        Ledger().rates["walk/g/0"] = (1.0, 1.0)  # type: ignore[index]


def test_seconds_add_up_by_stage_and_in_all():
    spent = {"wall": 1.0, "core": 2.0, "kernel": 3.0, "compile": 4.0}
    found = FULL.with_seconds(SAMPLE, spent).with_seconds(EQUILIBRATE, spent)
    assert found.seconds == {"wall": 2.1, "core": 4.2, "kernel": 6.3, "compile": 8.4}
    assert found.stage_seconds == {"scout": 0.04, "sample": 1.06, "equilibrate": 1.0}


def test_gradients_of_a_run_are_those_of_its_stages():
    assert FULL.gradients == (7.0, 6.5)
