"""How far each goal of a run is, as its summary says it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from workflows.results.inspect import goal_values

TITLES = {
    "ess": "ESS of every coordinate",
    "rhat": "Nested R-hat of every coordinate",
    "tail_ess": "ESS of the tails",
    "tail_rhat": "Nested R-hat of the tails",
    "shared_ess": "ESS of the shared parameters",
    "shared_rhat": "Nested R-hat of the shared parameters",
    "log_density": "ESS of the log density",
    "trajectories": "Trajectories that fail",
    "draws": "Stored draws a chain",
    "chains": "Single chains",
    "drift": "Beginning and end",
}
"""Every goal in words, in the order in which they are told."""

OF_CHAINS = {
    "chains": ("furthest_chain", "furthest_chain_limit"),
    "drift": ("drift", "drift_limit"),
    "trajectories": ("failed_trajectories", "failed_trajectories_limit"),
}
"""What is known of goals without a setting: what was reached, and what chance explains."""


class Goal(NamedTuple):
    """How far a goal is.

    name: in the settings, or of what is looked at without one.
    met: whether it is.
    reached: the present number; None where it is not known yet.
    wanted: what it should come to, or stay below; None where that is not known yet.
    """

    name: str
    met: bool
    reached: float | None
    wanted: float | None

    @property
    def title(self) -> str:
        """The goal in words."""
        return TITLES.get(self.name, self.name)

    @property
    def share(self) -> float | None:
        """How much of the way is done, in [0, 1]; None where it is not known.

        Effective sample sizes and draws grow with the sweeps, and R-hat^2 - 1 falls as 1 / sweeps in equilibrium, so
        that a share of one half asks for as many sweeps again. There is none for what is missed for another reason than
        its number (a stray chain).
        """
        if self.met:
            return 1.0
        if self.reached is None or self.wanted is None:
            return None
        if self.name.endswith("rhat"):
            done, all_of_it = self.wanted**2 - 1, self.reached**2 - 1
        elif self.name in OF_CHAINS:
            done, all_of_it = self.wanted, self.reached
        else:
            done, all_of_it = self.reached, self.wanted
        return done / all_of_it if done < all_of_it else None


def goals_of(summary: Mapping[str, Any]) -> list[Goal]:
    """Every goal that was looked at, in the order of TITLES; none before the first look."""
    met, values = summary.get("goals_met") or {}, goal_values(summary)
    known = [goal for goal in TITLES if goal in met] + [goal for goal in met if goal not in TITLES]
    return [Goal(goal, bool(met[goal]), *_numbers(goal, values, summary)) for goal in known]


def _numbers(goal: str, values: Mapping[str, tuple[Any, Any]], summary: Mapping[str, Any]) -> tuple[Any, Any]:
    """What was reached of a goal, and what was wanted."""
    if goal in OF_CHAINS:
        reached, wanted = OF_CHAINS[goal]
        return summary.get(reached), summary.get(wanted)
    return values.get(goal, (None, None))
