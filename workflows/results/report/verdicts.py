"""Diagnostics in words: what each goal came to and by how much, what else stands out, and what to do next."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from workflows.results.goals import OF_CHAINS, TITLES, Goal, goals_of
from workflows.results.inspect import goal_values, number, resume_command

MET, MISSED, UNKNOWN, NOTE = "met", "missed", "not known yet", "note"

LOW, HIGH = 0.05, 0.95
"""Acceptance beyond these wastes most proposals, or takes steps too small."""
SWAPS = 0.1
"""Swaps accepted less often hardly carry anything."""
FEW_DRAWS = 50
"""Draws a chain below which ArviZ's bulk ESS means little."""


class Verdict(NamedTuple):
    """A judgement (met, missed, not known yet, note) on a subject, in a sentence or two."""

    judgement: str
    subject: str
    text: str


def headline(summary: Mapping[str, Any]) -> str:
    """The state of the run in one sentence."""
    goals = summary["goals_met"] or {}
    unmet = [TITLES[goal] for goal, met in goals.items() if not met]
    if not goals or (unmet and not summary["draws"]):
        return f"No draws yet: the run stands in stage {number(summary['stage'])}, and no goal has been looked at."
    if not unmet:
        return "Every goal is met."
    return f"{len(unmet)} of {len(goals)} goals not met: {', '.join(unmet)}."


def verdicts(summary: Mapping[str, Any], stuck: int = 0, generation: int = 0) -> list[Verdict]:
    """Goals first, then what stands out.

    stuck: coordinates that never moved. generation: how many runs the run descends from.
    """
    return [*_goals(summary), *_stuck(stuck), *_proposals(summary), *_rates(summary), *_draws(summary, generation)]


def next_steps(summary: Mapping[str, Any], stuck: int = 0) -> list[str]:
    """What to do now, in sentences; the last of them is about the command that `next_command` gives."""
    if _done(summary):
        return ["Use the draws. More of them, to twice the ESS:"]
    steps = []
    if stuck:
        steps.append(
            "Look at the coordinates that never moved: a start on the edge of the support, or a term that is flat or "
            "infinite around it, keeps every proposal out. More sweeps will not help."
        )
    if any(_known_unmet(summary, goal) for goal in ("rhat", "shared_rhat", "tail_rhat")):
        steps.append(
            "Chains from different starts differ more than they should. If their traces (of the worst coordinates) "
            "still drift towards each other, go on; if they stay apart, there are several modes: temper "
            "(tempering.temperatures=[1.0,3.5]), or check the model."
        )
    if any(_known_unmet(summary, goal) for goal in ("ess", "shared_ess", "tail_ess", "log_density")):
        steps.append("Go on sampling: ESS grows with the number of sweeps.")
    limit = " Limits that were reached are doubled in it." if "limits." in summary["resume_command"] else ""
    return [*steps, f"If the run is no longer going, this command goes on with it.{limit}"]


def next_command(summary: Mapping[str, Any]) -> str:
    """The command that goes on: with the same goals where they are not met yet, with a higher one where they are."""
    reached = summary["ess_online_min"]
    if not _done(summary) or reached is None:
        return str(summary["resume_command"])
    return resume_command(summary["path"], overrides=[f"goals.ess={2 * reached:.0f}"])


def _done(summary: Mapping[str, Any]) -> bool:
    goals = summary["goals_met"] or {}
    return bool(goals) and all(goals.values())


def _goals(summary: Mapping[str, Any]) -> Iterator[Verdict]:
    for goal in goals_of(summary):
        judgement = MET if goal.met else UNKNOWN if goal.reached is None else MISSED
        text = _of_chains(goal) if goal.name in OF_CHAINS else _distance(goal, judgement)
        yield Verdict(judgement, goal.title, text)


def _of_chains(goal: Goal) -> str:
    """Whether one chain stands apart, or the first part of the stage from the rest."""
    if goal.reached is None or goal.wanted is None:
        return "Not known before there are enough batches in every chain."
    what = "The most outlying chain" if goal.name == "chains" else "The first part of the stage"
    return (
        f"{what} lies {number(goal.reached)} standard deviations from the rest; chance explains {number(goal.wanted)}."
    )


def _distance(goal: Goal, judgement: str) -> str:
    """How far from the goal."""
    reached, wanted = goal.reached, goal.wanted
    if judgement == UNKNOWN or reached is None or wanted is None:
        return f"Wanted {number(wanted)}; not known before there are enough batches in every chain."
    if goal.name.endswith("rhat"):
        return _rhat_distance(judgement, reached, wanted)
    text = f"{number(reached)}, wanted {number(wanted)}"
    if goal.name == "draws":
        return f"There are {text}."
    if judgement == MET:
        return f"The lowest is {text}: {reached / wanted:.3g} times as much."
    return f"The lowest is {text}: about {wanted / reached:.3g} times the sweeps sampled so far should do."


def _rhat_distance(judgement: str, reached: float, wanted: float) -> str:
    text = f"The highest is {reached:.4f}, the limit {wanted:.4f}"
    # R-hat^2 - 1 is variance between superchains over that within, which falls as 1 / sweeps in equilibrium.
    share = (reached**2 - 1) / (wanted**2 - 1)
    if judgement == MET:
        return f"{text}: {share:.0%} of the variance between superchains that is allowed."
    return (
        f"{text}: {share:.3g} times the variance between superchains that is allowed. If chains agree but are short, "
        f"about {share:.3g} times the sweeps sampled so far bring it down; if it stays, they do not agree."
    )


def _stuck(count: int) -> Iterator[Verdict]:
    if count:
        yield Verdict(MISSED, "Coordinates that never moved", f"{count:,}: their values stayed as they were.")


def _proposals(summary: Mapping[str, Any]) -> Iterator[Verdict]:
    if (bad := summary["nonfinite"]) is not None:
        blocks = sum(level["blocks"] for level in summary["structure"] or [])
        updates = blocks * (summary["sweeps"] or 0) * (summary["chains"] or 0)
        share = f", about {bad / updates:.2g} for each update of a block" if bad and updates else ""
        text = f"{bad:,} proposals had a density that is not a number or infinite{share}; they were rejected."
        advice = " Many of them mean that steps leave the support: check constraints and priors."
        yield Verdict(NOTE, "Non-finite proposals", text + advice if bad else "There were none.")
    if infinite := summary.get("infinite"):
        yield Verdict(MISSED, "Density of +inf", f"{infinite[0].upper()}{infinite[1:]}")
    yield from _divergences(summary)
    if relocated := summary.get("relocated"):
        text = f"{relocated:,} were given the place of another replica in warm-up, before anything was recorded."
        yield Verdict(NOTE, "Stragglers", text)


def _divergences(summary: Mapping[str, Any]) -> Iterator[Verdict]:
    found = (summary.get("divergences") or {}).get("sample")
    if not found or not found["trajectories"]:
        return
    count, total = found["diverging"], found["trajectories"]
    if not count:
        yield Verdict(NOTE, "Divergences", f"None of the {total:,} trajectories in stage sample diverged.")
        return
    text = (
        f"{count:,} of {total:,} trajectories in stage sample diverged ({count / total:.2g} of them): the energy, "
        "which they should keep, rose by more than 1000 along them. The density bends there more sharply than the step "
        "size can follow, so that chains may not get into that region and draws may miss it. Write the model in other "
        "parameters (a hierarchy by standardised deviations), or give the level another kernel; "
        "sample_stats/diverging says which draws they are."
    )
    yield Verdict(MISSED, "Divergences", text)


def _rates(summary: Mapping[str, Any]) -> Iterator[Verdict]:
    for level, rate in (summary["acceptance"] or {}).items():
        if rate is not None and not LOW <= rate <= HIGH:
            why = "most proposals are wasted" if rate < LOW else "steps may be too small to get anywhere"
            yield Verdict(NOTE, f"Acceptance of level {level}", f"{rate:.1%} of its moves are accepted: {why}.")
    for level, found in (summary.get("surrogates") or {}).items():
        if found["error"] is not None:
            use = "It is followed in most sweeps" if found["used"] else "It is not in use"
            accepted, excess = number(found["accepted_on_trial"]), number(found["excess"])
            text = (
                f"Trained by {found['examples']:,} examples of the gradient in warm-up. On examples held out its "
                f"squared error is {found['error']:.2g} of the squares, and its potential too high by up to {excess}; "
                f"on trial {accepted} of its trajectories were accepted. {use}; draws are accepted on the true density "
                "in any case."
            )
            yield Verdict(NOTE, f"Network of level {level}", text)
    for pair, rate in (summary["swap_rates"] or {}).items():
        if rate is not None and rate < SWAPS:
            text = f"Only {rate:.1%} are accepted: put more temperatures between, or a cooler end."
            yield Verdict(NOTE, f"Swaps {pair}", text)


def _draws(summary: Mapping[str, Any], generation: int) -> Iterator[Verdict]:
    if summary["draws"] and summary["draws"] < FEW_DRAWS:
        text = (
            f"{summary['draws']} draws of each chain are too few for ArviZ's own ESS and R-hat. Those above count "
            "every sweep of all chains."
        )
        yield Verdict(NOTE, "Few stored draws", text)
    start = (summary["settings"] or {}).get("start") or {}
    if generation and start.get("reuse") != "tuning":
        text = (
            "Chains began in the states of another run, not apart from each other: their nested R-hat shows that the "
            "run is stationary, not that chains from dispersed starts find the same place."
        )
        yield Verdict(NOTE, "Starts", text)


def _known_unmet(summary: Mapping[str, Any], goal: str) -> bool:
    return (summary["goals_met"] or {}).get(goal) is False and goal_values(summary)[goal][0] is not None
