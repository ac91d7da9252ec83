"""When something is made of a store anew, and what is told meanwhile."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ensemble.errors import MaxwellError, StoreError
from ensemble.store import opening as stores
from tests.support.runs import stopped_run
from workflows.live.renewal import OncePerCommit, Report


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_run(tmp_path_factory.mktemp("begun"), sweeps=5)


@pytest.fixture
def store(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "run.zarr"))


def commit(store: Path) -> None:
    """What a writer that takes over commits first: itself."""
    stores.reopen(store).close()


class Rendered:
    """Makes reports that are numbered, or fails."""

    def __init__(self) -> None:
        self.made = 0
        self.fault: str | None = None

    def __call__(self, store: Path) -> str:
        if self.fault is not None:
            raise MaxwellError(self.fault)
        self.made += 1
        return f"report {self.made}"


def test_once_a_commit_and_no_more_often(store: Path) -> None:
    made = Rendered()
    kept = OncePerCommit(store, made)
    assert [kept(), kept()] == ["report 1", "report 1"]
    commit(store)
    assert [kept(), kept()] == ["report 2", "report 2"]


def test_what_fails_is_tried_again(store: Path) -> None:
    made = Rendered()
    kept = OncePerCommit(store, made)
    made.fault = "not now"
    with pytest.raises(MaxwellError, match="not now"):
        kept()
    made.fault = None
    assert kept() == "report 1"


def test_the_last_report_is_told_while_a_newer_one_is_made(store: Path) -> None:
    waiting: list[Callable[[], None]] = []
    made = Rendered()
    report = Report(store, made, waiting.append)
    assert report.latest()[:1] == (None,)
    assert report.latest().is_renewed
    # Asked for twice, it is made once.
    waiting.pop()()
    assert waiting == []
    first = report.latest()
    assert (first.text, first.is_renewed, first.problem) == ("report 1", False, None)
    assert first.committed == stores.committed_at(store)
    commit(store)
    # Nobody has asked since the commit.
    assert waiting == []
    assert report.latest() == first._replace(is_renewed=True)
    commit(store)
    assert report.latest().is_renewed
    assert len(waiting) == 1
    waiting.pop()()
    # There was another commit meanwhile.
    second = report.latest()
    assert (second.text, second.is_renewed) == ("report 2", True)
    waiting.pop()()
    assert report.latest().text == "report 3"
    assert waiting == []


def test_a_report_that_fails_leaves_the_last_and_says_why(store: Path) -> None:
    made = Rendered()
    report = Report(store, made, lambda work: work())
    assert report.latest().text == "report 1"
    commit(store)
    made.fault = "a file is damaged"
    failed = report.latest()
    assert (failed.text, failed.problem, failed.is_renewed) == ("report 1", "a file is damaged", False)
    made.fault = None
    assert report.latest()[::3] == ("report 2", None)


def test_an_error_of_the_program_itself_does_not_end_it(store: Path) -> None:
    def broken(_: Path) -> str:
        raise ValueError("a bug")

    report = Report(store, broken, lambda work: work())
    for _ in range(2):
        with pytest.raises(ValueError, match="a bug"):
            report.latest()


def test_a_store_that_is_gone_is_told(store: Path) -> None:
    report = Report(store, Rendered(), lambda work: work())
    report.latest()
    shutil.rmtree(store)
    with pytest.raises(StoreError, match=r"zarr\.json"):
        report.latest()
