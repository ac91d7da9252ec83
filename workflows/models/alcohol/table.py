"""Alcohol: what each group of people adds to the drinks beyond the first, how people report, who did not answer."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workflows.models.alcohol.heaping import WAYS, true_counts
from workflows.models.alcohol.model import GROUPS
from workflows.results.protocol import StoredRun
from workflows.results.tables.draws import INTERVAL, ends, interval, pooled

EVERY = (*GROUPS, "age")
"""All groups, in the order of the model."""
IMPUTED = 400
"""Draws from which unknown counts are imputed, at most; one of each chain at least."""


def lines(run: StoredRun) -> list[str]:
    """Effects as ratios, weights of the ways of reporting, and the people whose count is not known."""
    data = run.data
    posterior = data["posterior"]
    draws = posterior["mu"].size
    title = f"{INTERVAL:.0%} interval"
    return [
        f"Drinks beyond the first, over the geometric mean of the group's categories ({draws:,} draws)",
        f"  {'group':<11}{'category':<11}{'people':>8}{'ratio':>8}{title:>18}",
        *_effects(posterior, data["constant_data"]),
        "Ways of reporting",
        f"  {'way':<30}{'weight':>8}{title:>18}",
        *_weights(posterior),
        *_unknown(posterior, data["observed_data"]),
    ]


def unknown(posterior: Any, observed: Any) -> np.ndarray:
    """Which people [person] have no count; True for those."""
    people, respondents = posterior["propensity"].coords["person"], observed["y"].coords["respondent"]
    return ~np.isin(people.values, respondents.values)


def _effects(posterior: Any, constant: Any) -> Iterator[str]:
    """A row for each category: exp of its effect, against the geometric mean of the group's categories."""
    for group in EVERY:
        effect = posterior[f"effect_{group}"]
        ratios = np.exp(pooled(effect))
        people = np.bincount(constant[f"{group}_of_person"].values, minlength=ratios.shape[1])
        rows = zip(effect.coords[group].values, people, np.median(ratios, axis=0), ends(ratios).T, strict=True)
        for label, count, median, between in rows:
            yield f"  {group:<11}{label!s:<11}{count:>8,}{median:>8.3f}{interval(between, '.3f'):>18}"


def _weights(posterior: Any) -> Iterator[str]:
    weights = pooled(posterior["reporting"])
    for way, mean, between in zip(WAYS[: weights.shape[1]], weights.mean(axis=0), ends(weights).T, strict=True):
        yield f"  {way:<30}{mean:>8.3f}{interval(between, '.3f'):>18}"


def _unknown(posterior: Any, observed: Any) -> list[str]:
    """How many counts are not known, and the mean of what is imputed for them beside that of the others."""
    missing = unknown(posterior, observed)
    if not missing.any():
        return ["Everybody's count is known."]
    propensity = pooled(posterior["propensity"], IMPUTED)[:, missing]
    counts = np.asarray(true_counts(jax.random.key(0), jnp.asarray(propensity))).mean(axis=1)
    mean, between = counts.mean(), interval(ends(counts), ".2f")
    return [
        f"Counts not known: {missing.sum():,} of {missing.size:,} people; their mean count as imputed {mean:.2f} "
        f"{between}, of the others as reported {observed['y'].values.mean():.2f}"
    ]
