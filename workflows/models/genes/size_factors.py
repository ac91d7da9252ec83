"""Size factors: how deeply each sample was sequenced, by the median of ratios (Anders and Huber 2010)."""

import numpy as np


def log_size_factors(counts: np.ndarray) -> np.ndarray:
    """[sample] logs of the size factors of counts [sample, gene], every sample having reads.

    The median over genes of the count over the gene's geometric mean over all samples, of the genes without a zero.
    Where there are none, as in single cells, each gene's geometric mean is that of its positive counts, and each
    sample's median is over the genes that it has.
    """
    logs = np.log(np.where(counts > 0, counts, 1).astype(float))
    positive = counts > 0
    complete = positive.all(axis=0)
    if complete.any():
        ratios = logs[:, complete]
        return np.asarray(np.median(ratios - ratios.mean(axis=0), axis=1))
    means = logs.sum(axis=0) / np.maximum(positive.sum(axis=0), 1)
    return np.array([np.median((row - means)[has]) for row, has in zip(logs, positive, strict=True)])
