"""Compile a function once per shape, and count the seconds of compiling apart from those of running."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


class Clock:
    """Seconds spent compiling and running since the last reading."""

    def __init__(self) -> None:
        self.compile_seconds = 0.0
        self.kernel_seconds = 0.0

    def read(self) -> tuple[float, float]:
        """(kernel, compile) seconds, and start anew."""
        seconds = self.kernel_seconds, self.compile_seconds
        self.compile_seconds = self.kernel_seconds = 0.0
        return seconds


class Compiled:
    """A function of pytrees of arrays, compiled once for each set of shapes.

    donate: positions of arguments whose memory the result may take over. Arguments are trees of arrays.
    """

    def __init__(self, function: Callable[..., Any], clock: Clock, donate: tuple[int, ...] = ()) -> None:
        self._function, self._clock, self._compiles = function, clock, False
        # Called by jit's own dispatch: looking a program up by shapes in Python takes longer than a small one runs.
        self._jitted = jax.jit(self._traced, donate_argnums=donate)

    def __call__(self, *arguments: Any) -> Any:
        """Run to the end (no work is left in flight, so that the seconds are true)."""
        self._compiles, began = False, time.perf_counter()
        result = self._jitted(*arguments)
        if self._compiles:
            self._clock.compile_seconds += time.perf_counter() - began
            began = time.perf_counter()
        jax.block_until_ready(result)
        self._clock.kernel_seconds += time.perf_counter() - began
        return result

    def _traced(self, *arguments: Any) -> Any:
        """The function; that it is called at all says that there is no program yet for these shapes."""
        self._compiles = True
        return self._function(*arguments)


def on_host(tree: Any) -> Any:
    """The arrays of a tree in NumPy, of results that a `Compiled` has waited for.

    On a CPU they are looked at where they lie, ten times as fast as jax.device_get, which begins a transfer for each
    array; elsewhere it is what lets the transfers overlap.
    """
    return jax.tree.map(np.asarray, tree) if jax.default_backend() == "cpu" else jax.device_get(tree)
