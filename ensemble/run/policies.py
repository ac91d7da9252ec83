"""Pure decisions of the coordinator: when a stage ends, what a round records, when the goals are met."""

import numpy as np

from ensemble.protocol.stages import EQUILIBRATE, SAMPLE, SCOUT, Stage
from ensemble.run.ledger import Goals, Ledger
from ensemble.run.settings import RunSettings
from ensemble.shard.stragglers import by_chance

SETTLED = 0.25
"""What moved by less than this many standard deviations of one replica has settled, but for its noise."""

NOISE = 2.0
"""Standard errors of a move that noise alone explains: few replicas, or slow modes, never stand still."""

BALANCED = 0.1
"""Distance of the mean virial from 1 that still counts as equilibrium, but for its noise."""

GATHERED = 3
"""Rounds over which stragglers are counted."""

HEAVY = 2.0
"""Stragglers by chance where tails are heavier than normal, over those where they are normal."""

SHEDDING = 6
"""First rounds of a run, whose trajectories only shed energy."""

ROAMING = (1.0, 3.0)
"""Factors on a quarter of a period before the ensemble settles: oscillators come to rest at every phase."""

HOLD = 6
"""Rounds over which moments are gathered anew before they count."""


def first_stage(settings: RunSettings) -> Stage:
    """Where a run begins."""
    return SCOUT if settings.stages.scouts else EQUILIBRATE


def settled(trace: tuple[tuple[tuple[float, ...], ...], ...], dimension: int, replicas: int, window: int) -> bool:
    """Whether the ensemble has stopped moving between the last two windows of rounds.

    trace: for each round and superchain the means over its `replicas` of the log density and of each term's sum. The
    log density of d near-normal coordinates has a standard deviation of about sqrt(d / 2), which is its unit; a term's
    is its spread over the replicas, and shows slow shared parameters that the total hides. A move counts beyond NOISE
    standard errors, taken from the superchains.
    """
    if len(trace) < 2 * window:
        return False
    last = np.asarray(trace[-2 * window :], float)
    moved = last[window:].mean(axis=0) - last[:window].mean(axis=0)
    error = moved.std(axis=0, ddof=1) / np.sqrt(len(moved))
    unit = np.sqrt(replicas) * last[window:].std(axis=1, ddof=1).mean(axis=0)
    unit[0] = np.sqrt(dimension / 2)
    return bool(np.all(np.abs(moved.mean(axis=0)) <= SETTLED * unit + NOISE * error))


def balanced(virial: tuple[tuple[float, ...], ...]) -> bool:
    """Whether the ensemble's energy is in equilibrium with the force: E[-x.g] = p for any origin of x (equipartition).

    It sees a bias that stands still. virial: for each superchain, -x.g / p of each level that follows the gradient.
    """
    means = np.asarray(virial, float)
    if not means.size:
        return True
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    return bool(np.all(np.abs(means.mean(axis=0) - 1.0) <= BALANCED + NOISE * error))


def gathered(relocated: tuple[int, ...], share: float, replicas: int) -> bool:
    """Whether the last rounds found no more stragglers than chance has: `share` of the replicas where the density is
    normal (stragglers.by_chance), twice that where it has heavier tails, and what is noise."""
    last = relocated[-GATHERED:]
    expected = HEAVY * share * replicas * len(last)
    return bool(sum(last) <= expected + NOISE * np.sqrt(expected))


def span(ledger: Ledger, settings: RunSettings) -> tuple[float, float]:
    """The factors between which HMC's trajectories are chosen, see adaptation.trajectories.

    Before the ensemble settles long ones cross plateaus, on which a trajectory gains the square of its time. Those of
    the first rounds stay short: each sheds the energy of dispersed starts, which would carry a long one far out.
    """
    if ledger.stage.adapts and ledger.settled is None and ledger.epoch >= SHEDDING:
        return ROAMING
    return 1.0 - settings.trajectories.jitter, 1.0 + settings.trajectories.jitter


def next_stage(ledger: Ledger, settings: RunSettings, dimension: int) -> Stage:
    """The stage of the next round."""
    if ledger.stage is SCOUT:
        return EQUILIBRATE if _scout_ends(ledger, settings, dimension) else SCOUT
    if ledger.stage is EQUILIBRATE:
        return SAMPLE if _equilibrate_ends(ledger, settings) else EQUILIBRATE
    return ledger.stage


def _scout_ends(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether nothing moves any more and stragglers are home, or its rounds are over."""
    still = settled(ledger.trace, dimension, settings.shard.replicas, 3) and balanced(ledger.virial)
    share = by_chance(settings.shard.scout["furthest"], dimension)
    still = still and gathered(ledger.relocated, share, settings.replicas)
    return still or ledger.stage_round >= settings.stages.scout_rounds


def _equilibrate_ends(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether it was refined for long enough after it settled, or its rounds are over."""
    refined = ledger.settled is not None and ledger.phase_round >= settings.stages.refine_rounds
    return refined or ledger.stage_round >= settings.stages.equilibrate_rounds


def settles(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether the ensemble has stopped drifting: what was learned on the way is then forgotten, for the far excursions
    of a few replicas would spoil the covariances of their blocks."""
    if not ledger.stage.settles or ledger.settled is not None:
        return False
    window = max(3, ledger.stage_round // 8)
    return balanced(ledger.virial) and settled(ledger.trace, dimension, settings.shard.replicas, window)


def holds(ledger: Ledger) -> bool:
    """Whether controls stay as they are although the ensemble still adapts: after it settled, until the fresh moments
    have enough draws. Factors from a round or two would follow the very states they then propose from. Controls of
    another run stay until it settles: dispersed starts would only spoil them."""
    return ledger.held if ledger.settled is None else ledger.phase_round < HOLD


def records(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the next round's last states are stored: every thin-th after the unrecorded ones, up to the budget."""
    after = ledger.stage_round - settings.stages.burn_rounds
    return ledger.stage.records and after >= 0 and (after + 1) % settings.record.thin == 0 and room(ledger, settings)


def room(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the budget has room for another draw."""
    return ledger.draws < settings.record.max_draws


def resets(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the accumulators start anew with the next round: at the end of the unrecorded interval."""
    return ledger.stage.accumulates and ledger.stage_round == settings.stages.burn_rounds


def checks(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the goals are looked at after the next round."""
    after = ledger.stage_round + 1 - settings.stages.burn_rounds
    return ledger.stage.accumulates and after > 0 and after % settings.record.check_rounds == 0


def goals_met(ledger: Ledger, settings: RunSettings) -> dict[str, bool]:
    """Which goals are met, by their names in the settings; those of shared parameters only where there are any."""
    goals = ledger.goals
    met = {
        "ess": goals.ess_min is not None and goals.ess_min >= settings.goals.ess,
        "rhat": goals.rhat_max is not None and goals.rhat_max <= settings.goals.rhat,
        "draws": ledger.draws >= settings.goals.draws,
    }
    if settings.shard.shared:
        met["shared_ess"] = goals.ess_shared_min is not None and goals.ess_shared_min >= settings.goals.shared_ess
        met["shared_rhat"] = goals.rhat_shared_max is not None and goals.rhat_shared_max <= settings.goals.shared_rhat
    return met


def limit_reached(ledger: Ledger, settings: RunSettings) -> str | None:
    """The limit that ends the run now, if any."""
    if ledger.sweeps >= settings.limits.sweeps:
        return f"limits.sweeps = {settings.limits.sweeps}"
    if settings.limits.seconds is not None and ledger.seconds["wall"] >= settings.limits.seconds:
        return f"limits.minutes = {settings.limits.seconds / 60:g}"
    return None


def goals_of(ess: np.ndarray, rhat: np.ndarray, shared: np.ndarray, rounds: int) -> Goals:
    """Summarise flat arrays over all coordinates; shared: which are of unplated sites. NaN counts as the worst."""
    if np.isnan(ess).any():
        return Goals(rounds, rhat_max=_worst(rhat), rhat_shared_max=_worst(rhat[shared]))
    return Goals(
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
