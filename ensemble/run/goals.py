"""The goals of a run: what a check of the diagnostics found, and which goals that meets."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from ensemble.diagnostics.convergence import Diagnostics
from ensemble.diagnostics.coordinates import Coordinates, every_coordinate
from ensemble.diagnostics.single_chains import furthest_limit
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
    stored_ess_min, stored_ess_shared_min: the same of the stored draws.
    furthest_max: how far the most outlying chain of any coordinate is, see diagnostics.single_chains.
    furthest_limit: what sound chains stay below.
    tail_ess_min: smallest effective sample size of how often a coordinate lies in a tail, where tails are looked at.
    stored_tail_ess_min: the same of the stored draws.
    tail_rhat_max: largest nested R-hat of that.
    drift_max: how far the first part of the stage lies from the rest, in standard errors, of any coordinate.
    drift_limit: what a stage without a drift stays below.
    log_density_ess: effective sample size of the log density.
    stored_log_density_ess: the same of the stored draws.
    log_density_rhat: nested R-hat of the log density.
    failed: share of the stage's trajectories that were nearly certain to be rejected, of those that double.
    """

    rounds: int = 0
    rhat_max: float | None = None
    rhat_shared_max: float | None = None
    ess_min: float | None = None
    ess_median: float | None = None
    ess_shared_min: float | None = None
    stored_ess_min: float | None = None
    stored_ess_shared_min: float | None = None
    furthest_max: float | None = None
    furthest_limit: float | None = None
    tail_ess_min: float | None = None
    stored_tail_ess_min: float | None = None
    tail_rhat_max: float | None = None
    drift_max: float | None = None
    drift_limit: float | None = None
    log_density_ess: float | None = None
    stored_log_density_ess: float | None = None
    log_density_rhat: float | None = None
    failed: float | None = None


def check_goals(diagnostics: Diagnostics, structure: Structure, settings: RunSettings, draws: int) -> GoalCheck:
    """What the diagnostics say of all coordinates of the run. draws: stored ones of each chain."""
    shard = settings.shard
    found = every_coordinate(structure, diagnostics, shared=shard.shared, auxiliary=shard.auxiliary)
    sweeps = Thinned(
        states=diagnostics.rounds * settings.sweeps * settings.replicas,
        stored=draws * shard.stored * settings.superchains,
        apart=settings.sweeps * settings.record.thin / shard.draws,
    )
    check = goal_check(found, diagnostics.rounds, sweeps, settings.replicas)
    height = np.asarray([diagnostics.log_density_ess])
    return check._replace(
        log_density_ess=_least(height),
        stored_log_density_ess=_least(stored_ess(height, sweeps)),
        log_density_rhat=_least(np.asarray([diagnostics.log_density_rhat])),
    )


class Thinned(NamedTuple):
    """Which of the states of all sweeps are stored.

    states: of all sweeps and chains.
    stored: draws of all chains.
    apart: sweeps from one stored draw of a chain to the next.
    """

    states: int
    stored: int
    apart: float


def stored_ess(ess: np.ndarray, thinned: Thinned) -> np.ndarray:
    """The effective sample size of the stored draws, given that of all sweeps.

    As if the autocorrelations were rho^k: states / ess = (1 + rho) / (1 - rho) tells rho, and draws m sweeps apart have
    rho^m: stored (1 - rho^m) / (1 + rho^m). Where sweeps are better than independent, stored draws are worth as much
    each as a sweep. Never more than `ess`.
    """
    time = thinned.states / ess
    rho = np.clip((time - 1.0) / (time + 1.0), 0.0, 1.0)
    left = rho**thinned.apart
    return np.minimum(ess, thinned.stored * (1.0 - left) / (1.0 + left) / np.minimum(time, 1.0))


PARTS = 8
"""First parts that drift is looked for in, about: each is half as long as the next."""


def drift_limit(coordinates: int) -> float:
    """What the drift of a stage in equilibrium stays below for all coordinates and first parts, 999 times in 1,000,
    with a tenth more for the errors themselves, which are known from twenty batches a chain."""
    return 1.1 * float(-ndtri(0.5e-3 / (PARTS * coordinates)))


def goal_check(found: Coordinates, rounds: int, thinned: Thinned, chains: int) -> GoalCheck:
    """Summarise all coordinates. NaN counts as the worst, but for chains too few to tell one from the others."""
    ess, rhat, furthest, drift, tail_ess, tail_rhat, shared = found
    check = GoalCheck(rounds, rhat_max=_worst(rhat), rhat_shared_max=_worst(rhat[shared]))
    if np.isnan(ess).any():
        return check
    stored = stored_ess(ess, thinned)
    return check._replace(
        ess_min=float(ess.min()),
        ess_median=float(np.median(ess)),
        ess_shared_min=float(ess[shared].min()) if shared.any() else None,
        stored_ess_min=float(stored.min()),
        stored_ess_shared_min=float(stored[shared].min()) if shared.any() else None,
        furthest_max=None if np.isnan(furthest).all() else float(np.nanmax(furthest)),
        furthest_limit=furthest_limit(len(ess), chains),
        tail_ess_min=_least(tail_ess),
        stored_tail_ess_min=_least(stored_ess(tail_ess, thinned)),
        tail_rhat_max=None if np.isnan(tail_rhat).all() else float(np.nanmax(tail_rhat)),
        drift_max=None if np.isnan(drift).all() else float(np.nanmax(np.abs(drift))),
        drift_limit=drift_limit(len(ess)),
    )


def _worst(rhat: np.ndarray) -> float | None:
    if not rhat.size:
        return None
    return None if np.isnan(rhat).any() else float(rhat.max())


def _least(values: np.ndarray) -> float | None:
    """The smallest of those that are known."""
    return None if np.isnan(values).all() else float(np.nanmin(values))


def ess_of_goals(check: GoalCheck, *, of_draws: bool) -> tuple[float | None, ...]:
    """The effective sample sizes that goals are about: the smallest of all coordinates, of the shared ones, and of the
    tails, and that of the log density.

    of_draws: those of the stored draws, not of all sweeps.
    """
    if of_draws:
        stored = check.stored_ess_min, check.stored_ess_shared_min, check.stored_tail_ess_min
        return (*stored, check.stored_log_density_ess)
    return check.ess_min, check.ess_shared_min, check.tail_ess_min, check.log_density_ess


MOST_FAILED = 0.05
"""Share of trajectories that may be nearly certain to be rejected. Steps that are right for most places, with an
acceptance of .8 on average, fail in .1 to .4% of the trajectories on densities without a neck; in the mouth of a
funnel, whose neck is then left out, in 19 to 22%, and none of them diverges."""


def goals_met(check: GoalCheck, draws: int, strays: int, settings: RunSettings) -> dict[str, bool]:
    """Which goals are met, by their names; those of shared parameters only where there are any.

    draws: stored draws a chain. strays: chains that have been where no posterior explains the log density.
    """
    goals = settings.goals
    ess, shared_ess, tail_ess, height = ess_of_goals(check, of_draws=goals.of_draws)
    known = check.rounds > 0
    outlying = check.furthest_max is not None and check.furthest_max > (check.furthest_limit or np.inf)
    met = {
        "ess": ess is not None and ess >= goals.ess,
        "rhat": check.rhat_max is not None and check.rhat_max <= goals.rhat,
        # Tails that nothing is known of are those of levels too wide to look at.
        "tail_ess": known and (tail_ess is None or tail_ess >= goals.ess),
        "tail_rhat": known and _agrees(check.tail_rhat_max, goals.rhat),
        "log_density": known
        and _agrees(check.log_density_rhat, goals.rhat)
        and (height is None or height >= goals.ess),
        "trajectories": known and (check.failed is None or check.failed <= MOST_FAILED),
        "draws": draws >= goals.draws,
        "chains": known and not outlying and not strays,
        "drift": known and not (check.drift_max is not None and check.drift_max > (check.drift_limit or np.inf)),
    }
    if settings.shard.shared:
        met["shared_ess"] = shared_ess is not None and shared_ess >= goals.shared_ess
        met["shared_rhat"] = check.rhat_shared_max is not None and check.rhat_shared_max <= goals.shared_rhat
    return met


def _agrees(rhat: float | None, limit: float) -> bool:
    """Whether a nested R-hat is within the limit, or not known."""
    return rhat is None or rhat <= limit
