"""Runs that are stopped through their stores, and jobs that go on or begin, as whoever starts them cannot know."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import maxwell
from ensemble.protocol.progress import NullProgress, Status
from ensemble.store import opening as stores
from maxwell import Interrupted, open_run
from tests.support.runs import SETTINGS, Messages, command, config, draws, rounds, same, stopped_run
from workflows.cli.main import main
from workflows.clusters import go_on


class At(Messages):
    """Does something once, after a round, and keeps what is said."""

    def __init__(self, epoch: int, act: Callable[[], None]) -> None:
        super().__init__()
        self.epoch, self.act = epoch, act

    def update(self, status: Status) -> None:
        if status.epoch == self.epoch:
            self.act()


def test_a_run_that_is_asked_to_stop_commits_its_round_and_goes_on_bit_for_bit(
    reference: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "run.zarr"
    shown = At(14, lambda: command_stop(store))
    assert command(monkeypatch, shown, ["run", str(config(tmp_path)), "--local", "--out", str(store)]) == 130
    captured = capsys.readouterr()
    assert f"{store} is written by process {os.getpid()}" in captured.out
    assert "maxwell: stopped, as " in captured.err
    assert f"asked; every finished round can be found in {store}" in captured.err
    assert rounds(store, burnt=1) == 14
    # The request was for the writer that is gone.
    assert command(monkeypatch, NullProgress(), ["resume", str(store), "--local"]) == 0
    assert same(reference, draws(open_run(store)))


def command_stop(store: Path) -> None:
    assert main(["stop", str(store)]) == 0


def test_a_request_that_came_too_late_stops_nobody(
    reference: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stopped_run(tmp_path, sweeps=19)
    capsys.readouterr()
    command_stop(store)
    assert "there is nothing to stop" in capsys.readouterr().out
    assert stores.stop_asked(store) is not None
    run = maxwell.resume(store, limits={"sweeps": 37}, local=True, progress=False)
    assert same(reference, draws(run))
    assert stores.stop_asked(store) is None


def test_a_script_is_told_who_stopped_its_run(tmp_path: Path) -> None:
    store = tmp_path / "run.zarr"
    with pytest.raises(Interrupted, match=r"stopped, as .+@.+ asked; every finished round is kept") as stopped:
        maxwell.run(SETTINGS, out=store, local=True, progress=At(5, lambda: stores.request_stop(store)))
    assert stopped.value.stop.by == stores.stop_asked(store)
    assert rounds(store) == 5


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"writer": "x"}', json.dumps({"writer": 1, "by": 2}).encode()])
def test_what_is_no_request_stops_nobody(content: bytes, tmp_path: Path) -> None:
    store = stopped_run(tmp_path, sweeps=19)
    (store / ".stop").write_bytes(content)
    assert stores.stop_asked(store) is None


def test_there_must_be_a_store_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", str(tmp_path / "no.zarr")]) == 2
    assert "no.zarr" in capsys.readouterr().err


def job(patch: pytest.MonkeyPatch, folder: Path, shown: NullProgress, *more: str) -> int:
    """The exit status of a job's command on the store run.zarr of a folder."""
    out = str(folder / "run.zarr")
    return command(patch, shown, ["run", str(config(folder)), *more, "--go-on", "--local", "--out", out])


def test_a_job_begins_goes_on_and_finds_a_finished_run(
    reference: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped through the store it ends with status 0, as one that is done; by a signal with 130, however often that
    comes: each time no round is lost."""
    store = tmp_path / "run.zarr"
    assert job(monkeypatch, tmp_path, At(5, lambda: command_stop(store))) == 0
    assert rounds(store) == 5

    def thrice() -> None:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)

    assert job(monkeypatch, tmp_path, At(14, thrice)) == 130
    assert rounds(store, burnt=1) == 14
    assert job(monkeypatch, tmp_path, NullProgress()) == 0
    assert same(reference, draws(open_run(store)))
    assert job(monkeypatch, tmp_path, At(21, pytest.fail)) == 0
    assert same(reference, draws(open_run(store)))


def test_a_job_may_have_other_goals_and_workers_and_draws_the_same(
    reference: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job(monkeypatch, tmp_path, NullProgress(), "limits.sweeps=19", "ensemble.workers=1") == 0
    assert job(monkeypatch, tmp_path, NullProgress(), "limits.sweeps=37") == 0
    assert same(reference, draws(open_run(tmp_path / "run.zarr")))


def test_a_job_with_another_model_or_kernels_does_not_go_on_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(monkeypatch, tmp_path, NullProgress(), "limits.sweeps=19") == 0
    capsys.readouterr()
    assert job(monkeypatch, tmp_path, NullProgress(), "seed=7", "kernels.levels.global=nuts") == 2
    err = capsys.readouterr().err
    assert "seed: the run has 0, now 7" in err
    assert "kernels.levels.global: the run has nothing, now 'nuts'" in err
    assert "--out" in err or "another place" in err


def test_a_job_waits_for_the_last_one_to_let_go(
    reference: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job(monkeypatch, tmp_path, NullProgress(), "limits.sweeps=19") == 0
    store = tmp_path / "run.zarr"
    held = stores.reopen(store)
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        held.close()

    monkeypatch.setattr(go_on.time, "sleep", pause)
    shown = At(-1, pytest.fail)
    assert job(monkeypatch, tmp_path, shown) == 0
    assert waited == [go_on.GLANCE]
    assert any(f"still being written by process {os.getpid()}" in text for text in shown.said)
    assert same(reference, draws(open_run(store)))


def test_a_job_goes_on_with_a_run_whose_structure_did_not_hold(tmp_path: Path) -> None:
    """Such a run has all parameters in one block, whatever the config says of kernels."""
    from workflows.sampling.problem import in_one_block
    from workflows.settings.loading import make_settings, require_same

    settings = make_settings({"model": {"name": "scorpio"}})
    stored = in_one_block(settings).model_dump(mode="json")
    require_same(stored, go_on._as_begun(settings, stored))
    chosen = make_settings({"model": {"name": "scorpio"}, "kernels": {"levels": {"whole": "metropolis"}}})
    with pytest.raises(maxwell.MaxwellError, match=r"kernels\.levels"):
        require_same(stored, go_on._as_begun(chosen, stored))
