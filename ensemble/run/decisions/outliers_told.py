"""What a user is told of single replicas that stood where the ensemble is not: which, in what, and what to do."""

from collections.abc import Iterable

import numpy as np

from ensemble.protocol.watched import coordinate_name
from ensemble.run.decisions.policies import judgement
from ensemble.run.ledger import Ledger
from kernels.structure.levels import Structure

NAMED = 6
"""Replicas that a sentence names at most."""


def put_elsewhere(replicas: Iterable[int], ledger: Ledger, structure: Structure) -> str | None:
    """Of replicas that take the places of others in the next round; None where there are none."""
    if not (named := _named(tuple(replicas), ledger, structure)):
        return None
    return (
        f"warm-up found single chains where no other is: {named}. They take the places of others. Were there a mode of "
        "the posterior, it would be left out: start more chains (ensemble.replicas), or use temperatures "
        "(tempering.swaps: whole), where you expect one"
    )


def at_the_freeze(ledger: Ledger, structure: Structure, dimension: int) -> list[str]:
    """Of replicas that are outside the typical range as `sample` begins. dimension: of the model."""
    found, told = judgement(ledger, dimension), []
    if named := _named(found.astray + found.coming, ledger, structure):
        told.append(
            f"warm-up ended while chains were on their way: {named}. Raise equilibrate.max_rounds, or start nearer "
            "(start.kind, start.radius)"
        )
    if named := _named(found.apart, ledger, structure):
        told.append(
            f"chains stand apart from the ensemble, in a mode of their own as it seems: {named}. Its weight is that of "
            "the starts unless chains come and go: temperatures let them (tempering.swaps: whole)"
        )
    return told


def _named(replicas: tuple[int, ...], ledger: Ledger, structure: Structure) -> str:
    """Which chains are where, beside the ensemble's median and quartiles."""
    parts = [_place(replica, ledger, structure) for replica in replicas[:NAMED]]
    more = f", and {len(replicas) - NAMED} more" if len(replicas) > NAMED else ""
    return "; ".join(parts) + more


def _place(replica: int, ledger: Ledger, structure: Structure) -> str:
    outlier = ledger.outliers[str(replica)]
    low, _, high = np.asarray(ledger.quartiles)[:, outlier.coordinate]
    return (
        f"chain {replica} at {coordinate_name(structure, outlier.coordinate)} = {outlier.values[-1]:.4g} (half of all "
        f"chains between {low:.4g} and {high:.4g})"
    )
