"""How a run shows itself: live on a terminal and in a notebook, now and then a plain line anywhere else."""

import importlib
import sys
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ensemble.protocol.progress import NullProgress, Progress, Status

PLAIN_SECONDS = 10.0
"""At most one plain line of numbers in this time: a log of an hour stays readable."""
NOTEBOOK_SECONDS = 0.5
"""At most one update of a notebook's output in this time, new stages and messages apart."""


def make_progress(stream: TextIO | None = None) -> Progress:
    """The display that fits `stream` (standard error unless given): live on a terminal, plain lines otherwise; in a
    notebook, unless a stream is given, an output of the cell that changes in place."""
    if stream is None and in_notebook():
        return NotebookProgress(importlib.import_module("IPython.display").display)
    stream = sys.stderr if stream is None else stream
    console = Console(file=stream, highlight=False)
    # isatty, not console.is_terminal: FORCE_COLOR asks for colours, it does not make a log file a terminal.
    live = stream.isatty() and not console.is_dumb_terminal
    return WhileWatched(RichProgress(console) if live else PlainProgress(stream))


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class WhileWatched:
    """Another display until its stream is gone (a closed terminal, a pipe that nobody reads any more): a run goes on
    unseen, and ends as it should."""

    def __init__(self, display: Progress) -> None:
        self.display = display

    def stage(self, name: str, text: str) -> None:
        self._show(lambda display: display.stage(name, text))

    def update(self, status: Status) -> None:
        self._show(lambda display: display.update(status))

    def message(self, text: str) -> None:
        self._show(lambda display: display.message(text))

    def close(self) -> None:
        self._show(lambda display: display.close())

    def _show(self, call: Callable[[Progress], None]) -> None:
        try:
            call(self.display)
        except OSError:
            self.display = NullProgress()


class PlainProgress:
    """One short line when a stage begins, one for the numbers at most every `seconds`, one for every message.

    The first numbers of a stage and its last ones are always shown.
    """

    def __init__(
        self, stream: TextIO, seconds: float = PLAIN_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._seconds = seconds
        self._clock = clock
        self._next = float("-inf")
        self._held: Status | None = None

    def stage(self, name: str, text: str) -> None:
        self._flush()
        self._next = float("-inf")
        self._write(f"{name}: {text}")

    def update(self, status: Status) -> None:
        self._held = status
        now = self._clock()
        if now >= self._next:
            self._next = now + self._seconds
            self._flush()

    def message(self, text: str) -> None:
        self._write(text)

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._held is not None:
            self._write(status_line(self._held))
            self._held = None

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class RichProgress:
    """A small table that changes in place; finished stages and messages stay above it, a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._spinner = Spinner("dots")
        self._last: Status | None = None

    def stage(self, name: str, text: str) -> None:
        self._finish_stage()
        self._spinner.update(text=Text(f"{name}: {text}", style="bold"))
        self._live.start()
        self._live.update(self._spinner, refresh=True)

    def update(self, status: Status) -> None:
        self._last = status
        self._live.update(status_table(status, self._spinner))

    def message(self, text: str) -> None:
        self._console.print(Text(text))

    def close(self) -> None:
        self._live.stop()
        self._finish_stage()

    def _finish_stage(self) -> None:
        if self._last is not None:
            self._console.print(Text(status_line(self._last), style="dim"))
            self._last = None


class NotebookProgress:
    """One output of a cell: finished stages and messages, a line each, then the stage at work and its numbers.

    display: as IPython's, called as display(bundle, raw=True, display_id=True); what it returns is updated.
    """

    def __init__(
        self,
        display: Callable[..., Any],
        seconds: float = NOTEBOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display, self._seconds, self._clock = display, seconds, clock
        self._handle: Any = None
        self._lines: list[str] = []
        self._stage: str | None = None
        self._last: Status | None = None
        self._next = float("-inf")

    def stage(self, name: str, text: str) -> None:
        self._finish_stage()
        self._stage = f"{name}: {text}"
        self._show()

    def update(self, status: Status) -> None:
        self._last = status
        if self._clock() >= self._next:
            self._show()

    def message(self, text: str) -> None:
        self._lines.append(text)
        self._show()

    def close(self) -> None:
        if self._stage is not None:
            self._finish_stage()
            self._show()

    def _finish_stage(self) -> None:
        if self._last is not None:
            self._lines.append(status_line(self._last))
        self._stage = self._last = None

    def _show(self) -> None:
        rows = [] if self._last is None else _rows(self._last)
        below = [] if self._stage is None else [self._stage, *(f"  {label:12} {text}" for label, text in rows)]
        text = "\n".join(self._lines + below)
        bundle = {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
        self._next = self._clock() + self._seconds


def status_table(status: Status, head: Spinner) -> Table:
    """The live table of one moment."""
    table = Table.grid(padding=(0, 2))
    table.add_row(head)
    inner = Table.grid(padding=(0, 2))
    for label, text in _rows(status):
        inner.add_row(Text(f"  {label}", style="dim"), Text(text))
    table.add_row(inner)
    return table


def status_line(status: Status) -> str:
    """The same numbers in one line."""
    return f"{status.stage}: " + "; ".join(f"{label} {text}" for label, text in _rows(status))


def _rows(status: Status) -> list[tuple[str, str]]:
    rows = [
        ("round", f"{status.epoch}, {status.sweeps:,} sweeps, {status.draws} draws a chain"),
        ("time", _times(status)),
        ("accepted", shares(status.acceptance)),
        ("swaps", shares(status.swap_rates)),
        ("log density", f"{status.lp_mean:,.1f}"),
        ("R-hat", _rhat(status)),
        ("ESS", _ess(status)),
        ("non-finite", f"{status.nonfinite} proposals" if status.nonfinite else ""),
        ("divergent", f"{status.divergences:,} trajectories" if status.divergences else ""),
    ]
    return [(label, text) for label, text in rows if text]


def _times(status: Status) -> str:
    left = "" if status.seconds_left is None else f", about {duration(status.seconds_left)} left"
    return duration(status.seconds) + left


def _rhat(status: Status) -> str:
    limit = "" if status.rhat_limit is None else f" (limit {status.rhat_limit:.3f})"
    parts = [
        "" if status.rhat_max is None else f"{status.rhat_max:.3f}{limit}",
        "" if status.rhat_shared_max is None else f"shared {status.rhat_shared_max:.3f}",
    ]
    return ", ".join(part for part in parts if part)


def _ess(status: Status) -> str:
    known = [("min", status.ess_min), ("median", status.ess_median), ("shared min", status.ess_shared_min)]
    return ", ".join(f"{label} {value:,.0f}" for label, value in known if value is not None)


def shares(values: Mapping[str, float]) -> str:
    """Shares in [0, 1] by name: "gene 0.31, global 0.25"."""
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def duration(seconds: float) -> str:
    """Seconds as people write them: 0:42, 12:05, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
