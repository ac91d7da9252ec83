"""What is said before the first round: each step as it begins, with the seconds of the one before."""

from pathlib import Path

from ensemble.protocol.progress import NullProgress
from maxwell import resume, run
from tests.support.runs import SETTINGS
from workflows.results.preparing import Preparing


class Steps(NullProgress):
    """Remembers the names and texts of stages."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def stage(self, name: str, text: str) -> None:
        self.said.append((name, text))


def test_a_step_comes_with_the_seconds_of_the_one_before() -> None:
    shown, times = Steps(), iter([10.0, 12.25, 12.5])
    preparing = Preparing(shown, lambda: next(times))
    for step in ("building the model", "finding its structure", "compiling"):
        preparing(step)
    assert shown.said == [
        ("prepare", "building the model"),
        ("prepare", "finding its structure (building the model: 2.2 s)"),
        ("prepare", "compiling (finding its structure: 0.2 s)"),
    ]


def test_runs_begin_and_go_on_with_it(tmp_path: Path) -> None:
    for begin in (
        lambda shown: run(SETTINGS, out=tmp_path / "run.zarr", local=True, progress=shown),
        lambda shown: resume(tmp_path / "run.zarr", local=True, progress=shown, limits={"sweeps": 200}),
    ):
        shown = Steps()
        begin(shown)
        names = [name for name, _ in shown.said]
        assert names[:4] == ["prepare", "prepare", "prepare", names[3]]
        assert "prepare" not in names[3:]
