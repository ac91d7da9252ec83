"""What a running ensemble tells the person who waits for it, and the protocol through which it does."""

from typing import NamedTuple, Protocol

import numpy as np

from ensemble.protocol.plans import RoundResult
from ensemble.run.ledger import Ledger
from ensemble.run.observed import acceptance_by_level, add_rates, swap_rates
from ensemble.run.settings import RunSettings
from kernels.structure.levels import Structure


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


def status_of(ledger: Ledger, results: list[RoundResult], structure: Structure, settings: RunSettings) -> Status:
    """What the progress display shows after a round."""
    goals = ledger.goals
    rates = add_rates({}, [result.statistics for result in results])
    return Status(
        stage=ledger.stage.name,
        epoch=ledger.epoch,
        sweeps=ledger.sweeps,
        draws=ledger.draws,
        acceptance=acceptance_by_level(rates, structure),
        swap_rates=swap_rates(rates),
        lp_mean=float(np.mean([result.statistics.lp.mean() for result in results])),
        rhat_max=goals.rhat_max,
        rhat_limit=settings.goals.rhat,
        rhat_shared_max=goals.rhat_shared_max,
        ess_min=goals.ess_min,
        ess_median=goals.ess_median,
        ess_shared_min=goals.ess_shared_min,
        nonfinite=ledger.nonfinite,
        divergences=ledger.divergences.get(ledger.stage.name, (0, 0))[0],
        seconds=ledger.seconds["wall"],
        seconds_left=seconds_left(ledger, settings),
    )


def seconds_left(ledger: Ledger, settings: RunSettings) -> float | None:
    """Wall time to the ESS goals at the pace so far; None before the first goal check."""
    goals = ledger.goals
    if goals.ess_min is None:
        return None
    wanted = settings.goals.ess / goals.ess_min
    if goals.ess_shared_min is not None:
        wanted = max(wanted, settings.goals.shared_ess / goals.ess_shared_min)
    rounds = max(0.0, goals.rounds * max(wanted, 1.0) - (ledger.stage_round - settings.stages.burn_rounds))
    return rounds * ledger.seconds["wall"] / max(1, ledger.epoch)
