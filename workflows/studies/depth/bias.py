"""b2, the squared bias of second moments in units of their variance, and the gradients at which it is small for good.

b2_i = (E_est[x_i^2] - E[x_i^2])^2 / Var[x_i^2], maximum or average over the coordinates i (Hoffman and Sountsov 2022,
AISTATS, "Tuning-free generalized Hamiltonian Monte Carlo"; Robnik, Cohn-Gordon and Seljak 2025, arXiv 2601.16696).
M independent exact draws give an average near 1 / M, and a maximum near 2 log(d) / M.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

THRESHOLD = 0.01
"""b2 of 100 independent draws, on average."""


class Moments(NamedTuple):
    """Moments of a target, each [d]: E[x], E[x^2], Var[x^2], and the standard errors of the first two (0: exact)."""

    mean: np.ndarray
    square: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    square_error: np.ndarray


class Crossing(NamedTuple):
    """Gradients after which a bias stays below the threshold, by its maximum and its average; None: it never does."""

    max: int | None
    avg: int | None


@dataclass(frozen=True)
class Trace:
    """How the bias of a run fell: cumulative gradients [T] (warm-up included), b2 over coordinates [T] each."""

    gradients: np.ndarray
    b2_max: np.ndarray
    b2_avg: np.ndarray


def b2(squares: np.ndarray, reference: Moments) -> np.ndarray:
    """b2 of every coordinate, [..., d], of estimates of E[x^2] of shape [..., d]."""
    return (np.asarray(squares) - reference.square) ** 2 / reference.variance


def own_b2(reference: Moments) -> np.ndarray:
    """b2 that a perfect sampler would be charged for the Monte Carlo error of the reference itself, [d]."""
    return reference.square_error**2 / reference.variance


def trace_of(gradients: np.ndarray, squares: np.ndarray, reference: Moments) -> Trace:
    """The trace of estimates `squares` [T, d] of E[x^2] made after `gradients` [T] evaluations.

    Raises ValueError where the lengths or the number of coordinates do not fit.
    """
    gradients, squares = np.asarray(gradients), np.asarray(squares)
    if squares.shape != (len(gradients), len(reference.square)):
        raise ValueError(
            f"squares has shape {squares.shape}, but there are {len(gradients)} entries in `gradients` and "
            f"{len(reference.square)} coordinates in the reference: give one row an entry, one column a coordinate"
        )
    bias = b2(squares, reference)
    return Trace(gradients, bias.max(axis=1), bias.mean(axis=1))


def last_crossing(trace: Trace, threshold: float = THRESHOLD) -> Crossing:
    """Gradients spent at the first step after which the bias never exceeds the threshold again within the trace.

    A bias that is not a number counts as above it.
    """
    found = (_last(trace.gradients, values, threshold) for values in (trace.b2_max, trace.b2_avg))
    return Crossing(*found)


def _last(gradients: np.ndarray, values: np.ndarray, threshold: float) -> int | None:
    """The entry of `gradients` that follows the last value above the threshold."""
    above = np.flatnonzero(~(values <= threshold))
    first_below = 0 if len(above) == 0 else int(above[-1]) + 1
    return int(gradients[first_below]) if first_below < len(gradients) else None
