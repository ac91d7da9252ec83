"""The whole report, made in a process of its own: it takes seconds of work in Python, and runs the model's code, and
neither may hold up or end the server."""

import multiprocessing
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from ensemble.errors import MaxwellError
from ensemble.fleet.stop_signals import disregarded, held_back

SECONDS = 5.0
"""For which an end is waited for of which there is a sign already."""


class RenderingError(MaxwellError):
    """The report could not be made."""


class Renderer:
    """Makes reports, one at a time, in a process that the first starts, which takes seconds, and that is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: tuple[SpawnProcess, Connection] | None = None
        self._closed = False

    def __call__(self, store: Path) -> str:
        """The report of a store as HTML text. Raises RenderingError."""
        process, connection = self._at_work()
        try:
            connection.send(store)
            made, text = connection.recv()
        except (EOFError, OSError) as error:
            process.join(SECONDS)
            raise RenderingError(
                f"the process that was making the report ended (status {process.exitcode}): the model's own code may "
                "have ended it, or there was no memory left"
            ) from error
        if not made:
            raise RenderingError(text)
        return str(text)

    def close(self) -> None:
        """End the process, whatever it is doing; nothing is made any more."""
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker[0].kill()
                self._worker[0].join()

    def _at_work(self) -> tuple[SpawnProcess, Connection]:
        with self._lock:
            if self._closed:
                raise RenderingError("the server is ending")
            if self._worker is None or not self._worker[0].is_alive():
                context = multiprocessing.get_context("spawn")
                here, there = context.Pipe()
                # Ctrl-C reaches all processes of a terminal: this one alone answers.
                with held_back():
                    process = context.Process(target=_make_reports, args=(there,), daemon=True)
                    process.start()
                there.close()
                self._worker = process, here
            return self._worker


def _make_reports(connection: Connection) -> None:
    """Answer every store with its report, or with what is wrong, until the server is gone."""
    from workflows.results.report.facts import Facts
    from workflows.results.report.page import page

    disregarded()
    while True:
        try:
            store = connection.recv()
        except EOFError:
            return
        try:
            answer = True, page(Facts(store))
        except MaxwellError as error:
            answer = False, str(error)
        except Exception as error:  # noqa: BLE001 - told on the page; the next report may be made again
            answer = False, f"{type(error).__name__}: {error}; the command `maxwell report {store}` says where"
        connection.send(answer)
