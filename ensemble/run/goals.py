"""The goals of a run: what a check of the diagnostics found, and which goals that meets."""

from typing import NamedTuple

import numpy as np

from ensemble.diagnostics.convergence import Diagnostics
from ensemble.diagnostics.coordinates import every_coordinate
from ensemble.run.settings import RunSettings
from kernels.structure.levels import Structure


class GoalCheck(NamedTuple):
    """What the last check found; None before the first, and where there is nothing of the kind.

    rounds: how many it is over.
    rhat_max: largest nested R-hat over all coordinates.
    rhat_shared_max: the same over the shared ones.
    ess_min: smallest effective sample size over all coordinates.
    ess_median: the median of theirs.
    ess_shared_min: the smallest over the shared ones.
    """

    rounds: int = 0
    rhat_max: float | None = None
    rhat_shared_max: float | None = None
    ess_min: float | None = None
    ess_median: float | None = None
    ess_shared_min: float | None = None


def check_goals(diagnostics: Diagnostics, structure: Structure, settings: RunSettings) -> GoalCheck:
    """What the diagnostics say of all coordinates of the run."""
    ess, rhat, shared = every_coordinate(structure, diagnostics, settings.shard.shared, settings.shard.auxiliary)
    return goal_check(ess, rhat, shared, diagnostics.rounds)


def goal_check(ess: np.ndarray, rhat: np.ndarray, shared: np.ndarray, rounds: int) -> GoalCheck:
    """Summarise flat arrays over all coordinates; shared: which are of unplated sites. NaN counts as the worst."""
    if np.isnan(ess).any():
        return GoalCheck(rounds, rhat_max=_worst(rhat), rhat_shared_max=_worst(rhat[shared]))
    return GoalCheck(
        rounds,
        rhat_max=_worst(rhat),
        rhat_shared_max=_worst(rhat[shared]),
        ess_min=float(ess.min()),
        ess_median=float(np.median(ess)),
        ess_shared_min=float(ess[shared].min()) if shared.any() else None,
    )


def _worst(rhat: np.ndarray) -> float | None:
    if not rhat.size:
        return None
    return None if np.isnan(rhat).any() else float(rhat.max())


def goals_met(check: GoalCheck, draws: int, strays: int, settings: RunSettings) -> dict[str, bool]:
    """Which goals are met, by their names; those of shared parameters only where there are any.

    draws: stored draws a chain. strays: ends of rounds where no posterior explains a chain's log density.
    """
    goals = settings.goals
    met = {
        "ess": check.ess_min is not None and check.ess_min >= goals.ess,
        "rhat": check.rhat_max is not None and check.rhat_max <= goals.rhat,
        "draws": draws >= goals.draws,
        "strays": not strays,
    }
    if settings.shard.shared:
        met["shared_ess"] = check.ess_shared_min is not None and check.ess_shared_min >= goals.shared_ess
        met["shared_rhat"] = check.rhat_shared_max is not None and check.rhat_shared_max <= goals.shared_rhat
    return met
