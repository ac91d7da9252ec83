"""Sizes of the depth benchmark's targets, and moments that are known."""

import numpy as np

from workflows.studies.depth.bias import Moments

DIMENSIONS = {"icg": 100, "german_credit": 51, "brownian": 32, "item_response": 501, "stochastic_volatility": 2429}


def unit_moments(d: int) -> Moments:
    """Moments of d independent standard normals."""
    return Moments(np.zeros(d), np.ones(d), np.full(d, 2.0), np.zeros(d), np.zeros(d))
