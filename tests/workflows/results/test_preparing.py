"""What is said before the first round: the steps that are over, with their seconds, and the one that begins."""

from pathlib import Path

from ensemble.protocol.progress import NullProgress
from maxwell import resume, run
from tests.support.runs import SETTINGS
from workflows.results.preparing import Preparing


class Said(NullProgress):
    """Remembers messages and the names of stages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, name: str, text: str) -> None:
        self.said.append(name)

    def message(self, text: str) -> None:
        self.said.append(text)


def test_steps_that_are_over_come_with_their_seconds() -> None:
    shown, times = Said(), iter([10.0, 12.25, 12.5])
    preparing = Preparing(shown, lambda: next(times))
    preparing.done("the model")
    preparing.done("its structure")
    assert shown.said == []
    preparing.begins("compiling")
    assert shown.said == ["prepared: the model (2.2 s), its structure (0.2 s); now compiling"]


def test_runs_begin_and_go_on_with_it(tmp_path: Path) -> None:
    for begin, last in (
        (lambda shown: run(SETTINGS, out=tmp_path / "run.zarr", local=True, progress=shown), "now finding starts for"),
        (
            lambda shown: resume(tmp_path / "run.zarr", local=True, progress=shown, limits={"sweeps": 200}),
            "now opening the store",
        ),
    ):
        shown = Said()
        begin(shown)
        assert shown.said[0].startswith("prepared: the model (")
        assert last in shown.said[0]
        assert not any(said.startswith("prepared") for said in shown.said[1:])
