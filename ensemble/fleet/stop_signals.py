"""The signals by which terminals, systemd and schedulers ask a run to stop. They often reach all of its processes at
once: the driver answers, and the processes of a private Ray, which would die in the middle of a round, leave it to it.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""Ctrl-C; systemd and most schedulers; a terminal or ssh that is gone; the two that SLURM and Grid Engine send ahead of
the end if asked to; a limit on CPU seconds."""


@contextmanager
def held_back() -> Iterator[None]:
    """Processes started in this block, and all that they start, are not reached by the signals: a mask is inherited,
    and handlers, which Ray's programs install, do not undo it. This process gets what came meanwhile after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def disregarded() -> None:
    """Do nothing about the signals in this process, where they were held back; what it starts itself gets them as usual
    (a model may run programs, and end them)."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if signal.SIGTERM not in blocked or threading.current_thread() is not threading.main_thread():
        return
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
