"""Models whose ladders have closed forms, named in settings as tests.support.models.ladder_models:two_modes."""

import jax.numpy as jnp
import numpy as np
from scipy import stats

from maxwell import function_model
from workflows.modelling.model import Model

MODE, WIDTH, BLOCKS = 2.0, 0.4, 3


def two_modes() -> Model:
    """x_b ~ N(0, 1) a priori, L = prod_b (N(x_b; 2, 0.4) + N(x_b; -2, 0.4)) / 2: eight modes far apart."""

    def log_terms(position, data):
        x = position["x"]
        modes = jnp.logaddexp(-0.5 * ((x - MODE) / WIDTH) ** 2, -0.5 * ((x + MODE) / WIDTH) ** 2)
        constant = 0.5 * np.log(2.0 * np.pi)
        return {"prior": -0.5 * x**2 - constant, "y": modes - np.log(2.0 * WIDTH) - constant}

    def initial(key, data):
        return {"x": jnp.full(BLOCKS, MODE)}

    site = {"x": ((BLOCKS,), ("item",))}
    return function_model(log_terms, site, name="two_modes", initial=initial, likelihood=("y",))


def two_modes_evidence() -> float:
    """log of N(2; 0, 1 + 0.4^2) to the power of the blocks."""
    return float(BLOCKS * stats.norm(0.0, np.hypot(1.0, WIDTH)).logpdf(MODE))


DIMENSION = 10


def gaussian() -> Model:
    """N(0, I) in 10 dimensions, one block of which nothing is a likelihood."""

    def log_terms(position, data):
        return {"x": -0.5 * jnp.sum(position["x"] ** 2)}

    return function_model(log_terms, {"x": DIMENSION}, name="gaussian")
