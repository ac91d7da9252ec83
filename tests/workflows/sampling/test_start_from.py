"""A run that starts from another run's store: what it takes over, and that it saves the warm-up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.errors import StoreError
from ensemble.protocol.progress import NullProgress
from ensemble.protocol.stages import EQUILIBRATE, SAMPLE
from ensemble.run.handover import dealt
from ensemble.run.ledger import Ledger
from ensemble.store import checkpoint as checkpoints
from ensemble.store.contents import Checkpoint
from ensemble.store.opening import reader
from ensemble.store.root import read_root
from maxwell import open_run, resume, run
from tests.support.models.start_models import means
from tests.support.runs import draws, same
from workflows.modelling.errors import ModelError
from workflows.settings.loading import SettingsError

SETTINGS: dict[str, Any] = {
    "model": {"name": "tests.support.models.start_models:far"},
    "ensemble": {"replicas": 32, "superchains": 4, "workers": 2},
    "kernels": {"whole": "none"},
    "round": {"sweeps": 4},
    "scout": {"kernel": "none"},
    "sample": {"burn_rounds": 2},
    "goals": {"ess": 200, "shared_ess": 200, "shared_rhat": 1.1, "draws": 8},
    "store": {"commit_rounds": 4, "commit_seconds": 0.0},
}


class Heard(NullProgress):
    """Keeps messages and stages."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.stages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def stage(self, name: str, text: str) -> None:
        self.stages.append(name)


def begun(store: Path) -> Checkpoint:
    """The checkpoint that a run committed before its first round; readable until the third commit."""
    first = read_root(store).record.checkpoints[0]
    assert first.epoch == 0
    return checkpoints.read(store, first)


def second(
    first: Path, out: Path, *overrides: str, start: dict[str, Any] | None = None, progress=None, **sections: Any
):
    settings = {**SETTINGS, **sections, "start": {"store": str(first), **(start or {})}}
    return run(settings, overrides, out=out, local=True, progress=progress)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from far prior starts to its goals."""
    path = tmp_path_factory.mktemp("first") / "first.zarr"
    assert all(run(SETTINGS, out=path, local=True).summary()["goals_met"].values())
    return path


def positions(shard: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values for name, values in shard.items() if name.startswith("rung/0/position/")}


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name: values for name, values in arrays.items() if name.startswith(prefix)}


def assert_same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one
    assert one.keys() == other.keys()
    assert all(values.tobytes() == other[name].tobytes() for name, values in one.items())


def test_states_metric_step_sizes_and_moments_are_those_stored(first: Path, tmp_path: Path) -> None:
    second(first, tmp_path / "second.zarr", "limits.sweeps=1")
    stored, taken = reader(first).last_checkpoint(), begun(tmp_path / "second.zarr")
    for one, other in zip(stored.shards, taken.shards, strict=True):
        assert_same_bits(positions(one), positions(other))
        np.testing.assert_allclose(other["rung/0/cells/y"], one["rung/0/cells/y"], rtol=1e-9)
    for prefix in ("tuning/levels/", "tuning/betas", "moments/"):
        assert_same_bits(part(stored.coordinator, prefix), part(taken.coordinator, prefix))
    before, now = (Ledger.from_json(found.info) for found in (stored, taken))
    assert (now.stage, now.stage_round, now.sweeps, now.draws) == (SAMPLE, 0, 0, 0)
    assert now.interweavings_kept == before.interweavings_kept


@pytest.mark.slow
def test_the_second_run_meets_its_goals_in_a_quarter_of_the_sweeps(tmp_path: Path) -> None:
    """Warm-up counted on both sides. What is left is what any run needs that records: 20 rounds of 512 chains."""
    heard, ensemble = Heard(), {"replicas": 512, "superchains": 8}
    settings = {**SETTINGS, "model": {"name": "tests.support.models.start_models:ridge"}, "ensemble": ensemble}
    before = run(settings, out=tmp_path / "first.zarr", local=True).summary()
    settings["start"] = {"store": str(tmp_path / "first.zarr")}
    after = run(settings, out=tmp_path / "second.zarr", local=True, progress=heard).summary()
    assert all([*before["goals_met"].values(), *after["goals_met"].values()])
    assert heard.stages == ["sample"]
    assert heard.messages[1:] == ["states and frozen tuning are taken over: straight into stage `sample`"]
    assert after["sweeps"] < before["sweeps"] / 4


def test_its_draws_are_right_and_not_those_of_the_first(first: Path, tmp_path: Path) -> None:
    """Of the same seed. The posterior of each x is known to a thousandth of its standard deviation: normal about the
    mean of its data with sd .001 (the prior's pull is below 1e-6). At an ESS of 200 and more a mean lies within 6
    standard errors, .43 sd, but for 2e-9 a coordinate."""
    found, before = draws(second(first, tmp_path / "second.zarr")), draws(open_run(first))
    error = found["posterior/x"].astype(float).mean(axis=(0, 1)) - means()
    assert (np.abs(error) < 0.43e-3).all()
    assert not np.isin(found["sample_stats/lp"], before["sample_stats/lp"]).any()


def test_a_started_run_killed_and_resumed_is_one_run(first: Path, tmp_path: Path) -> None:
    """Neither needs the first run once it has begun; the third generation has random numbers of its own."""
    whole = second(first, tmp_path / "whole.zarr", "limits.sweeps=60")
    short = second(first, tmp_path / "short.zarr", "limits.sweeps=20")
    assert not same(draws(short), draws(whole))
    resumed = resume(tmp_path / "short.zarr", settings=["limits.sweeps=60"], local=True)
    assert same(draws(resumed), draws(whole))
    third = second(tmp_path / "whole.zarr", tmp_path / "third.zarr", "limits.sweeps=20")
    assert [found.attributes["generation"] for found in (whole, resumed, third)] == [1, 1, 2]
    assert not np.array_equal(draws(third)["sample_stats/lp"], draws(short)["sample_stats/lp"])


@pytest.mark.parametrize(
    ("superchains", "replicas", "expected"),
    [
        (2, 3, [[0, 1, 2], [10, 11, 12]]),
        (2, 5, [[0, 1, 2, 3, 0], [10, 11, 12, 13, 10]]),
        (5, 2, [[0, 1], [10, 11], [2, 3], [12, 13], [0, 1]]),
        (3, 3, [[0, 1, 2], [10, 11, 12], [3, 0, 1]]),
    ],
)
def test_states_are_dealt_to_another_number_of_chains(superchains: int, replicas: int, expected: list) -> None:
    """Two superchains of four replicas, numbered 0 to 3 and 10 to 13."""
    shards = [{"rung/0/position/x": np.arange(4.0) + 10 * k, "rung/0/cells/y": np.zeros(4)} for k in range(2)]
    made = dealt(Checkpoint(3, shards, {}, {}), superchains, replicas, 1)
    assert [list(start) for start in made] == [["rung/0/position/x"]] * superchains
    assert [start["rung/0/position/x"].tolist() for start in made] == expected


@pytest.mark.parametrize(("rungs", "expected"), [(1, 1), (2, 2), (3, 2)])
def test_hot_states_are_dealt_where_there_are_any(rungs: int, expected: int) -> None:
    shard = {f"rung/{rung}/position/x": np.full(2, rung) for rung in range(2)}
    (made,) = dealt(Checkpoint(3, [shard], {}, {}), 1, 2, rungs)
    assert {name: x.tolist() for name, x in made.items()} == {f"rung/{r}/position/x": [r, r] for r in range(expected)}


def test_an_ensemble_of_another_size_starts_too(first: Path, tmp_path: Path) -> None:
    ensemble = {"replicas": 12, "superchains": 6}
    second(first, tmp_path / "second.zarr", "limits.sweeps=1", ensemble=ensemble)
    taken, stored = begun(tmp_path / "second.zarr"), reader(first).last_checkpoint()
    assert len(taken.shards) == 6
    x = stored.shards[1]["rung/0/position/x"]
    np.testing.assert_array_equal(taken.shards[1]["rung/0/position/x"], x[:2])
    np.testing.assert_array_equal(taken.shards[5]["rung/0/position/x"], x[2:4])


def test_states_alone_begin_as_settled(first: Path, tmp_path: Path) -> None:
    """Only the refining rounds are left of the warm-up; the metric is learned anew."""
    heard = Heard()
    path = tmp_path / "second.zarr"
    second(first, path, "equilibrate.refine_rounds=9", "limits.sweeps=37", start={"reuse": "states"}, progress=heard)
    assert heard.stages == ["equilibrate", "sample"]
    ledger = Ledger.from_json(reader(path).last_checkpoint().info)
    assert (ledger.stage, ledger.stage_round, ledger.sweeps) == (SAMPLE, 1, 40)


def test_controls_alone_are_held_until_the_ensemble_has_settled(first: Path, tmp_path: Path) -> None:
    """From starts of its own the run goes through `equilibrate`, and what was learned is not spoiled by the way."""
    heard, path = Heard(), tmp_path / "second.zarr"
    start = {"reuse": "tuning", "kind": "uniform", "radius": 0.5}
    second(first, path, "limits.sweeps=16", start=start, progress=heard)
    stored, taken = reader(first).last_checkpoint(), reader(path).last_checkpoint()
    ledger = Ledger.from_json(taken.info)
    assert heard.stages == ["equilibrate"]
    assert (ledger.stage, ledger.held, ledger.settled_round) == (EQUILIBRATE, True, None)
    assert ledger.stage_round == 4
    assert_same_bits(part(stored.coordinator, "tuning/levels/"), part(taken.coordinator, "tuning/levels/"))
    for one, other in zip(stored.shards, begun(path).shards, strict=True):
        assert not np.array_equal(one["rung/0/position/x"], other["rung/0/position/x"])


def test_what_does_not_fit_is_said_and_learned_anew(first: Path, tmp_path: Path) -> None:
    """A hot rung, and no interweaving moves: the cold rung's tuning is taken, the stage is `equilibrate`."""
    heard, path = Heard(), tmp_path / "second.zarr"
    changes = {"tempering": {"temperatures": [1.0, 3.0], "stages": ["equilibrate", "sample"]}}
    second(first, path, "limits.sweeps=1", "equilibrate.interweaving=false", progress=heard, **changes)
    assert heard.stages == ["equilibrate"]
    unfit = [text.partition(": ")[2] for text in heard.messages if not text.startswith("prepared")]
    assert unfit == [
        "the ladder of temperatures",
        "the step sizes of the interweaving moves",
    ]
    stored, taken = reader(first).last_checkpoint().coordinator, begun(path).coordinator
    for rung in ("0", "1"):
        np.testing.assert_array_equal(
            taken[f"tuning/levels/group/{rung}/log_scale"], stored["tuning/levels/group/0/log_scale"]
        )


def test_another_model_is_refused_before_anything_runs(first: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"start.store: .*first.zarr holds a run of another model.*data"):
        second(first, tmp_path / "second.zarr", model={"name": "tests.support.models.start_models:far", "seed": 1})
    with pytest.raises(ModelError, match=r"another model.*name: recorded 'tests.support.models.start_models:far'"):
        second(first, tmp_path / "second.zarr", model={"name": "tests.support.models.user_model:groups"})
    assert not (tmp_path / "second.zarr").exists()


def test_a_store_that_is_missing_or_has_nothing_to_give_is_refused(first: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*nowhere.zarr"):
        second(tmp_path / "nowhere.zarr", tmp_path / "second.zarr")
    early = tmp_path / "early.zarr"
    run(SETTINGS, ["limits.sweeps=4"], out=early, local=True)
    with pytest.raises(StoreError, match=r"early.zarr stands in stage 'equilibrate' after 4 sweeps.*maxwell resume"):
        second(early, tmp_path / "second.zarr")
    assert not (tmp_path / "second.zarr").exists()


def test_a_start_from_a_store_cannot_be_changed_on_resume(first: Path, tmp_path: Path) -> None:
    second(first, tmp_path / "second.zarr", "limits.sweeps=1")
    with pytest.raises(SettingsError, match=r"start.store: asked for 'other.zarr'"):
        resume(tmp_path / "second.zarr", settings=["start.store=other.zarr"], local=True)
