"""Chains pooled into a few groups for drawing: whole superchains where there are many, parts of them where few."""

import numpy as np

FEWEST, MOST = 8, 16
"""Groups that an eye can compare."""


def groups(chains: int, superchains: int) -> list[np.ndarray]:
    """Chain numbers of each group, in order; chains of a superchain stand side by side.

    FEWEST to MOST groups where there are so many chains: superchains are independent of each other, so a group never
    holds parts of two.
    """
    whole = np.array_split(np.arange(chains), superchains)
    if superchains > MOST:
        together = -(-superchains // MOST)
        return [np.concatenate(whole[start : start + together]) for start in range(0, superchains, together)]
    parts = -(-FEWEST // superchains)
    return [part for chain in whole for part in np.array_split(chain, min(parts, len(chain))) if len(part)]


def rank_counts(draws: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """How often ranks among all draws fall into equal bins, over what is expected: [group, bin], 1 for equal groups.

    draws: [chain, draw]. Ties share their mean rank. Vehtari, Gelman, Simpson, Carpenter, Buerkner, Rank-normalization,
    2021, section 4.3.
    """
    from scipy.stats import rankdata

    ranks = (rankdata(draws).reshape(draws.shape) - 0.5) / draws.size
    smallest = min(len(chains) for chains in members) * draws.shape[1]
    bins = int(np.clip(smallest // 12, 4, 20))
    edges = np.linspace(0.0, 1.0, bins + 1)
    counts = [np.histogram(ranks[chains], edges)[0] * bins / ranks[chains].size for chains in members]
    return np.stack(counts)
