"""Reports made in a process of its own, whatever becomes of it."""

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.html_checker import Page
from tests.support.runs import stopped_run
from workflows.live.rendering import Renderer, RenderingError
from workflows.results.report.facts import Facts
from workflows.results.report.page import page


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_run(tmp_path_factory.mktemp("begun"), sweeps=19)


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    found = Renderer()
    yield found
    found.close()


def blocked(store: Path, tmp_path: Path) -> Path:
    """A store whose root is a pipe: who reads it waits for somebody to write."""
    found = Path(shutil.copytree(store, tmp_path / "blocked.zarr"))
    (found / "zarr.json").unlink()
    os.mkfifo(found / "zarr.json")
    return found


class Begun:
    """A report that is being made of a store that blocks; what is said at its end."""

    def __init__(self, renderer: Renderer, store: Path) -> None:
        self.said = ""
        self._thread = threading.Thread(target=self._make, args=(renderer, store))
        self._thread.start()
        # Returns when the other process has opened it to read.
        self._pipe = os.open(store / "zarr.json", os.O_WRONLY)

    def _make(self, renderer: Renderer, store: Path) -> None:
        with pytest.raises(RenderingError) as error:
            renderer(store)
        self.said = str(error.value)

    def ended(self) -> str:
        self._thread.join()
        os.close(self._pipe)
        return self.said


def test_it_is_the_report_as_the_command_writes_it_and_faults_are_told(
    renderer: Renderer, store: Path, tmp_path: Path
) -> None:
    text = renderer(store)
    assert Page(text).problems == []
    assert text == page(Facts(store))
    damaged = Path(shutil.copytree(store, tmp_path / "damaged.zarr"))
    (damaged / "zarr.json").write_bytes((damaged / "zarr.json").read_bytes()[:-40])
    with pytest.raises(RenderingError, match=r"zarr\.json are damaged"):
        renderer(damaged)
    with pytest.raises(RenderingError, match="there is no store at"):
        renderer(tmp_path / "none.zarr")
    # The same process goes on.
    assert renderer(store) == text


def test_a_process_that_ends_is_told_and_another_takes_its_place(
    renderer: Renderer, store: Path, tmp_path: Path
) -> None:
    making = Begun(renderer, blocked(store, tmp_path))
    (child,) = multiprocessing.active_children()
    os.kill(child.pid or 0, signal.SIGKILL)
    assert "the process that was making the report ended (status -9)" in making.ended()
    with pytest.raises(RenderingError, match="there is no store at"):
        renderer(tmp_path / "none.zarr")


def test_closing_ends_what_is_being_made(renderer: Renderer, store: Path, tmp_path: Path) -> None:
    making = Begun(renderer, blocked(store, tmp_path))
    renderer.close()
    assert "ended" in making.ended()
    assert multiprocessing.active_children() == []
    with pytest.raises(RenderingError, match="the server is ending"):
        renderer(store)
