"""One sitting of a run, from its start or resume until it stops: who looks on, who may stop it, what time it takes."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ensemble.protocol.plans import RoundResult
from ensemble.protocol.progress import NullProgress, Progress


def never() -> bool:
    """The stop that nobody asks for."""
    return False


class Sitting(NamedTuple):
    """What one sitting has of its own; the draws are the same in any.

    progress: shows the run to people.
    stop_requested: asked between rounds whether the run shall stop.
    attributes: of the store, changed by this sitting (new goals or limits) and committed with all else.
    clock: seconds from any origin.
    """

    progress: Progress = NullProgress()
    stop_requested: Callable[[], bool] = never
    attributes: Mapping[str, Any] = MappingProxyType({})
    clock: Callable[[], float] = time.monotonic


class Stopwatch:
    """Counts the seconds of rounds; nothing but limits.minutes is decided by them."""

    def __init__(self, clock: Callable[[], float], *, remote: bool) -> None:
        """remote: whether kernels run in other processes, whose time this one's does not hold."""
        self.clock, self.remote = clock, remote
        self._last = self._now()

    def lap(self, results: list[RoundResult]) -> dict[str, float]:
        """The seconds since the last lap, in which a round had these results: wall, core, kernel, compile."""
        now, (wall, core) = self._now(), self._last
        self._last = now
        kernel = sum(result.kernel_seconds for result in results)
        compiling = sum(result.compile_seconds for result in results)
        elsewhere = kernel + compiling if self.remote else 0.0
        return {"wall": now[0] - wall, "core": now[1] - core + elsewhere, "kernel": kernel, "compile": compiling}

    def _now(self) -> tuple[float, float]:
        return self.clock(), time.process_time()
