"""The sections of the page: a heading, and tables, sentences and pictures from the facts."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ensemble.store.arviz_object import group_names
from workflows.results.inspect import goal_values, number, to_json
from workflows.results.inspect_ladder import ladder_rows, ladder_tables
from workflows.results.progress import duration
from workflows.results.report import fit, plots
from workflows.results.report.changes import changes
from workflows.results.report.coordinates import by_site, drawn, everything, rhat_text, slowest, stuck
from workflows.results.report.drawing import Picture
from workflows.results.report.facts import Facts
from workflows.results.report.markup import (
    Markup,
    bullets,
    element,
    figure,
    joined,
    pairs,
    paragraphs,
    table,
    titled_table,
)
from workflows.results.report.pictures.own import own_pictures
from workflows.results.report.pooling import groups
from workflows.results.report.shared import shared_rows
from workflows.results.report.timeline import course, stages
from workflows.results.report.verdicts import headline, next_command, next_steps, verdicts
from workflows.results.tables import own

NOT_YET = "Nothing to show yet: no draws have been committed."
UNCHECKED = "Not known yet: the goals are looked at after some rounds of stage sample."


class Section(NamedTuple):
    """name: of the anchor; title; body."""

    name: str
    title: str
    body: Markup


def sections(facts: Facts) -> list[Section]:
    """All sections, in the order of the page."""
    return [
        Section("summary", "In short", _summary(facts)),
        Section("model", "The answer", _own(facts)),
        Section("shared", "Shared parameters", _shared(facts)),
        Section("fit", "Does the model fit?", _fit(facts)),
        Section("verdicts", "Can the draws be trusted?", _verdicts(facts)),
        Section("worst", "Slowest coordinates", _worst(facts)),
        Section("diagnostics", "All coordinates", _diagnostics(facts)),
        Section("run", "What was run", _run(facts)),
        Section("course", "How it went", _course(facts)),
        Section("rates", "Acceptance and swaps", _rates(facts)),
        Section("ladder", "Temperatures", ladder_section(facts.summary.get("ladder"))),
        Section("numbers", "All numbers", _numbers(facts)),
    ]


def _summary(facts: Facts) -> Markup:
    """What a reader wants first: is it done, and what to do now."""
    summary, still = facts.summary, stuck(facts.sites) if facts.checked else 0
    goals = summary["goals_met"] or {}
    state = "" if not goals or not summary["draws"] else " met" if all(goals.values()) else " missed"
    return joined(
        [
            element("p", headline(summary), class_=f"headline{state}"),
            element("h3", "What to do next"),
            paragraphs(next_steps(summary, still)),
            element("pre", next_command(summary)),
            element("p", "The draws, in Python:"),
            element("pre", f"import maxwell\ndata = maxwell.open_run({summary['path']!r}).data"),
        ]
    )


def _verdicts(facts: Facts) -> Markup:
    summary, still = facts.summary, stuck(facts.sites) if facts.checked else 0
    found = verdicts(summary, still, facts.attributes.get("generation", 0))
    rows = [
        element(
            "tr",
            element("th", verdict.subject, scope="row"),
            element("td", verdict.judgement, class_=f"judgement {verdict.judgement.split()[0]}"),
            element("td", verdict.text),
        )
        for verdict in found
    ]
    if not rows:
        return element("p", UNCHECKED)
    explained = (
        "ESS, the effective sample size, is how many independent draws would know a mean as well; nested R-hat "
        "compares groups of chains that began apart, and is 1 where they agree."
    )
    return joined([element("p", explained), element("table", *rows, class_="verdicts")])


def _fit(facts: Facts) -> Markup:
    if not facts.draws:
        return element("p", NOT_YET)
    found = fit.fit_of(facts)
    if isinstance(found, str):
        return element("p", found)
    return joined(
        [
            element("p", fit.headline(found)),
            *titled_table(fit.verdict_rows(found), "Verdicts on families of statistics."),
            *(_figure(picture) for picture in fit.pictures(found)),
            *titled_table(fit.statistic_rows(found), "Statistics; of large families, those that are apart."),
        ]
    )


def _run(facts: Facts) -> Markup:
    summary = facts.summary
    stored = f", {facts.chains} of them stored" if facts.chains != summary["chains"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in (summary["versions"] or {}).items())
    parts = [
        pairs(
            [
                ("model", number(summary["model"])),
                ("parameters (joint d)", number(summary["d"])),
                ("chains", f"{number(summary['chains'])} in {facts.superchains} superchains{stored}"),
                ("seed", number(summary["seed"])),
                ("store", f"{summary['path']} ({summary['bytes'] / 1e6:,.1f} MB)"),
                ("versions", versions or "-"),
            ]
        )
    ]
    parts += titled_table(_sizes(facts), "Data, as the store holds them.")
    parts += titled_table(summary["structure"], "Levels, as found in the model.")
    if summary["joined"]:
        parts += [element("p", "Joined, because a term ties them:"), bullets(summary["joined"])]
    parts += titled_table(changes(facts.settings), "Settings that are not the defaults, and the model's own.")
    return joined(parts)


def _sizes(facts: Facts) -> list[dict[str, str]]:
    groups_of_store = (group for group in ("observed_data", "constant_data") if group in group_names(facts.data))
    return [
        {
            "group": group,
            "variable": str(name),
            "size": " x ".join(f"{size:,} {dim}" for dim, size in values.sizes.items()) or "one number",
        }
        for group in groups_of_store
        for name, values in facts.data[group].data_vars.items()
    ]


def _course(facts: Facts) -> Markup:
    summary = facts.summary
    parts = titled_table(stages(facts), "Stages; a round ends with a visit of the coordinator.")
    seconds = [
        (label, duration(summary[key]))
        for label, key in (
            ("wall time", "wall_seconds"),
            ("core time", "core_seconds"),
            ("in kernels", "kernel_seconds"),
            ("compiling", "compile_seconds"),
        )
        if summary[key] is not None
    ]
    parts.append(pairs([("sweeps", number(summary["sweeps"])), *seconds]))
    found = course(facts)
    if found.warmup.size or found.sample.size:
        parts.append(_figure(plots.course_picture(found)))
    return joined(parts)


def _rates(facts: Facts) -> Markup:
    summary = facts.summary
    kinds = [_kind(name, rate) for name, rate in (summary.get("acceptance_by_kind") or {}).items() if _by_rung(name)]
    levels = [{"level": name, "accepted": rate} for name, rate in (summary["acceptance"] or {}).items()]
    swaps = [{"swap": name, "accepted": rate} for name, rate in (summary["swap_rates"] or {}).items()]
    moves = [
        {key: move.get(key) for key in ("kind", "parent", "child", "used", "acceptance")}
        for move in summary.get("interweaving") or []
    ]
    parts = [
        *titled_table(levels, "Accepted moves of the cold replicas by level, in this stage."),
        *titled_table(swaps, "Swaps by level and pair of rungs (whole: replicas)."),
        *titled_table(kinds, "Accepted by kind of move, level and rung."),
        *titled_table(moves, "Interweaving moves of shared parameters with their children."),
    ]
    return joined(parts) if parts else element("p", "Nothing to show yet.")


def _by_rung(name: str) -> bool:
    """Whether an entry of acceptance_by_kind is not in a table of its own anyway."""
    return not name.startswith(("swap/", "interweave/"))


def _kind(name: str, rate: float) -> dict[str, Any]:
    """A row from a name such as walk/gene/0."""
    kind, _, rest = name.partition("/")
    level, _, rung = rest.rpartition("/")
    return {"move": kind, "level": level, "rung": rung, "accepted": rate}


def ladder_section(ladder: Mapping[str, Any] | None) -> Markup:
    """The ladder of temperatures as the summary has it; None for a stage at one temperature."""
    if not ladder:
        return element("p", "One temperature: this stage has no ladder.")
    tables = [table(rows, title) for title, rows in ladder_tables(ladder)]
    return joined([pairs(ladder_rows(ladder)), tables[0], _figure(plots.ladder_picture(ladder)), *tables[1:]])


def _diagnostics(facts: Facts) -> Markup:
    sites, goals = facts.sites, goal_values(facts.summary)
    if not facts.checked:
        return element("p", UNCHECKED)
    goal, limit = goals["ess"][1], goals["rhat"][1]
    ess, rhat = ((everything(sites, kind, True), everything(sites, kind, False)) for kind in ("ess", "rhat"))
    summary, moved = facts.summary, np.isfinite(everything(sites, "rhat")).any()
    return joined(
        [
            pairs(
                [
                    ("ESS", f"min {number(summary['ess_online_min'])}, median {number(summary['ess_online_median'])}"),
                    ("ESS, shared", f"min {number(summary['ess_online_shared_min'])}"),
                    ("nested R-hat", f"max {rhat_text(summary['nested_rhat_max'])}, limit {rhat_text(limit)}"),
                    ("nested R-hat, shared", f"max {rhat_text(summary['nested_rhat_shared_max'])}"),
                ]
            ),
            *([_figure(plots.histograms(ess, rhat, goal, limit))] if moved else []),
            table(by_site(sites, goal, limit), "By site, in unconstrained coordinates, over all sweeps of all chains."),
        ]
    )


def _worst(facts: Facts) -> Markup:
    rows = slowest(facts.summary, facts.sites)
    parts = titled_table(rows, "Slowest coordinates.")
    if not facts.draws:
        return joined([*parts, element("p", NOT_YET)])
    labels, members = {site.name: site for site in facts.sites}, groups(facts.chains, facts.superchains)
    keys = drawn(facts.summary, facts.sites)
    shown = [(labels[name], index) for name, index in keys if facts.has(name)]
    if shown:
        parts.append(element("p", _how_to_read(facts.chains, len(members))))
    parts += [
        _figure(plots.traces_and_ranks(site.label(index), site.note(index), facts.values(site.name, index), members))
        for site, index in shown
    ]
    apart = sorted({name for name, index in keys if not facts.has(name)})
    if apart:
        parts.append(element("p", f"Not drawn, as draws have another shape than the site: {', '.join(apart)}."))
    return joined(parts) if parts else element("p", UNCHECKED)


def _how_to_read(chains: int, members: int) -> str:
    return (
        f"Left, draws of {chains} chains (dots) and means of {members} groups of them (lines). Right, where the draws "
        "of each group rank among all: level with the dotted lines where groups agree, sloping or hollow where not."
    )


def _shared(facts: Facts) -> Markup:
    if not facts.draws:
        return element("p", NOT_YET)
    rows = shared_rows(facts)
    if not rows:
        return element("p", "The model has no shared parameters: every site lies on a plate.")
    return table(rows, "Posterior of the parameters without plates, from stored draws; ESS and R-hat over all sweeps.")


def _own(facts: Facts) -> Markup:
    lines = own.lines(facts.run) if facts.draws else []
    parts = [element("pre", "\n".join(lines), class_="answer")] if lines else []
    parts += [_figure(picture) for picture in own_pictures(facts)]
    nothing = (
        "This model has no tables or pictures of its own: its shared parameters follow." if facts.draws else NOT_YET
    )
    return joined(parts) if parts else element("p", nothing)


def _numbers(facts: Facts) -> Markup:
    return element(
        "details",
        element("summary", "What ", element("code", "maxwell inspect --json"), " gives"),
        element("pre", to_json(facts.summary), class_="long"),
    )


def _figure(picture: Picture) -> Markup:
    return figure(picture.source, picture.alt, picture.caption)
