"""Signals that ask a run to stop, as a polite question: the run stops after the round it is in. Light."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any

from ensemble.fleet.stop_signals import STOP_SIGNALS

ALWAYS = (signal.SIGINT, signal.SIGTERM)
"""Taken whatever was done about them; the others are left to who handles or ignores them (nohup; a user's script)."""


_patience = ContextVar("patience", default=False)


@contextmanager
def patience() -> Iterator[None]:
    """In this block, a run that was asked to stop does nothing about further signals. A scheduler sends one to the
    program, to those around it, which pass it on, and to all of a job at once: a second one says nothing new, and what
    takes too long is killed."""
    before = _patience.set(True)
    try:
        yield
    finally:
        _patience.reset(before)


class StopOnSignal:
    """While entered, the first signal is remembered; a second one acts as it did before or, where that would end the
    process without a word, as Ctrl-C does: KeyboardInterrupt at once.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._received = False
        self._before: dict[int, Any] = {}

    def received(self) -> bool:
        """Whether a signal has come."""
        return self._received

    def __enter__(self) -> "StopOnSignal":
        self._before = _taken(self._remember, anyway=ALWAYS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restored(self._before)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        if _patience.get():
            return
        _restored({n: interrupt if handler == signal.SIG_DFL else handler for n, handler in self._before.items()})


def interrupt(number: int, frame: FrameType | None) -> None:
    """A signal as Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """In this block, signals that would end the process without a word raise KeyboardInterrupt instead."""
    before = _taken(interrupt)
    try:
        yield
    finally:
        _restored(before)


def _taken(handler: Any, anyway: tuple[int, ...] = ()) -> dict[int, Any]:
    """Handle the signals that nobody does, and those in `anyway`; returns their handlers before. One that was not made
    in Python is left in place, as it cannot be put back."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    mine: dict[int, Any] = {
        n: h for n, h in found.items() if h in (signal.SIG_DFL, interrupt) or (n in anyway and h is not None)
    }
    for number in mine:
        signal.signal(number, handler)
    return mine


def _restored(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
