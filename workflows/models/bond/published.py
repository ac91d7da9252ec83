"""The constants of the bond model: maturities, buckets of quantity, the weekly step, true parameters and first states.

Years, and rates per year; wealth in units of its first value.
"""

import numpy as np

LABELS = ("3m", "1y", "2y", "5y", "7y", "10y", "15y", "20y", "30y")
"""Of the maturities."""
MATURITIES = np.array([0.25, 1.0, 2.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0])

WIDTHS = np.array([0.625, 0.875, 2.0, 2.5, 2.5, 4.0, 5.0, 7.5, 10.0])
"""Delta^s: of the bucket of maturities about each."""
QUANTITY = 1.0 / 35.0
"""X^s, the same in every bucket and week."""
SHARES = QUANTITY * WIDTHS
"""X^s Delta^s, which sum to 1."""

DT = 1.0 / 52.0
WEEKS = 2080
FIRST_RATE, FIRST_WEALTH = 0.03, 1.0

TRUTH = {
    "gamma": np.array(1.0),
    "sigma": 0.01 * MATURITIES**0.9,
    "kappa": np.array(0.3),
    "sigma_r": np.array(0.01),
    "omega": np.array(0.05),
    "sigma_w": np.array(0.02),
    "rbar": np.array(0.03),
}
"""What the data are drawn with."""

FIRST_PRICE = -TRUTH["rbar"] * MATURITIES
"""log P_0: a flat curve at rbar. Only changes of log prices enter the likelihood."""
