"""What is known of the curves of 272 adults: population means, standard deviations between subjects, signs; an example.

alpha, beta, sigma in milliseconds, tau and delta in minutes, lambda and phi per minute.
"""

import numpy as np

from workflows.models.rri.curve import NAMES, Curve

SUBJECTS = 272
"""Adults behind the published values."""

PARAMETERS = (*NAMES, "sigma")
"""Those of a subject: the curve's, and the standard deviation of the noise."""

MEANS = np.array([861.8, -345.5, 0.84, -3.05, -2.60, 6.71, 3.24, 27.6])
SDS = np.array([113.0, 129.0, 0.144, 1.15, 1.20, 0.96, 1.65, 9.8])
"""Means, and standard deviations between subjects, in the order of PARAMETERS."""

SIGNS = np.array([1, -1, 1, -1, -1, 1, 1, 1])
"""lambda, phi, beta < 0 and delta, sigma > 0 leave one of 16 images (see mirrors); alpha, c, tau > 0 by meaning."""

EXAMPLE = Curve(800.0, -300.0, 0.8, -2.0, -1.0, 6.0, 3.0)
"""The example subject's curve."""

EXAMPLE_SIGMA = 10.0
"""The standard deviation of its noise, where that is constant."""

EXAMPLE_NOISE = Curve(30.0, -30.0, 0.7, -1.0, -0.8, 5.0, 3.0)
"""The curve of its noise, where that varies."""

MINUTES = 15.0
"""Length of a recording."""
