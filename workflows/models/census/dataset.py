"""Weekly incomes of workers in public-use microdata areas (US Census 2000): reading, areas, states and subsets."""

import gzip
from typing import NamedTuple

import numpy as np

from workflows.modelling.datasets import read_verified
from workflows.modelling.subsets import subset


class Census(NamedTuple):
    """Workers of all areas, or of some of them.

    log_income: [worker] log of the weekly income in dollars. education, experience: [worker] years. area: [worker]
    index of the worker's area. areas: [area] names, "Georgia 1800". state: [area] index of its state. states: [state].
    """

    log_income: np.ndarray
    education: np.ndarray
    experience: np.ndarray
    area: np.ndarray
    areas: np.ndarray
    state: np.ndarray
    states: np.ndarray


def load(areas: int | None = None) -> Census:
    """All workers in file order, or those of `areas` areas chosen with a fixed seed.

    Raises ValueError when `areas` is not between 1 and the number of areas; DatasetError when a file was changed.
    """
    lines = gzip.decompress(read_verified("census", "workers.tsv.gz")).decode().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    places = [(row[0], int(row[1])) for row in rows]
    every = sorted(set(places))
    chosen = [every[index] for index in subset(len(every), areas, "areas")]
    states = sorted({state for state, _ in chosen})
    number = {place: index for index, place in enumerate(chosen)}
    kept = [(row, number[place]) for row, place in zip(rows, places, strict=True) if place in number]
    educ, income, exper = (np.array([float(row[column]) for row, _ in kept]) for column in (2, 3, 4))
    return Census(
        log_income=income,
        education=educ,
        experience=exper,
        area=np.array([area for _, area in kept]),
        areas=np.array([f"{state} {puma}" for state, puma in chosen]),
        state=np.array([states.index(state) for state, _ in chosen]),
        states=np.array(states),
    )
