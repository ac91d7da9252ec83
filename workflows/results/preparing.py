"""What is done before the first round, said while it is done: it may take half a minute."""

import time
from collections.abc import Callable

from ensemble.protocol.progress import Progress

NAME = "prepare"
"""Of these steps, as stages have theirs."""


class Preparing:
    """Says each step as it begins, with the seconds that the one before took."""

    def __init__(self, shown: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown, self._clock = shown, clock
        self._last: tuple[str, float] | None = None

    def __call__(self, step: str) -> None:
        """A step begins; the one before is over."""
        now = self._clock()
        over = "" if self._last is None else f" ({self._last[0]}: {now - self._last[1]:.1f} s)"
        self._shown.stage(NAME, step + over)
        self._last = step, now
