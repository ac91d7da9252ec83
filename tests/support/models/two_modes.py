"""Two normals far from each other: one of which has none of the weight, or as much as the other."""

import jax.numpy as jnp

from maxwell import function_model

D = 20
FAR, LOST = 60.0, 300.0
"""Distance of the second mode along the first coordinate, and what its log density lacks."""


def lost_mode():
    """x normal in 20 dimensions with sds from 1 to 10, and e^-300 of it about x[0] = 60, where every fifth start of a
    wide box goes."""

    sds = jnp.geomspace(1.0, 10.0, D - 1)

    def log_terms(position, data):
        x = position["x"]
        rest = -0.5 * jnp.sum((x[1:] / sds) ** 2)
        return {"x": rest + jnp.logaddexp(-0.5 * x[0] ** 2, -0.5 * (x[0] - FAR) ** 2 - LOST)}

    return function_model(log_terms, {"x": D})


MANY = 100
"""Coordinates of equal_modes: more than a log density can tell of."""


def equal_modes():
    """x standard normal in 100 dimensions about x[0] = 0 and, with the same weight, about x[0] = 60."""

    def log_terms(position, data):
        x = position["x"]
        rest = -0.5 * jnp.sum(x[1:] ** 2)
        return {"x": rest + jnp.logaddexp(-0.5 * x[0] ** 2, -0.5 * (x[0] - FAR) ** 2)}

    return function_model(log_terms, {"x": MANY})
