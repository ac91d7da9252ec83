"""What the progress display is told after a round."""

import numpy as np

from ensemble.protocol.plans import RoundResult
from ensemble.protocol.progress import Status
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run.goals import ess_of_goals
from ensemble.run.ledger import Ledger
from ensemble.run.observed import acceptance_by_level, add_rates, swap_rates
from ensemble.run.settings import RunSettings


def status_of(ledger: Ledger, results: list[RoundResult], spec: SweepSpec, settings: RunSettings) -> Status:
    """What the progress display shows after a round."""
    goals = ledger.goals
    rates = add_rates({}, [result.statistics for result in results])
    return Status(
        stage=ledger.stage.name,
        epoch=ledger.epoch,
        sweeps=ledger.sweeps,
        draws=ledger.draws,
        acceptance=acceptance_by_level(rates, spec.levels),
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
    """Wall time to the goals of ESS and draws at the pace so far; None before the first goal check. What R-hat will
    take nobody knows."""
    check, goals = ledger.goals, settings.goals
    ess, shared_ess, tail_ess, height = ess_of_goals(check, of_draws=goals.of_draws)
    if not ess:
        return None
    reached = [
        (goals.ess, ess),
        (goals.shared_ess, shared_ess),
        (goals.ess, tail_ess),
        (goals.ess, height),
        (goals.draws, ledger.draws),
    ]
    # All of them grow with the rounds.
    times = max([1.0, *(wanted / value for wanted, value in reached if value)])
    rounds = max(0.0, check.rounds * times - (ledger.stage_round - settings.stages.burn_rounds))
    return rounds * ledger.seconds["wall"] / max(1, ledger.epoch)
