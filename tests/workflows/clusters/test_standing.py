"""Runs seen through their stores: listed, and followed until they end."""

import shutil
from pathlib import Path

import pytest

import maxwell
from ensemble.store import opening as stores
from tests.support.runs import SETTINGS, EveryRound, stopped_run
from workflows.cli.main import main
from workflows.clusters import record, schedulers
from workflows.clusters.standing import LIMIT, RESTS, RUNNING, STOPPED, STOPPING, Standing, line, standing
from workflows.clusters.watching import follow, watched_store


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose run has reached its limit of 19 sweeps."""
    return stopped_run(tmp_path_factory.mktemp("begun"), sweeps=19)


@pytest.fixture
def store(begun: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(begun, tmp_path / "runs" / "run.zarr"))


def submitted(store: Path, number: str = "17") -> record.Job:
    job = record.submitted_now("slurm", number, store)
    record.record(job)
    return job


def test_every_run_below_a_folder_is_listed_with_its_state_goals_and_job(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store.parent
    shutil.copytree(store, folder / "deep" / "er" / "other.zarr")
    (folder / ".hidden").mkdir()
    shutil.copytree(store, folder / ".hidden" / "no.zarr")
    broken = Path(shutil.copytree(store, folder / "spoilt.zarr")) / "zarr.json"
    broken.write_bytes(broken.read_bytes()[:-30])
    submitted(store)
    capsys.readouterr()
    assert main(["list", str(folder)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["STORE", "STATE", "GOALS", "LAST", "COMMIT", "JOB"]
    assert [row.split()[0] for row in rows] == [
        str(folder / name) for name in ("deep/er/other.zarr", "run.zarr", "spoilt.zarr")
    ]
    assert "at its limit" in rows[1]
    assert rows[1].split()[-3:] == ["ago", "slurm", "17"]
    assert "unreadable" in rows[2]


def test_a_folder_without_runs_and_one_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", str(tmp_path)]) == 0
    assert "There is no run below" in capsys.readouterr().out
    assert main(["list", str(tmp_path / "no")]) == 2


def test_a_run_is_told_in_one_line(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--once", str(store)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    for part in ("at its limit: ", "19 sweeps", "last commit"):
        assert part in line


def test_the_time_left_runs_on_between_commits_while_somebody_writes(store: Path) -> None:
    found = Standing(store, RUNNING, seconds_left=100.0, age=40.0, seconds=300.0)
    assert found.left == 60.0
    assert "5:00 of sampling, about 1:00 left, last commit 0:40 ago" in line(found)
    assert found._replace(age=140.0).left == 0.0
    for unknown in (found._replace(seconds_left=None), found._replace(state=RESTS), found._replace(state=LIMIT)):
        assert unknown.left is None
        assert "left" not in line(unknown)


def test_states_follow_the_lock_the_request_and_the_limits(store: Path) -> None:
    assert standing(store).state == LIMIT
    with stores.reopen(store):
        assert standing(store).state == RUNNING
        stores.request_stop(store)
        assert standing(store).state == STOPPING
    # A limit that was reached says more than a request that came beside it.
    assert standing(store).state == LIMIT


def test_a_run_is_followed_commit_by_commit_until_it_was_stopped(tmp_path: Path) -> None:
    """Commits every three rounds; it is looked at after every round, and is asked to stop in the eighth."""
    store, seen = tmp_path / "run.zarr", list[Standing]()
    followed = follow(store, lambda _: False, lambda _: None)

    def look(epoch: int) -> None:
        if epoch in (3, 6):
            found = next(followed)
            assert found is not None
            seen.append(found)
        if epoch == 8:
            stores.request_stop(store)

    with pytest.raises(maxwell.Interrupted):
        maxwell.run(SETTINGS, out=store, local=True, progress=EveryRound(look))
    assert [one.state for one in seen] == [RUNNING, RUNNING]
    assert seen[0].sweeps < seen[1].sweeps
    assert seen[0].writer is not None
    (last,) = followed
    assert last is not None
    assert (last.state, last.writer) == (STOPPED, None)
    assert last.sweeps > seen[1].sweeps


def test_a_job_that_is_to_go_on_with_a_run_is_waited_for(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.clusters.standing.higher_limits", lambda _: [])
    job = submitted(store)
    answers = [True, True, False]
    found = list(follow(store, lambda asked: asked == job and answers.pop(0), lambda _: None))
    assert [one and one.state for one in found] == [RESTS]
    assert answers == []


def test_a_run_that_has_ended_and_was_submitted_once_more_is_followed(store: Path) -> None:
    """At its limit until the job begins; where nobody can say whether one does, that is the end."""
    submitted(store)
    assert len(list(follow(store, lambda _: None, lambda _: None))) == 1
    answers = [True, True, False]
    assert [one and one.state for one in follow(store, lambda _: answers.pop(0), lambda _: None)] == [LIMIT]
    assert answers == []


def test_a_job_that_has_not_begun_is_waited_for_and_one_that_never_will_is_not(tmp_path: Path) -> None:
    store = tmp_path / "run.zarr"
    with pytest.raises(maxwell.MaxwellError, match="no job that is to begin it"):
        list(follow(store, lambda _: True, lambda _: None))
    submitted(store)
    answers = [True, True, False]
    found = follow(store, lambda _: answers.pop(0), lambda _: None)
    assert next(found) is None
    with pytest.raises(maxwell.MaxwellError, match="no job that is to begin it"):
        next(found)


def test_a_job_is_found_by_its_number(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(store, "4711")
    monkeypatch.chdir(store.parent.parent)
    assert watched_store("4711") == store
    assert watched_store(str(store)) == store
    with pytest.raises(maxwell.MaxwellError, match="neither a store at 4712 nor a job"):
        watched_store("4712")


@pytest.mark.parametrize(
    ("kind", "printed", "status", "expected"),
    [
        ("slurm", "RUNNING\nPENDING\n", 0, True),
        ("slurm", "", 0, False),
        ("slurm", "", 1, False),
        ("kubernetes", "Running", 0, True),
        ("kubernetes", "Complete", 0, False),
        ("kubernetes", "Failed", 0, False),
        ("kubernetes", "", 0, True),
        ("ray", "Status for job 'x': RUNNING", 0, True),
        ("ray", "Job 'x' succeeded", 0, False),
    ],
)
def test_schedulers_are_asked_in_their_words(
    kind: str, printed: str, status: int, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = record.submitted_now(kind, "17", tmp_path / "run.zarr", "there")
    program = tmp_path / schedulers.question(job)[0]
    program.write_text(f"#!/bin/sh\nprintf %s '{printed}'\nexit {status}\n".replace("'x'", '"x"'))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert schedulers.pending(job) is expected
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert schedulers.pending(job) is None
