"""What a running ensemble tells the person who waits for it, and the protocol through which it does. Light."""

from typing import NamedTuple, Protocol


class Status(NamedTuple):
    """The state of a run after a round; None where a number is not known yet.

    stage: name of the stage of the next round.
    epoch: rounds since the start of the run.
    sweeps: sweeps since the start.
    draws: stored draws a chain.
    acceptance: share in [0, 1] by level.
    swap_rates: share in [0, 1] of accepted swaps by pair of temperatures.
    lp_mean: mean log density of the cold replicas.
    rhat_max: nested R-hat, the largest over all coordinates.
    rhat_limit: what it should stay below.
    rhat_shared_max: the largest over the shared coordinates.
    ess_min: `ess_online`, the smallest over all coordinates.
    ess_median: their median.
    ess_shared_min: the smallest over the shared ones.
    nonfinite: proposals with a non-finite log density so far.
    divergences: trajectories of the cold replicas that diverged in the stage.
    seconds: wall time so far.
    seconds_left: wall time to the goals.
    """

    stage: str
    epoch: int
    sweeps: int
    draws: int
    acceptance: dict[str, float]
    swap_rates: dict[str, float]
    lp_mean: float
    rhat_max: float | None
    rhat_limit: float | None
    rhat_shared_max: float | None
    ess_min: float | None
    ess_median: float | None
    ess_shared_min: float | None
    nonfinite: int
    divergences: int
    seconds: float
    seconds_left: float | None


class Progress(Protocol):
    """Shows a run to people. Calls never change what is sampled."""

    def stage(self, name: str, text: str) -> None:
        """A stage begins; `text` says in a few words what it does."""

    def update(self, status: Status) -> None:
        """A round is over."""

    def message(self, text: str) -> None:
        """Something worth a line of its own: a lost worker, a joined level, a commit before stopping."""

    def close(self) -> None:
        """The run is over; may be called more than once."""


class NullProgress:
    """Shows nothing: tests, and runs started from Python without a display."""

    def stage(self, name: str, text: str) -> None:
        """Show nothing."""

    def update(self, status: Status) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing to close."""
