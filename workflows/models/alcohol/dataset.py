"""Drinks per drinking day of 26,946 people (NESARC, wave 1): reading, groups of people, unknown answers, subsets."""

import gzip
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from workflows.modelling.datasets import read_verified
from workflows.modelling.subsets import subset

UNKNOWN = 99
"""What the file says of a number of drinks that is not known."""

AGES = np.array([18, *range(20, 85, 5)])
"""First years of the age groups."""

COLUMNS = {"region": "region", "sex": "sex", "education": "educ", "ethnicity": "ethrace2a", "marital": "marital"}
"""Group -> its column in the file."""

SEXES = {"0": "men", "1": "women"}


class Alcohol(NamedTuple):
    """People who drink: all of them, or some.

    drinks: [person] drinks per drinking day, 0 where not known. known: [person] whether they are. people: [person]
    numbers of the respondents. age: [person] years. groups: name -> [person] index of the person's category; region,
    sex, education, ethnicity, marital, age. categories: name -> labels of all categories, whoever was chosen.
    """

    drinks: np.ndarray
    known: np.ndarray
    people: np.ndarray
    age: np.ndarray
    groups: Mapping[str, np.ndarray]
    categories: Mapping[str, np.ndarray]


def load(people: int | None = None) -> Alcohol:
    """Everybody in file order, or `people` of them chosen with a fixed seed and sorted.

    Raises ValueError when `people` is not between 1 and the number of people; DatasetError when a file was changed.
    """
    lines = gzip.decompress(read_verified("alcohol", "people.tsv.gz")).decode().splitlines()
    table = np.array([line.split("\t") for line in lines[1:]], dtype=np.int64)
    columns = dict(zip(lines[0].split("\t"), table.T, strict=True))
    groups, categories = {}, {}
    for group, column in COLUMNS.items():
        codes, groups[group] = np.unique(columns[column], return_inverse=True)
        categories[group] = codes.astype(str)
    categories["sex"] = np.array([SEXES[code] for code in categories["sex"]])
    groups["age"] = np.searchsorted(AGES, columns["age"], side="right") - 1
    categories["age"] = age_labels()
    known = columns["s2aq8b"] != UNKNOWN
    kept = subset(len(table), people, "people")
    return Alcohol(
        drinks=np.where(known, columns["s2aq8b"], 0)[kept],
        known=known[kept],
        people=columns["idnum"][kept],
        age=columns["age"][kept],
        groups={group: index[kept] for group, index in groups.items()},
        categories=categories,
    )


def age_labels() -> np.ndarray:
    """Labels of the age groups: "18-19", "20-24", ..., "80+"."""
    closed = [f"{first}-{following - 1}" for first, following in pairwise(AGES)]
    return np.array([*closed, f"{AGES[-1]}+"])
