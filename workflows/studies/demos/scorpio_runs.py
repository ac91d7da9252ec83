"""Scorpio from starts in the body alone, three ways: what every round leaves behind, noted by a real run.

scout: momentum diffusion with a hot start, approximate. metropolis: the exact moves of the ensemble, no temperature.
tempering: the same with a hot half at T = 3.5 that exchanges blocks with the cold half.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ensemble.fleet.local import Fleet
from ensemble.protocol.plans import RoundPlan, RoundResult
from ensemble.protocol.statistics import summed
from workflows.models.scorpio.model import WEIGHTS, exact_draws, responsibilities
from workflows.sampling.problem import named_problem
from workflows.sampling.run_settings import run_settings
from workflows.settings.loading import make_settings
from workflows.studies import watched

COPIES = 160
"""Independent scorpios of each replica: fewer than share a common law (ensemble.adaptation.common_laws), which would
fill the modes without temperatures, as it can for blocks that are alike."""
REPLICAS, SUPERCHAINS = 40, 8
SWEEPS = 8
"""Of a round."""
POOLED = 5
"""Rounds between those whose states are pooled."""
SEED = 0

RUNS: Mapping[str, Mapping[str, Any]] = {
    "scout": {"scout": {"kernel": "momentum_diffusion"}, "momentum_diffusion": {"hot_start": 3.0}},
    "metropolis": {"scout": {"kernel": "none"}},
    "tempering": {
        "scout": {"kernel": "none"},
        "tempering": {"temperatures": [1.0, 3.5], "stages": ["equilibrate", "sample"]},
    },
}
"""Where each differs from the common settings."""


class Flow(NamedTuple):
    """Of every round: accepted, the share of exchanges between cold and hot that were accepted; gained, what they added
    to the log density of a cold scorpio in a round. Positive: states of the tails were ejected into the hot half."""

    accepted: np.ndarray
    gained: np.ndarray


class Watch(NamedTuple):
    """points [n, 2]: cold states after the last round; pooled [m, 2]: after every POOLED of the last half of the rounds
    (of a scout, points); sweeps [rounds], trajectories of a scout; cold, hot [rounds, 4]: mean responsibility of each
    component over the states of that temperature (hot is empty without one); flow: None without exchanges; scouting:
    whether it is a scout's."""

    points: np.ndarray
    pooled: np.ndarray
    sweeps: np.ndarray
    cold: np.ndarray
    hot: np.ndarray
    flow: Flow | None
    scouting: bool


class Noting:
    """Looks at the fleet after every round of the given stages; call `watch` at the end."""

    def __init__(self, scouting: bool) -> None:
        self.scouting, self.ended = scouting, False
        self.cold: list[np.ndarray] = []
        self.masses: list[np.ndarray] = []
        self.hot: list[np.ndarray] = []
        self.sweeps: list[int] = []
        self.exchanged: list[tuple[float, float]] = []

    def look(self, fleet: Fleet, plan: RoundPlan, results: list[RoundResult]) -> None:
        """Note one round, unless it follows a scout that has ended."""
        self.ended = self.scouting and not plan.stage.scouts
        if self.ended:
            return
        states = fleet.states()
        cold, hot = _points(states, 0), _points(states, 1)
        self.cold.append(cold)
        self.masses.append(masses(cold))
        # A scout's round is one trajectory, whatever the sweeps of the others.
        self.sweeps.append(1 if self.scouting else plan.sweeps)
        if len(hot):
            self.hot.append(masses(hot))
            self.exchanged.append(_exchanged(results))

    def watch(self) -> Watch:
        """What was noted."""
        last = len(self.cold) // 2
        return Watch(
            points=self.cold[-1],
            pooled=self.cold[-1] if self.scouting else np.concatenate(self.cold[:last:-POOLED]),
            sweeps=np.cumsum(self.sweeps),
            cold=np.array(self.masses),
            hot=np.array(self.hot).reshape(-1, len(WEIGHTS)),
            flow=Flow(*np.array(self.exchanged).T) if self.hot else None,
            scouting=self.scouting,
        )


def watch(name: str, sweeps: int, copies: int = COPIES) -> Watch:
    """One of RUNS by name: the scout until its stage ends, the others for so many sweeps."""
    chosen = make_settings(_content(name, sweeps, copies), name=name)
    problem = named_problem(chosen)
    noting = Noting(run_settings(chosen, problem).stages.scouts)
    watched.run(chosen, problem, noting.look, stop_requested=lambda: noting.ended)
    return noting.watch()


def _content(name: str, sweeps: int, copies: int) -> dict[str, Any]:
    return {
        **watched.SETTINGS,
        "goals": {"draws": 4, "ess": 1e9},
        "model": {"name": "scorpio", "copies": copies},
        "seed": SEED,
        "ensemble": {"replicas": REPLICAS, "superchains": SUPERCHAINS},
        "kernels": {"whole": "none"},
        "round": {"sweeps": SWEEPS},
        "limits": {"sweeps": sweeps},
        **RUNS[name],
    }


def masses(points: np.ndarray) -> np.ndarray:
    """Mean responsibility of each component over points [n, 2]: of exact draws, the components' weights."""
    return np.asarray(responsibilities(jnp.asarray(points[:, 0]), jnp.asarray(points[:, 1])).mean(axis=1))


def quantiles(points: np.ndarray, exact: np.ndarray, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles [count, 2] of x and y, of the points and of exact draws, at evenly spaced probabilities."""
    probabilities = (np.arange(count) + 0.5) / count
    return np.quantile(points, probabilities, axis=0), np.quantile(exact, probabilities, axis=0)


def exact(count: int) -> np.ndarray:
    """Exact draws [count, 2] to compare with."""
    return exact_draws(np.random.default_rng(SEED), count)


def _points(states: list[dict[str, np.ndarray]], rung: int) -> np.ndarray:
    """The scorpios of all shards and replicas at a rung, [n, 2]; none where the rung is not in use."""
    found = [
        np.stack([state[f"rung/{rung}/position/{site}"].ravel() for site in ("x", "y")], axis=1)
        for state in states
        if f"rung/{rung}/position/x" in state
    ]
    return np.concatenate(found) if found else np.empty((0, 2))


def _exchanged(results: list[RoundResult]) -> tuple[float, float]:
    """The two numbers of Flow for one round."""
    swaps, ladder = summed([(result.statistics.swaps["copy"][0], result.statistics.ladder) for result in results])
    assert ladder is not None
    accepted, tried = (float(part.sum()) for part in swaps)
    scorpios = tried / SWEEPS
    return accepted / tried, float(ladder.flow) / scorpios
