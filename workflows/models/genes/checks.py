"""Genes: whether counts have the zeros, the spread and the variance that the model says."""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check
from workflows.results.fit.counts import count_checks


def checks(counts: np.ndarray, log_size: np.ndarray) -> tuple[Check, ...]:
    """Of counts [sample, gene] and log size factors [sample]."""
    return count_checks("counts", counts, np.exp(log_size), law)


def law(values: Position, data: Data) -> tuple[jax.Array, jax.Array]:
    """Means [sample, gene] and dispersions [gene]."""
    log_rate = values["intercept"] + data["rows"] @ values["effect"].T
    if data.get("row_of") is not None:
        log_rate = log_rate[data["row_of"]]
    return jnp.exp(data["log_size"][:, None] + log_rate), values["dispersion"]
