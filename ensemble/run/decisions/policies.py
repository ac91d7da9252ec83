"""Pure decisions of the coordinator: when a stage ends, what a round records, when a run must stop."""

from collections import Counter

import numpy as np

from ensemble.protocol.plans import TypicalRange
from ensemble.protocol.stages import EQUILIBRATE, SAMPLE, SCOUT, Stage
from ensemble.run.decisions.floor import by_chance, floor_of
from ensemble.run.decisions.lost import lost_superchains, without_mass
from ensemble.run.decisions.settling import has_settled, is_balanced, is_gathered, superchains_approach
from ensemble.run.decisions.spreading import is_growing
from ensemble.run.decisions.typical import Judgement, followed, judged, usual_range
from ensemble.run.goals import MOST_FAILED, goals_met
from ensemble.run.ledger import Ledger
from ensemble.run.settings import RecordSettings, RunSettings

WINDOW = 3
"""Rounds of `scout` that are compared with as many before them; in `equilibrate` at least."""

QUARTER, EIGHTH, LARGE = 4, 8, 1000
"""Parts of `equilibrate` over which an ensemble must stand still: a quarter, for over less a slow approach of
superchains passes for their noise; an eighth with LARGE coordinates and more, whose rounds are long, and whose shared
parameters wander within their posterior for as long as that. What is not over then is found in `sample`, as drift."""

SHEDDING = 6
"""First rounds of a run, whose trajectories only shed energy."""

ROAMING = (1.0, 3.0)
"""Factors on a quarter of a period before the ensemble settles: oscillators come to rest at every phase."""

DIVERGING, MOST_CARE = 0.002, 3
"""Share of trajectories that may diverge, and how often steps are shortened for it: to an acceptance of .8, .9, .95,
.975."""

OWN_STARTS = 2
"""New starts of its own that a lost superchain has before it takes the states of another."""

HOLD = 6
"""Rounds over which moments are gathered anew before they count."""


def first_stage(settings: RunSettings) -> Stage:
    """Where a run begins."""
    return SCOUT if settings.stages.scouts else EQUILIBRATE


def next_stage(ledger: Ledger, settings: RunSettings, dimension: int) -> Stage:
    """The stage of the next round."""
    if ledger.stage is SCOUT:
        return EQUILIBRATE if _scout_ends(ledger, settings, dimension) else SCOUT
    if ledger.stage is EQUILIBRATE:
        return SAMPLE if _equilibrate_ends(ledger, settings, dimension) else EQUILIBRATE
    return ledger.stage


def _scout_ends(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether nothing moves any more and stragglers are home, or its rounds are over."""
    still = has_settled(ledger.trace, dimension, settings.shard.replicas, WINDOW) and is_balanced(ledger.virial)
    share = by_chance(settings.shard.scout["furthest"], dimension)
    still = still and is_gathered(ledger.relocated, share, settings.replicas)
    still = still and not without_mass(ledger.mass, dimension)
    return still or ledger.stage_round >= settings.stages.scout_rounds


def _equilibrate_ends(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether it was refined for long enough after it settled, or its rounds are over."""
    return _is_refined(ledger, settings, dimension) or ledger.stage_round >= settings.stages.equilibrate_rounds


def floor_of_round(ledger: Ledger, settings: RunSettings, dimension: int) -> float | None:
    """The log density below which a replica is put where another stands after the next round, None where nobody is: on
    the way from dispersed starts what scout.furthest says, then what no draw of a posterior comes to. Starts that need
    no way are looked at once the ensemble has settled."""
    looks = _looks_for_lost(ledger, settings) or _has_settled_from_starts(ledger, settings)
    if not ledger.heights or not looks or settings.shard.runs_scout(ledger.stage):
        return None
    furthest = settings.shard.scout["furthest"] if ledger.stage is SCOUT else None
    return floor_of(np.asarray(ledger.heights), dimension, furthest)


def typical_of_round(ledger: Ledger, settings: RunSettings, dimension: int) -> TypicalRange | None:
    """Where draws of the posterior may be, and which replicas are put elsewhere after the next round for standing
    outside; None where nobody is put anywhere. Who is on the way to a mode of its own is not known before the ensemble
    has settled."""
    if not ledger.quartiles or not _draws_starts(ledger, settings) or settings.shard.runs_scout(ledger.stage):
        return None
    astray = () if ledger.settled_round is None else judgement(ledger, dimension).astray
    return TypicalRange(*usual_range(ledger.quartiles), followed(ledger.outliers, settings.replicas), astray)


def judgement(ledger: Ledger, dimension: int) -> Judgement:
    """What becomes of the replicas that stand where the ensemble is not."""
    return judged(ledger.outliers, ledger.quartiles, np.asarray(ledger.heights), dimension)


def floor_of_sample(ledger: Ledger, settings: RunSettings, dimension: int) -> float | None:
    """The log density below which a draw is a stray, by the ensemble as it is when the tuning is frozen; None where it
    stands at a hot ladder's cold end alone, or is not known."""
    return floor_of(np.asarray(ledger.heights), dimension) if ledger.heights else None


def middle(ledger: Ledger) -> float:
    """The median log density of the ensemble; 0 where none is finite or known."""
    finite = [height for height in ledger.heights if np.isfinite(height)]
    return float(np.median(finite)) if finite else 0.0


def _is_refined(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether it has settled, was refined for long enough, lost no replica of late, and waits for none."""
    refined = ledger.settled_round is not None and ledger.phase_round >= settings.stages.refine_rounds
    if not refined or any(ledger.relocated[-WINDOW:]):
        return False
    found = judgement(ledger, dimension)
    return not found.astray and not found.coming


def to_redraw(ledger: Ledger, settings: RunSettings, dimension: int) -> tuple[int, ...]:
    """The superchains that begin the next round at a new start: those lost before the ensemble has settled, where
    stragglers are looked for."""
    if not lost_now(ledger, settings, dimension):
        return ()
    return tuple(lost_superchains(ledger.mass, ledger.redrawn, dimension))


def lost_now(ledger: Ledger, settings: RunSettings, dimension: int) -> list[int]:
    """The superchains that are lost, where anybody looks for them, before the ensemble has settled."""
    if not _looks_for_lost(ledger, settings) or ledger.settled_round is not None:
        return []
    return without_mass(ledger.mass, dimension)


def sources(redraw: tuple[int, ...], ledger: Ledger, settings: RunSettings, dimension: int) -> dict[int, int]:
    """Superchains whose states are given to those that have had starts of their own in vain: in turn any that is not
    lost, so that no mode of weight is emptied."""
    lost = without_mass(ledger.mass, dimension)
    sound = [superchain for superchain in range(settings.superchains) if superchain not in lost]
    turns = Counter(superchain for row in ledger.redrawn for superchain in row)
    return {one: sound[(one + turns[one]) % len(sound)] for one in redraw if turns[one] >= OWN_STARTS}


def _looks_for_lost(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether a warm-up stage puts what is lost where the others are: starts that are given are where they should be,
    and hot replicas bring back what can be brought back. Without a scout it does so where starts went downhill, which
    may have led them into the neck of a hierarchy."""
    far = settings.stages.scouts or settings.shard.start.descends
    return far and _draws_starts(ledger, settings)


def _draws_starts(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether a warm-up stage may put replicas of its only rung elsewhere: their starts were the run's own choice."""
    shard = settings.shard
    drawn = shard.start.kind != "given" and not ledger.held
    return ledger.stage.relocates and drawn and shard.rungs(ledger.stage) == 1


def _has_settled_from_starts(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether a stage that may put replicas elsewhere has an ensemble that stands still: it tells who is not there."""
    return ledger.settled_round is not None and _draws_starts(ledger, settings)


def needs_care(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether a settled ensemble's trajectories diverge, or are nearly certain to be rejected, so often, at the end of
    the refining rounds, that there are places where their steps are too long: they would be left out without a word."""
    if ledger.stage is not EQUILIBRATE or ledger.care >= MOST_CARE or not _is_refined(ledger, settings, dimension):
        return False
    (diverged, tried), (failed, looked_at) = ledger.refined, ledger.refined_failed
    return diverged > DIVERGING * tried or failed > MOST_FAILED * looked_at


def teaches(ledger: Ledger) -> bool:
    """Whether the next round gives examples for networks: once the ensemble has settled and its metric is known."""
    return ledger.settled_round is not None and not ledger.taught and not holds_tuning(ledger)


def needs_teaching(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether networks are trained now: where there are some, at the end of the refining rounds."""
    return ledger.stage is EQUILIBRATE and not ledger.taught and _is_refined(ledger, settings, dimension)


def settles_now(ledger: Ledger, settings: RunSettings, dimension: int) -> bool:
    """Whether the ensemble has stopped drifting, and spreading: what was learned on the way is then forgotten, for the
    far excursions of a few replicas would spoil the covariances of their blocks."""
    if not ledger.stage.settles or ledger.settled_round is not None:
        return False
    window = max(WINDOW, ledger.stage_round // (QUARTER if dimension < LARGE else EIGHTH))
    if superchains_approach(ledger.trace):
        return False
    if _looks_for_lost(ledger, settings) and without_mass(ledger.mass, dimension):
        return False
    if is_growing(ledger.spreads, window).any():
        return False
    return is_balanced(ledger.virial) and has_settled(ledger.trace, dimension, settings.shard.replicas, window)


def holds_tuning(ledger: Ledger) -> bool:
    """Whether tuning stays as it is although the ensemble still adapts: after it settled, until the fresh moments
    have enough draws. Factors from a round or two would follow the very states they then propose from. Tuning of
    another run stays until it settles: dispersed starts would only spoil it."""
    return ledger.held if ledger.settled_round is None else ledger.phase_round < HOLD


def joins(ledger: Ledger) -> bool:
    """Whether the next round has joint moves: before the ensemble settles always, for they arrive from anywhere; then
    in every other round, so that both kinds can be weighed; and as was found once tuning is frozen."""
    if not ledger.stage.adapts:
        return ledger.joined
    return ledger.settled_round is None or ledger.phase_round % 2 == 0


def length_range(ledger: Ledger, settings: RunSettings) -> tuple[float, float]:
    """The factors between which HMC's trajectories are chosen, see adaptation.trajectories.

    Before the ensemble settles long ones cross plateaus, on which a trajectory gains the square of its time. Those of
    the first rounds stay short: each sheds the energy of dispersed starts, which would carry a long one far out.
    """
    if ledger.stage.adapts and ledger.settled_round is None and ledger.epoch >= SHEDDING:
        return ROAMING
    return 1.0 - settings.trajectories.jitter, 1.0 + settings.trajectories.jitter


def should_record(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the next round's last states are stored: every thin-th after the unrecorded ones, up to the budget."""
    after = ledger.stage_round - settings.stages.burn_rounds
    due = after >= 0 and (after + 1) % settings.record.thin == 0
    return ledger.stage.records and due and has_room(ledger, settings)


def has_room(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the budget has room for the draws of another round."""
    return ledger.draws + settings.shard.draws <= settings.record.max_draws


def should_reset(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the accumulators start anew with the next round: at the end of the unrecorded interval."""
    return ledger.stage.accumulates and ledger.stage_round == settings.stages.burn_rounds


def should_diagnose(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the goals are looked at after the next round."""
    after = ledger.stage_round + 1 - settings.stages.burn_rounds
    return ledger.stage.accumulates and after > 0 and after % settings.record.check_rounds == 0


def should_commit(ledger: Ledger, committed: Ledger, record: RecordSettings) -> bool:
    """Whether to commit now. committed: the ledger at the last commit. How much a crash can cost is decided by the
    clock here, never what is drawn."""
    rounds, seconds = ledger.epoch - committed.epoch, ledger.seconds["wall"] - committed.seconds["wall"]
    return rounds >= record.check_rounds and seconds >= record.commit_seconds


def _only_draws_lack(ledger: Ledger, settings: RunSettings) -> bool:
    """Whether the goals are met for all sweeps, and not for the stored draws."""
    of_sweeps = settings._replace(goals=settings.goals._replace(of_draws=False))
    found = [goals_met(ledger.goals, ledger.draws, len(ledger.strays), each) for each in (settings, of_sweeps)]
    of_draws, of_all = (all(met.values()) for met in found)
    return of_all and not of_draws


def limit_reached(ledger: Ledger, settings: RunSettings) -> str | None:
    """The limit that ends the run now, if any."""
    limits = settings.limits
    if ledger.stage.records and not has_room(ledger, settings) and _only_draws_lack(ledger, settings):
        return "store.budget_mb, which has no room for more draws"
    if ledger.sweeps >= limits.sweeps:
        return f"limits.sweeps = {limits.sweeps}"
    if limits.seconds is not None and ledger.seconds["wall"] >= limits.seconds:
        return f"limits.minutes = {limits.seconds / 60:g}"
    return None
