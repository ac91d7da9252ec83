"""This project's ensemble on a depth target: the real coordinator, its rounds watched for gradients and moments."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ensemble.fleet.local import Fleet
from ensemble.protocol.flat import under
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult
from kernels.structure.joining import ALL_SITES
from workflows.sampling.problem import named_problem
from workflows.settings.loading import Settings, make_settings
from workflows.studies import watched
from workflows.studies.depth.bias import Trace, trace_of
from workflows.studies.depth.targets import BUILDERS, DepthTarget

SETTINGS: Mapping[str, Any] = {
    "kernels": {"levels": {ALL_SITES: "hmc"}, "jitter": 0.0},
    "scout": {"kernel": "short", "max_rounds": 30},
    "round": {"sweeps": 1},
    "equilibrate": {"max_rounds": 40, "refine_rounds": 40},
    **watched.SETTINGS,
}
"""One trajectory a round, so that every trajectory is seen. The warm-up is what is measured."""
START = 1
"""Seed of the starts of every method."""


def settings(name: str, chains: int, seed: int = 0, changes: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a run without an end."""
    content = {
        **SETTINGS,
        "model": {"name": f"{BUILDERS[name].__module__}:build"},
        "seed": seed,
        "ensemble": {"replicas": chains},
    }
    for key, value in (changes or {}).items():
        content[key] = {**content.get(key, {}), **value} if isinstance(value, Mapping) else value
    return make_settings(content, name=name)


class Seen:
    """What is noted of every round: the gradients of a chain and the second moments of the ensemble."""

    def __init__(self, target: DepthTarget) -> None:
        self.target = target
        self.gradients: list[float] = []
        self.squares: list[np.ndarray] = []

    def look(self, fleet: Fleet, plan: RoundPlan, results: list[RoundResult]) -> None:
        """Note one round, every chain looked at."""
        self.gradients.append(watched.gradients(results))
        self.squares.append(np.mean([self._squares(state) for state in fleet.states()], axis=0))

    def _squares(self, state: Arrays) -> np.ndarray:
        """E[x^2] [d] of a shard."""
        position = {site: np.asarray(x) for site, x in under("rung/0/position", state).items()}
        squares: np.ndarray = np.mean(self.target.flatten(position) ** 2, axis=0)
        return squares


def trace(target: DepthTarget, chosen: Settings, gradients: int) -> Trace:
    """b2 after every round of a run: the gradients that a chain waited for (mean over shards), and the bias.

    It ends with the round that brings the gradients of a chain to `gradients`.
    """
    seen, ensemble = Seen(target), chosen.ensemble
    starts = _starts(target, ensemble.superchains, ensemble.replicas // ensemble.superchains)
    watched.run(chosen, named_problem(chosen), seen.look, starts, lambda: sum(seen.gradients) >= gradients)
    return trace_of(np.cumsum(seen.gradients), np.stack(seen.squares), target.reference)


def _starts(target: DepthTarget, superchains: int, replicas: int) -> list[Arrays]:
    """A start for every replica, the same that the rivals get."""
    position = target.starts(jax.random.key(START), superchains * replicas)
    shards = (slice(number * replicas, (number + 1) * replicas) for number in range(superchains))
    return [{f"rung/0/position/{site}": np.asarray(x[rows]) for site, x in position.items()} for rows in shards]
