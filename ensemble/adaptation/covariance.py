"""Factors of the ensemble's covariances, shrunk, for random walks and fitted proposals."""

import numpy as np

from ensemble.adaptation.moments import Moments

SHRINKAGE = 10.0
"""Pseudo-observations that pull a block's correlations towards zero."""


def covariance_factor(moments: Moments, previous: np.ndarray) -> np.ndarray:
    """Factor of the shrunk covariance of each block; a block without spread keeps its previous factor."""
    if moments.scatter.ndim == 2:
        variance = moments.scatter / moments.weight
        return np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), previous)
    width = len(moments.scatter)
    diagonal = np.eye(width)[:, :, None]
    covariance = moments.scatter * np.where(diagonal > 0, 1.0, moments.weight / (moments.weight + SHRINKAGE))
    covariance = covariance / moments.weight
    # Padding of narrow blocks has no spread: a unit there factors to a unit.
    padded = np.einsum("iib->ib", covariance) <= 0
    covariance = np.where(diagonal * padded[None] > 0, 1.0, covariance)
    factor = cholesky(covariance)
    return np.where(np.isfinite(factor).all(axis=(0, 1)), factor, previous)


def conditional_factor(information: np.ndarray, weight: np.ndarray | float, previous: np.ndarray) -> np.ndarray:
    """Factor of the inverse of each block's information [p, p, B], its correlations shrunk for so many states: the
    covariance of its law given the other levels; a block that this is not known of keeps its previous factor."""
    width = len(information)
    precision = np.einsum("iib->ib", information)
    known = np.isfinite(information).all(axis=(0, 1)) & (precision > 0).any(axis=0)
    # In units of the conditional standard deviations; padding of narrow blocks has no slope, and a unit here.
    scale = np.sqrt(np.where(precision > 0, precision, 1.0))
    share = np.where(np.eye(width)[:, :, None] > 0, 1.0, weight / (weight + SHRINKAGE))
    correlation = np.where(precision > 0, 0.0, 1.0)[:, None] * np.eye(width)[:, :, None]
    correlation = correlation + share * information / (scale[:, None] * scale[None, :])
    usable = np.where(known, correlation, np.eye(width)[:, :, None])
    inverse = np.moveaxis(np.linalg.inv(np.moveaxis(usable, -1, 0)), 0, -1)
    factor = cholesky(inverse) / scale[:, None]
    return np.where(known & np.isfinite(factor).all(axis=(0, 1)), factor, previous)


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Lower factors of [p, p, B] matrices, NaN where one is not positive definite; no threads, no LAPACK."""
    width = len(matrices)
    factor = np.zeros_like(matrices)
    with np.errstate(invalid="ignore", divide="ignore"):
        for j in range(width):
            factor[j, j] = np.sqrt(matrices[j, j] - (factor[j, :j] ** 2).sum(axis=0))
            for i in range(j + 1, width):
                factor[i, j] = (matrices[i, j] - (factor[i, :j] * factor[j, :j]).sum(axis=0)) / factor[j, j]
    return factor
