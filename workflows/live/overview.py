"""The light page on how far a run is: goals, time left, what is slowest, a button that stops it. Made in no time."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ensemble.store import opening as stores
from workflows.clusters.standing import RUNNING, STOPPED, STOPPING, Standing
from workflows.clusters.stopping import left_to_do
from workflows.results.goals import Goal
from workflows.results.inspect import goal_values, number
from workflows.results.progress import duration
from workflows.results.report.coordinates import by_site, rhat_text, slowest
from workflows.results.report.facts import Facts
from workflows.results.report.markup import Markup, element, joined, pairs, paragraphs, titled_table
from workflows.results.report.page import document, renewed
from workflows.results.report.timeline import stages
from workflows.results.report.verdicts import headline, next_command, next_steps

SECONDS = 5
"""From one look to the next while a run goes on."""
GROUPS = 10
"""Groups of coordinates (sites) that are told, the slowest ones."""


class Found(NamedTuple):
    """What the page has of the last commit beside where the run stands.

    model: its name.
    headline: the goals in one sentence.
    slow: the slowest groups and coordinates, and those about which superchains disagree most.
    stages: what each has taken.
    limits: what ends the run with goals unmet, how far each is.
    following: what to do when nobody goes on with the run.
    """

    model: str
    headline: str
    slow: Markup
    stages: Markup
    limits: str
    following: Markup


def found_of(store: Path) -> Found:
    """Read it from a store. Raises StoreError."""
    facts = Facts(store)
    return Found(
        model=number(facts.summary["model"]),
        headline=headline(facts.summary),
        slow=_slow(facts),
        stages=joined(titled_table(stages(facts), "Stages; a round ends with a visit of the coordinator.")),
        limits=_limits(facts),
        following=joined([paragraphs(next_steps(facts.summary)), element("pre", next_command(facts.summary))]),
    )


class Links(NamedTuple):
    """Where the page leads to.

    here: itself.
    report: the whole report.
    stop: where the button sends its form.
    key: what the form shows to be allowed to.
    """

    here: str
    report: str
    stop: str
    key: str


def overview(standing: Standing, found: Found, links: Links) -> str:
    """The page as HTML text."""
    about = element(
        "p",
        f"{standing.path}, as of {clock(time.time())}. ",
        element("a", "Look again", href=links.here),
        " · ",
        element("a", "The whole report", href=links.report),
    )
    sections = [
        ("How far it is", joined([element("p", found.headline, class_="headline"), _facts(standing, found)])),
        ("Goals", _goals(standing.goals)),
        ("Slowest first", found.slow),
        ("How it went", found.stages),
        ("Stop it" if can_stop(standing) else "What to do next", _ending(standing, found, links)),
    ]
    main = joined(element("section", element("h2", title), "\n", body) for title, body in sections if body)
    return renewed(document(f"{found.model}: {standing.state}", about, main), None if standing.ended else SECONDS)


def can_stop(standing: Standing) -> bool:
    """Whether the run may be asked to stop: it has not ended or been asked, and its store is no archive. A writer on
    another machine may not be seen from here."""
    return not (standing.ended or standing.state == STOPPING or stores.is_packed(standing.path))


def clock(moment: float) -> str:
    """A moment [seconds since 1970] by the clock of this machine."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _facts(standing: Standing, found: Found) -> Markup:
    rows = [
        ("state", f"{standing.state}, in stage {standing.stage}" if standing.stage else standing.state),
        ("time left", _left(standing)),
        ("sampled", f"{number(standing.sweeps)} sweeps, {number(standing.draws)} draws a chain"),
        ("time taken", duration(standing.seconds)),
        ("last commit", f"{duration(standing.age)} ago"),
        ("limits", found.limits),
        ("written by", standing.writer or "nobody, as far as this machine can tell"),
        ("job", str(standing.job or "")),
    ]
    return pairs((label, text) for label, text in rows if text)


def _left(standing: Standing) -> str:
    if standing.state not in (RUNNING, STOPPING):
        return ""
    if standing.left is None:
        return "" if standing.state == STOPPING else "not known before the goals are looked at in stage sample"
    differ = any(goal.name.endswith("rhat") and not goal.met for goal in standing.goals)
    more = "; how long R-hat takes nobody knows" if differ else ""
    return f"about {duration(standing.left)} to the goals of ESS and draws{more}"


def _goals(goals: Iterable[Goal]) -> Markup:
    """A table of all goals, those that are furthest away first."""
    ranked = sorted(goals, key=lambda goal: (goal.met, -1.0 if goal.share is None else goal.share))
    if not ranked:
        return element("p", "They are looked at after some rounds of stage sample.")
    titles = ("goal", "reached", "wanted", "met", "part of the sweeps that it takes")
    head = element("tr", *(element("th", title, scope="col") for title in titles))
    return element("table", element("thead", head), element("tbody", *map(_goal, ranked)))


def _goal(goal: Goal) -> Markup:
    def shown(value: float | None) -> str:
        return rhat_text(value) if goal.name.endswith("rhat") else number(value)

    way: list[object] = ["-"]
    if goal.share is not None:
        share = f"{goal.share:.0%}"
        way = [element("progress", share, value=f"{goal.share:.3f}", max="1", aria_label=goal.title), " ", share]
    return element(
        "tr",
        element("th", goal.title, scope="row"),
        element("td", shown(goal.reached), class_="number"),
        element("td", shown(goal.wanted), class_="number"),
        element("td", "yes" if goal.met else "no", class_="judgement"),
        element("td", *way),
    )


def _slow(facts: Facts) -> Markup:
    if not facts.checked:
        return element("p", "Not known yet: the goals are looked at after some rounds of stage sample.")
    goals = goal_values(facts.summary)
    rows = by_site(facts.sites, goals["ess"][1], goals["rhat"][1])
    some = f"; the slowest {GROUPS} of {len(rows)}" if len(rows) > GROUPS else ""
    apart = {**facts.summary, "worst": facts.summary.get("apart")}
    return joined(
        [
            *titled_table(rows[:GROUPS], f"Groups of coordinates, by the smallest ESS{some}."),
            *titled_table(slowest(facts.summary, facts.sites), "Slowest coordinates."),
            *titled_table(slowest(apart, facts.sites), "Coordinates about which superchains disagree most."),
        ]
    )


def _limits(facts: Facts) -> str:
    """How far each limit is that is set."""
    limits, summary = facts.settings.get("limits") or {}, facts.summary
    parts = [f"{number(summary['sweeps'] or 0)} of {number(limits['sweeps'])} sweeps"] if limits.get("sweeps") else []
    if limits.get("minutes"):
        parts.append(f"{(summary['wall_seconds'] or 0) / 60:.1f} of {number(limits['minutes'])} minutes")
    return ", ".join(parts)


def _ending(standing: Standing, found: Found, links: Links) -> Markup:
    if not can_stop(standing):
        asked = [_asked(standing)] if standing.state in (STOPPING, STOPPED) else []
        return joined([*asked, *([] if standing.state == STOPPING else [found.following])])
    form = element(
        "form",
        element("input", type="hidden", name="key", value=links.key),
        element("button", "Stop after this round", type="submit"),
        method="post",
        action=links.stop,
    )
    text = "As `maxwell stop` does: whoever writes to the store ends its round, commits and stops. It can be resumed."
    return joined([element("p", text), form, *([] if standing.writer else [found.following])])


def _asked(standing: Standing) -> Markup:
    by = f"{stores.stop_asked(standing.path)} asked the run to stop"
    if standing.state == STOPPING:
        return element("p", f"{by}: it ends after the round at work, all of it committed.")
    return element(
        "p", f"{by}, and nobody writes to it now, as far as this machine can tell.{left_to_do(standing.job)}"
    )
