"""Alcohol: shares of each count, and who reports how many, in new people of the same groups.

Each person's own deviation follows that person's one answer: predictions given it would hide what the model cannot say.
New people, with deviations drawn from their law, do not.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family, in_classes
from workflows.models.alcohol.dataset import Alcohol
from workflows.models.alcohol.heaping import HeapedCounts

LAST = 30
"""The largest count by itself; those above are counted together."""
MATTERS = 0.01
"""Share of people."""
BY_GROUP = 0.05
"""Share of a group of some hundreds."""
MANY = 5
"""Drinks a day of what the survey's authors call heavy drinking."""


def checks(survey: Alcohol, answered: np.ndarray) -> tuple[Check, ...]:
    """answered: [respondent] which people they are."""
    age, sex = (survey.groups[name][answered] for name in ("age", "sex"))
    there, cell = np.unique(np.stack([sex, age]), axis=1, return_inverse=True)
    names = tuple(f"{survey.categories['sex'][s]} {survey.categories['age'][a]}" for s, a in there.T)
    cell = cell.reshape(-1).astype(np.int32)
    return (
        Check(
            Family(
                "shares of each count",
                (*map(str, range(1, LAST + 1)), f">{LAST}"),
                MATTERS,
                share=True,
                about="Shares of people who report each number of drinks, among new people of the same groups.",
                ordered=True,
            ),
            _shares,
            new_people,
        ),
        _by_group("a single drink by sex and age", names, cell, 1, 1),
        _by_group(f"{MANY} drinks or more by sex and age", names, cell, MANY, None),
    )


def new_people(key: jax.Array, values: Position, data: Data) -> Position:
    """Reports of new people of the respondents' groups."""
    own_key, report_key = jax.random.split(key)
    expected = (values["propensity"] - values["deviation"])[data["answered"]]
    own = values["sd_person"] * jax.random.normal(own_key, expected.shape)
    return {"y": HeapedCounts(expected + own, values["reporting"]).sample(report_key)}


def _shares(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
    y = outcomes["y"]
    tally = jnp.zeros(LAST + 1).at[jnp.minimum(y, LAST + 1) - 1].add(1.0)
    return tally / y.size


def _by_group(name: str, names: tuple[str, ...], cell: np.ndarray, least: int, most: int | None) -> Check:
    about = f"Shares of people of each sex and age who report {least}{' or more' if most is None else ''}."
    family = Family(name, names, BY_GROUP, share=True, about=about)

    def statistic(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        y = outcomes["y"]
        inside = (y >= least) if most is None else (y >= least) & (y <= most)
        return in_classes(inside, cell, len(names))

    return Check(family, statistic, new_people)
