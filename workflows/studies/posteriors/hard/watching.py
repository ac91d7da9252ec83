"""A run looked at after every commit: when would a rule of nested R-hat and ESS alone have stopped it?"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensemble.protocol.progress import NullProgress, Status
from ensemble.store.opening import reader
from workflows.results.inspect import summary_of
from workflows.studies.posteriors.hard.hard import Draws
from workflows.studies.posteriors.hard.judging import Stated, stated

NEW = ("tail_ess", "tail_rhat", "log_density", "trajectories", "chains", "drift")
"""Goals that a rule of nested R-hat, ESS and a number of draws does not have; `chains` is two in one."""


def unmet(summary: dict[str, Any]) -> list[str]:
    """Names of the goals that are not met, `chains` as `chains` (one is elsewhere), `strays` (some have been where no
    posterior explains the log density), or both. All are unmet before the first check."""
    met = summary["goals_met"] or {}
    names = [name for name, good in met.items() if not good]
    if "chains" not in names:
        return names
    furthest, limit = summary.get("furthest_chain"), summary.get("furthest_chain_limit")
    why = ["strays"] * bool(summary.get("strays"))
    outlying = furthest is not None and limit is not None and furthest > limit
    return [name for name in names if name != "chains"] + ["chains"] * (outlying or not why) + why


def old_rule(goals: list[str]) -> bool:
    """Whether nested R-hat, ESS and the number of draws are met, given the goals that are not."""
    return set(goals) <= {*NEW, "strays"}


class Check(NamedTuple):
    """A check of the goals at which the old rule was met. draws: stored ones of each chain by then. unmet: the goals
    that were not. errors: what the run stated then."""

    draws: int
    unmet: list[str]
    errors: Stated


def checked(path: Path) -> Check | None:
    """The last check of a run, as the store's last commit has it; None before the first, and without an ESS."""
    source = reader(path)
    state, summary = source.coordinator_state(), summary_of(source)
    if state is None or "diagnostics/rounds" not in state.arrays or summary["ess_online_min"] is None:
        return None
    recorded = summary["stages"]["sample"]["rounds"] - summary["settings"]["sample"]["burn_rounds"]
    each = summary["draws"] // recorded
    draws = int(state.arrays["diagnostics/rounds"]) * each
    errors = stated(state.arrays, draws * summary["stored_chains"])
    return Check(draws, unmet(summary), errors)


class Watch(NullProgress):
    """Looks at the store of a run whenever it has committed. first: the first check at which the old rule was met, None
    while there was none. said: what the run told its user."""

    def __init__(self, path: Path) -> None:
        self.path, self.said = path, list[str]()
        self.first: Check | None = None
        self._seen: tuple[Any, ...] = ()

    def update(self, status: Status) -> None:
        """A round is over: look where the numbers of a check are new, until they are committed."""
        numbers = (status.rhat_max, status.ess_min, status.ess_median)
        if self.first is not None or status.ess_min is None or numbers == self._seen:
            return
        found = reader(self.path).attributes["summary"]
        if (found["nested_rhat_max"], found["ess_online_min"], found["ess_online_median"]) != numbers:
            return
        self._seen = numbers
        check = checked(self.path)
        if check is not None and old_rule(check.unmet):
            self.first = check

    def message(self, text: str) -> None:
        """Something worth a line."""
        self.said.append(text)


def until(draws: Draws, check: Check) -> dict[str, np.ndarray]:
    """The draws that had been stored by a check."""
    return {name: values[:, : check.draws] for name, values in draws.items()}
