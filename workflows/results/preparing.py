"""What is done before the first round, which may take half a minute: one line, when the longest part begins."""

import time
from collections.abc import Callable

from ensemble.protocol.progress import Progress


class Preparing:
    """Counts the seconds of the steps before the first round."""

    def __init__(self, shown: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown, self._clock = shown, clock
        self._last, self._spent = clock(), list[str]()

    def done(self, step: str) -> None:
        """A step is over."""
        now = self._clock()
        self._spent.append(f"{step} ({now - self._last:.1f} s)")
        self._last = now

    def begins(self, step: str) -> None:
        """The last step, before the first round, begins: told, with those that are over."""
        self._shown.message(f"prepared: {', '.join(self._spent)}; now {step}")
