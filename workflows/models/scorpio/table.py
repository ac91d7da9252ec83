"""Scorpio: the mass of each mode beside its weight."""

import math

import numpy as np

from workflows.models.scorpio.model import WEIGHTS, responsibilities
from workflows.results.protocol import StoredRun


def lines(run: StoredRun) -> list[str]:
    """The mass of each mode: its mean responsibility over draws and copies, whose expectation is its weight.

    The Monte Carlo error comes from the superchains, which are independent.
    """
    posterior = run.data["posterior"]
    superchains = run.attributes["settings"]["ensemble"]["superchains"]
    copies = posterior.sizes["copy"]
    by_superchain = np.stack(
        [
            np.asarray(responsibilities(x, y)).reshape(len(WEIGHTS), -1).mean(axis=1)
            for x, y in zip(
                *(np.array_split(posterior[name].values.astype(float), superchains) for name in ("x", "y")), strict=True
            )
        ]
    )
    mass, error = by_superchain.mean(axis=0), by_superchain.std(axis=0, ddof=1) / math.sqrt(superchains)
    table = [f"Masses of the modes ({copies:,} copies)", f"  {'mode':<10}{'mass':>9}{'error':>9}{'exact':>8}"]
    for name, *row in zip(("body", "tail", "tail", "stinger"), mass, error, WEIGHTS, strict=True):
        table.append(f"  {name:<10}{row[0]:>9.4f}{row[1]:>9.4f}{row[2]:>8.1f}")
    return table
