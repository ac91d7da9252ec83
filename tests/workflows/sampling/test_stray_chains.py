"""Single chains that stand where no other is are put among the others before draws count; bit for bit over a resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.fleet.local import LocalFleet
from ensemble.run.coordinator import Coordinator
from ensemble.run.decisions.typical import WINDOW
from ensemble.run.sitting import Sitting
from ensemble.store import opening as stores
from maxwell import open_run
from tests.support.models.two_modes import FAR, MANY
from tests.support.runs import Messages, Parts, draws, parts, same

SUPERCHAINS, EACH = 8, 4
SETTLES_AT_MOST = 14
"""Rounds, of 2 sweeps, after which an ensemble that began as draws has settled."""
STRAY: dict[str, Any] = {
    "model": {"name": "tests.support.models.two_modes:equal_modes"},
    "ensemble": {"replicas": SUPERCHAINS * EACH, "superchains": SUPERCHAINS},
    "start": {"kind": "uniform"},
    "kernels": {"levels": {"whole": "nuts"}, "max_depth": 5},
    "round": {"sweeps": 2, "draws": 2},
    "scout": {"max_rounds": 2},
    "equilibrate": {"max_rounds": 40, "refine_rounds": 3},
    "sample": {"burn_rounds": 1},
    "goals": {"ess": 1e6, "draws": 1000},
    "limits": {"sweeps": 80},
    "store": {"commit_rounds": 3, "commit_seconds": 0.0},
}


def starts(away: tuple[int, ...]) -> list[dict[str, np.ndarray]]:
    """Draws of the mode at 0, but for the chains that begin in the other one."""
    x = np.random.default_rng(3).normal(size=(SUPERCHAINS * EACH, MANY))
    x[list(away), 0] += FAR
    return [{"rung/0/position/x": part} for part in np.split(x, SUPERCHAINS)]


@pytest.fixture(scope="module")
def chosen() -> Parts:
    return parts(STRAY)


@pytest.fixture(scope="module")
def fleet(chosen: Parts) -> LocalFleet:
    return LocalFleet(chosen.spec, SUPERCHAINS)


def steering(chosen: Parts, fleet: LocalFleet, store: Any, sweeps: int, said: Messages) -> Coordinator:
    settings = chosen.settings._replace(limits=chosen.settings.limits._replace(sweeps=sweeps))
    return Coordinator(fleet, store, chosen.problem.spec, settings, Sitting(said))


def begun(chosen: Parts, fleet: LocalFleet, path: Path, away: tuple[int, ...], sweeps: int = 80) -> Messages:
    """A run of so many sweeps whose chains begin there; what it said."""
    said = Messages()
    with stores.create(path, chosen.layout, {}) as store:
        fleet.initialise(starts(away))
        coordinator = steering(chosen, fleet, store, sweeps, said)
        coordinator.start()
        coordinator.run()
    return said


def test_a_single_chain_is_put_among_the_others_and_a_run_goes_on_bit_for_bit(
    chosen: Parts, fleet: LocalFleet, tmp_path: Path
) -> None:
    """Stopped while it is followed, and just before `sample`."""
    said = begun(chosen, fleet, tmp_path / "whole.zarr", (5,))
    whole = open_run(tmp_path / "whole.zarr")
    expected = draws(whole)
    assert expected["posterior/x"].shape[1] > 4
    assert np.abs(expected["posterior/x"][..., 0]).max() < 0.5 * FAR
    assert whole.summary()["relocated"] == 1
    assert ["chain 5 at x[0] = " in text for text in said.said] == [True]
    for sweeps in (2 * (WINDOW - 3), 2 * (WINDOW + SETTLES_AT_MOST)):
        path = tmp_path / f"stopped-{sweeps}.zarr"
        begun(chosen, fleet, path, (5,), sweeps)
        with stores.reopen(path) as store:
            coordinator = steering(chosen, fleet, store, 80, Messages())
            coordinator.resume()
            coordinator.run()
        assert same(expected, draws(open_run(path))), f"stopped after {sweeps} sweeps"


def test_chains_of_several_superchains_in_one_place_are_a_mode_that_stays(
    chosen: Parts, fleet: LocalFleet, tmp_path: Path
) -> None:
    said = begun(chosen, fleet, tmp_path / "modes.zarr", (5, 17, 30))
    x = draws(open_run(tmp_path / "modes.zarr"))["posterior/x"][..., 0]
    assert sorted(np.flatnonzero((x > 0.5 * FAR).all(axis=1))) == [5, 17, 30]
    assert open_run(tmp_path / "modes.zarr").summary()["relocated"] == 0
    (text,) = said.said
    assert "a mode of their own" in text
    assert all(f"chain {number} at x[0]" in text for number in (5, 17, 30))
