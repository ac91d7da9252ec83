"""Ctrl-C and SIGTERM as a polite question: the run stops after the round it is in."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from ensemble.errors import MaxwellError
from workflows.results.run import Run

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(MaxwellError):
    """The user stopped a run before its goals were met; everything up to its last round is committed.

    run: the run as it stands, from which one can go on.
    """

    def __init__(self, run: Run) -> None:
        where = "" if run.is_temporary else f" in {run.path}"
        super().__init__(
            f"interrupted; every finished round is kept{where}: go on with the method resume() of this run, which is "
            "also the attribute `run` of this exception"
        )
        self.run = run


class StopOnSignal:
    """While entered, the first signal is remembered; a second one acts as it did before (Ctrl-C: at once).

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._received = False
        self._before: dict[int, Any] = {}

    def received(self) -> bool:
        """Whether a signal has come."""
        return self._received

    def __enter__(self) -> "StopOnSignal":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
