"""Census: where a year of education earns most."""

import numpy as np

from workflows.models.census.model import COEFFICIENTS, UNIT_EDUCATION
from workflows.results.protocol import StoredRun
from workflows.results.tables.draws import INTERVAL, ROWS, ends, interval, pooled

EDUCATION = COEFFICIENTS.index("education")


def yearly(coefficient: np.ndarray) -> np.ndarray:
    """What a year of education adds to income, in percent: 100 (exp(b / 2) - 1), b the coefficient, of two years."""
    return 100.0 * np.expm1(coefficient / UNIT_EDUCATION)


def workers_of(areas: int, area_of_worker: np.ndarray) -> np.ndarray:
    """Numbers of workers [area]."""
    return np.bincount(area_of_worker, minlength=areas)


def lines(run: StoredRun) -> list[str]:
    """Return to a year of education of the country, and of the areas with the highest medians."""
    data = run.data
    posterior, area_of_worker = data["posterior"], data["constant_data"]["area_of_worker"].values
    country = yearly(pooled(posterior["mu_education"]))
    draws = yearly(pooled(posterior["coefficients"][..., EDUCATION]))
    workers, median = workers_of(draws.shape[1], area_of_worker), np.median(draws, axis=0)
    order = np.argsort(-median, kind="stable")[:ROWS]
    names = posterior["coefficients"].coords["area"].values
    return [
        f"Return to a year of education, percent of income ({len(draws):,} draws, {len(workers):,} areas)",
        f"  {'':<26}{'workers':>9}{'median':>9}{f'{INTERVAL:.0%} interval':>18}",
        _row("country", len(area_of_worker), np.median(country), ends(country)),
        *(_row(names[area], workers[area], median[area], ends(draws[:, area])) for area in order),
    ]


def _row(name: str, workers: int, median: float, between: np.ndarray) -> str:
    return f"  {name!s:<26}{workers:>9,}{median:>9.2f}{interval(between, '.2f'):>18}"
