"""The metric of trajectories, pooled over the ensemble: Fisher divergence, from coordinates and gradients alike."""

import numpy as np

from ensemble.adaptation.moments import Moments
from ensemble.protocol.statistics import Sketch
from kernels.dynamics.metric import LowRank

ROUNDING = 1e-14
"""Relative size of what is left of an eigenvalue after rounding."""
ENOUGH = 2.0
"""Pooled states for each coordinate from which on a dense covariance is used: with fewer its small eigenvalues are
noise, and the diagonal is better."""


def factor(states: Moments, gradients: Moments, previous: np.ndarray) -> np.ndarray:
    """L with L L' = Sigma, the metric of least Fisher divergence: Sigma Cov(g) Sigma = Cov(x), for each block.

    Sigma is the geometric mean of Cov(x) and Cov(g)^-1. Where the density is normal, g = -P (x - mu), it is P^-1 for
    any law of x: states far from equilibrium already show it. Diagonal: sqrt(Var x / Var g). A block without spread
    keeps its factor; padding has a unit. Sources: Seyboldt, Carlson & Carpenter 2026 (arXiv 2603.18845); Bhatia 2007,
    Positive Definite Matrices, chapter 4.
    """
    if states.scatter.ndim == 3:
        return _dense(states, gradients, previous)
    variance = _diagonal(states.scatter, gradients.scatter)
    return np.where(variance > 0, np.sqrt(variance), previous)


def _diagonal(states: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """sqrt(Var x / Var g), 0 where it is not to be had."""
    usable = (states > 0) & (gradients > 0) & np.isfinite(states) & np.isfinite(gradients)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.where(usable, np.sqrt(states / gradients), 0.0)


def _dense(states: Moments, gradients: Moments, previous: np.ndarray) -> np.ndarray:
    found = np.array(previous)
    variances, slopes = (np.einsum("iib->ib", moments.scatter) for moments in (states, gradients))
    padding = (variances == 0) & (slopes == 0)
    scales = np.sqrt(np.where(padding, 1.0, _diagonal(variances, slopes)))
    for block in range(previous.shape[2]):
        real, scale = np.flatnonzero(~padding[:, block]), scales[:, block]
        if not real.size or not scale.all():
            continue
        found[:, :, block] = np.diag(scale)
        weight, there, unit = states.weight[block], np.ix_(real, real), np.outer(scale[real], scale[real])
        if weight >= ENOUGH * real.size:
            # In units of the diagonal metric, so that the decompositions are well scaled.
            covariance = states.scatter[:, :, block][there] / weight / unit
            information = gradients.scatter[:, :, block][there] / weight * unit
            mean = geometric_mean(covariance, information)
            if mean is not None:
                found[real[:, None], real, block] = scale[real][:, None] * mean
    return found


def geometric_mean(covariance: np.ndarray, information: np.ndarray) -> np.ndarray | None:
    """The lower factor of Sigma with Sigma information Sigma = covariance; None where one is not positive definite.

    With covariance = K K': Sigma = K (K' information K)^(-1/2) K'. Eigenvalues below the rounding error of the largest
    are taken for it.
    """
    try:
        root = np.linalg.cholesky(covariance + ROUNDING * np.trace(covariance) * np.eye(len(covariance)))
        values, vectors = np.linalg.eigh(root.T @ information @ root)
        half = (root @ vectors) * np.maximum(values, ROUNDING * values[-1]) ** -0.25
        lower: np.ndarray = np.linalg.cholesky(half @ half.T)
    except np.linalg.LinAlgError:
        return None
    return lower


def low_rank(
    states: Moments, gradients: Moments, previous: LowRank, sketch: np.ndarray, seen: Sketch
) -> tuple[LowRank, np.ndarray]:
    """The diagonal metric, stretched along k directions, and the sketch [p, k] to look along in the next round.

    In units of the diagonal, the metric of least Fisher divergence within the sketch's span is the geometric
    mean of the k x k covariances there. The next sketch is a step of subspace iteration: half of it follows Cov(x) to
    the widest directions, half Cov(g) to the stiffest (Halko, Martinsson & Tropp 2011, algorithm 4.4). seen: of all
    shards.
    """
    along, power = ([np.asarray(values) for values in pair] for pair in zip(*seen, strict=True))
    scale = np.sqrt(_diagonal(states.scatter, gradients.scatter))
    scale = np.where(scale > 0, scale, previous.scale)
    weights = [float(np.trace(a)) for a in along]
    if not all(np.isfinite(w) and w > 0 for w in weights):
        return previous._replace(scale=scale), sketch
    half = sketch.shape[1] // 2
    leading = [
        np.linalg.svd(p, full_matrices=False)[0][:, :n]
        for p, n in zip(power, (sketch.shape[1] - half, half), strict=True)
    ]
    following = np.linalg.qr(np.concatenate(leading, axis=1))[0]
    root = geometric_mean(along[0], along[1])
    if root is None:
        return previous._replace(scale=scale), following
    values, vectors = np.linalg.eigh(root @ root.T)
    return LowRank(scale, sketch @ vectors, np.sqrt(values)), following
