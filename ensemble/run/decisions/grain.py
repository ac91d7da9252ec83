"""Whether the type that draws are stored in is fine enough for their spread."""

from collections.abc import Mapping

import numpy as np

from ensemble.protocol.plans import RoundResult
from ensemble.store.contents import Variable

FINE = 0.01
"""Spacing of stored numbers, in standard deviations, up to which it changes no summary."""


def coarse(results: list[RoundResult], variables: Mapping[str, Variable]) -> str | None:
    """A sentence naming the variables whose stored numbers would lie further apart than FINE standard deviations, at
    the first draws of all chains; None where there are none. What does not vary at all is left out."""
    found = []
    for name, variable in variables.items():
        if variable.dtype != "float32":
            continue
        draws = np.concatenate([result.draws["posterior"][name] for result in results], axis=1)
        across = (0, 1)
        spacing, spread = np.abs(np.spacing(draws.mean(axis=across).astype(np.float32))), draws.std(axis=across)
        if np.any((spread > 0) & (spacing > FINE * spread)):
            found.append(name)
    if not found:
        return None
    return (
        f"the posterior of {', '.join(found)} is too narrow for single precision, in which it is stored: its spread "
        "will be wrong. Allow a larger store (store.budget_mb) for double precision, "
        "store fewer chains (store.chains), or sample the difference from a constant"
    )
