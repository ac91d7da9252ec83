"""Black boxes that go wrong once a file is there, in one of many ways."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from maxwell import black_box_model
from workflows.modelling.model import Model

Density = Callable[[np.ndarray], np.ndarray]


class NoSolution(RuntimeError):
    """What a user's solver raises."""

    def __init__(self, at: int) -> None:
        super().__init__(f"no solution at {at} points")
        self.at = at


def solve(density: np.ndarray) -> np.ndarray:
    raise NoSolution(len(density))


def leave(density: np.ndarray) -> np.ndarray:
    sys.exit("the licence is gone")


def interrupt(density: np.ndarray) -> np.ndarray:
    raise KeyboardInterrupt


FAILURES: dict[str, Density] = {
    "raises": solve,
    "exits": leave,
    "interrupts": interrupt,
    "shape": lambda density: density[:1],
    "complex": lambda density: density + 1j,
    "text": lambda density: density.astype(str),
}


def build(kind: str, marker: str) -> Model:
    """x ~ N(0, I), two of them, until the file `marker` is there."""

    def density(position: dict[str, np.ndarray]) -> np.ndarray:
        found: np.ndarray = -0.5 * (position["x"] ** 2).sum(axis=1)
        return FAILURES[kind](found) if Path(marker).exists() else found

    return black_box_model(density, {"x": 2}, name="failing")
