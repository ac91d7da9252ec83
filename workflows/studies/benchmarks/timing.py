"""How long calls take: medians over repeats."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


def medians(calls: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """Median seconds of each call until its result is there. The calls take turns, so that a noisy machine disturbs all
    of them alike; a first turn, which may compile, is not counted."""
    times = np.zeros((repeats + 1, len(calls)))
    for repeat in range(repeats + 1):
        for number, call in enumerate(calls):
            began = time.perf_counter()
            jax.block_until_ready(call())
            times[repeat, number] = time.perf_counter() - began
    return [float(median) for median in np.median(times[1:], axis=0)]
