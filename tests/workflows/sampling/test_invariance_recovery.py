"""Runs whose superchains begin anew, take the states of others or lose stragglers go on bit for bit, as do joint moves.

The law of test_invariance, for what the coordinator asks of the fleet before an ensemble has settled.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.fleet.local import LocalFleet
from ensemble.protocol.plans import RoundPlan, RoundResult
from ensemble.run.coordinator import Coordinator
from ensemble.run.decisions import policies
from ensemble.run.sitting import Sitting
from ensemble.store import opening as stores
from maxwell import open_run, resume, run
from tests.support.models.two_modes import FAR
from tests.support.runs import SETTINGS, Parts, draws, parts, same

SUPERCHAINS = 8
LOST: dict[str, Any] = {
    "model": {"name": "tests.support.models.two_modes:lost_mode"},
    "ensemble": {"replicas": 32, "superchains": SUPERCHAINS},
    "start": {"kind": "uniform", "radius": 60.0},
    "kernels": {"levels": {"whole": "nuts"}, "max_depth": 4},
    "round": {"sweeps": 2, "draws": 2},
    # Many a replica counts as a straggler, so that some are.
    "scout": {"max_rounds": 30, "furthest": 1.0},
    "equilibrate": {"max_rounds": 12, "refine_rounds": 3},
    "sample": {"burn_rounds": 1},
    "goals": {"ess": 1e6, "draws": 1000},
    "limits": {"sweeps": 100},
    "store": {"commit_rounds": 3, "commit_seconds": 0.0},
}
JOINT: dict[str, Any] = {
    **{name: value for name, value in SETTINGS.items() if name != "tempering"},
    "model": {"name": "tests.support.models.user_model:many_groups"},
    "kernels": {"max_depth": 3},
    "round": {"sweeps": 4, "draws": 2},
    "scout": {"kernel": "short", "max_rounds": 3},
    "limits": {"sweeps": 60},
}


class Watched(LocalFleet):
    """Remembers the plans of its rounds."""

    def __init__(self, chosen: Parts) -> None:
        super().__init__(chosen.spec, SUPERCHAINS)
        self.plans: list[RoundPlan] = []
        self.relocated: list[int] = []

    def run(self, plan: RoundPlan) -> list[RoundResult]:
        results = super().run(plan)
        self.plans.append(plan)
        self.relocated.append(sum(result.statistics.relocated or 0 for result in results))
        return results


@pytest.mark.slow
@pytest.mark.parametrize("own_starts", [policies.OWN_STARTS, 0], ids=["a start of its own", "the states of another"])
def test_redraws_and_relocations_resume_bit_for_bit(
    own_starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped just before and after a superchain begins anew, and in `sample`."""
    monkeypatch.setattr(policies, "OWN_STARTS", own_starts)
    chosen = parts(LOST)
    fleet = Watched(chosen)

    def coordinator(store: Any, sweeps: int) -> Coordinator:
        settings = chosen.settings._replace(limits=chosen.settings.limits._replace(sweeps=sweeps))
        return Coordinator(fleet, store, chosen.problem.spec, settings, Sitting())

    def begin(path: Path, sweeps: int) -> None:
        with stores.create(path, chosen.layout, {}) as store:
            fleet.initialise()
            steering = coordinator(store, sweeps)
            steering.start()
            steering.run()

    begin(tmp_path / "whole.zarr", 100)
    expected, plans = draws(open_run(tmp_path / "whole.zarr")), list(fleet.plans)
    anew = [plan.epoch for plan in plans if plan.redraw]
    given = [plan.epoch for plan in plans if plan.starts]
    assert anew, "no superchain was lost"
    assert given == ([] if own_starts else anew)
    assert sum(fleet.relocated) > 0, "no straggler was relocated"
    assert np.isfinite(expected["posterior/x"]).all()
    assert np.abs(expected["posterior/x"][..., 0]).max() < 0.5 * FAR
    for number, epoch in enumerate((anew[0], anew[0] + 1, len(plans) - 4)):
        path, sweeps = tmp_path / f"stopped-{number}.zarr", 2 * epoch
        begin(path, sweeps)
        fleet.plans.clear()
        with stores.reopen(path) as store:
            steering = coordinator(store, 100)
            steering.resume()
            steering.run()
        assert fleet.plans[0].epoch == epoch
        assert same(expected, draws(open_run(path))), f"stopped before round {epoch}"


@pytest.mark.slow
def test_joint_moves_and_rounds_of_several_draws_resume_bit_for_bit(tmp_path: Path) -> None:
    """Stopped in the scout stage, while trajectories are weighed, and in `sample`."""
    whole = run(JOINT, out=tmp_path / "whole.zarr", local=True)
    assert list(whole.summary()["joint"]) == ["whole"]
    assert whole.data["posterior"].sizes["draw"] >= 4
    for sweeps in (4, 24, 48):
        store = tmp_path / f"short-{sweeps}.zarr"
        run(JOINT, [f"limits.sweeps={sweeps}"], out=store, local=True)
        assert same(draws(whole), draws(resume(store, settings=["limits.sweeps=60"], local=True)))
