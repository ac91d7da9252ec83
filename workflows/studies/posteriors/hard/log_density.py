"""Nested R-hat and ESS of the log density over stored draws: a number that no goal of maxwell is about."""

from typing import NamedTuple

import arviz
import numpy as np

LEAST_ESS, LARGEST_RHAT = 400.0, 1.02
"""What would be asked of it: as many effective draws as of a tail, and the nested R-hat of a shared parameter."""


class Looked(NamedTuple):
    """ess: effective draws by ranks (Vehtari and others 2021). rhat: nested R-hat over superchains."""

    ess: float
    rhat: float

    @property
    def sound(self) -> bool:
        """Whether a goal of it would be met."""
        return self.ess >= LEAST_ESS and self.rhat <= LARGEST_RHAT


def look(values: np.ndarray, superchains: int) -> Looked:
    """Of one number of every draw [chains, draws], the chains of a superchain side by side."""
    return Looked(float(arviz.ess(values)), nested_rhat(values, superchains))


def nested_rhat(values: np.ndarray, superchains: int) -> float:
    """sqrt(1 + B / W): B the variance of the superchains' means, W the mean of what varies within them, between their
    chains' means and within chains (Margossian and others 2024, Nested R-hat)."""
    grouped = values.reshape(superchains, -1, values.shape[1])
    chains = grouped.mean(axis=2)
    within = grouped.var(axis=2, ddof=1).mean(axis=1) + chains.var(axis=1, ddof=1)
    return float(np.sqrt(1 + chains.mean(axis=1).var(ddof=1) / within.mean()))
