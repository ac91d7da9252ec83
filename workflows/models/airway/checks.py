"""Airway: whether counts have the zeros, the spread and the variance that the model says."""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check
from workflows.results.fit.counts import count_checks


def checks(counts: np.ndarray, library: np.ndarray) -> tuple[Check, ...]:
    """Of counts [sample, gene] and log relative library sizes [sample]."""
    return count_checks("y", counts, np.exp(library), law)


def law(values: Position, data: Data) -> tuple[jax.Array, jax.Array]:
    """Means [sample, gene] and dispersions [gene]."""
    log_rate = data["library"] + values["a"] + data["treated"] * values["d"]
    if "c" in values:
        log_rate = log_rate + data["cell"] @ values["c"].T
    return jnp.exp(log_rate), values["phi"]
