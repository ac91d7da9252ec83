"""The posterior of the shared parameters: those whose sites have no plates."""

from itertools import islice
from typing import Any

import numpy as np

from workflows.results.report.coordinates import Site, rhat_text
from workflows.results.report.facts import Facts

MOST = 40
"""Rows of the table at most."""


def shared_rows(facts: Facts) -> list[dict[str, Any]]:
    """Mean, sd and 90% interval of each scalar on its own scale, with its diagnostics."""
    every = ((site, index) for site in facts.sites if site.shared for index in np.ndindex(site.ess.shape))
    return [_row(facts, site, index) for site, index in islice(every, MOST) if facts.has(site.name)]


def _row(facts: Facts, site: Site, index: tuple[int, ...]) -> dict[str, Any]:
    draws = facts.values(site.name, index)
    low, high = np.quantile(draws, [0.05, 0.95])
    return {
        "parameter": site.label(index),
        "mean": float(draws.mean()),
        "sd": float(draws.std(ddof=1)),
        "5%": float(low),
        "95%": float(high),
        "ESS": _known(site.ess[index]),
        "R-hat": rhat_text(site.rhat[index]),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
