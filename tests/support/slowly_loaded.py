"""Data that hold up the worker which loads them until a file is there, as packages on a busy machine's disk do."""

import time
from pathlib import Path
from typing import Any

import numpy as np


class SlowlyLoaded:
    """Arrives in a worker as an array, once `file` is there."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return loaded, (str(self.file),)


def loaded(file: str) -> np.ndarray:
    while not Path(file).exists():
        time.sleep(0.05)
    return np.ones(3)
