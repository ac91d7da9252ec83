"""Compile a function once per shape, and count the seconds of compiling apart from those of running."""

import time
from collections.abc import Callable
from typing import Any

import jax


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
    """A function of pytrees of arrays, compiled ahead of its first call for each set of shapes.

    donate: positions of arguments whose memory the result may take over. Arguments are trees of arrays.
    """

    def __init__(self, function: Callable[..., Any], clock: Clock, donate: tuple[int, ...] = ()) -> None:
        self._jitted = jax.jit(function, donate_argnums=donate)
        self._clock = clock
        self._executables: dict[Any, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Run to the end (no work is left in flight, so that the seconds are true)."""
        leaves, structure = jax.tree.flatten(arguments)
        shapes = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if shapes not in self._executables:
            began = time.perf_counter()
            self._executables[shapes] = self._jitted.lower(*arguments).compile()
            self._clock.compile_seconds += time.perf_counter() - began
        began = time.perf_counter()
        result = jax.block_until_ready(self._executables[shapes](*arguments))
        self._clock.kernel_seconds += time.perf_counter() - began
        return result
