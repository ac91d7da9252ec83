"""The course of a run: rounds and sweeps of each stage as far as the store tells them, and the log density."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from workflows.report.facts import Facts
from workflows.report.pooling import groups


class Course(NamedTuple):
    """Log density of the cold replicas by group of stored chains: [group, round or draw], with their round numbers.

    bounds: rounds at which a stage of the warm-up ended.
    """

    warmup: np.ndarray
    warmup_rounds: np.ndarray
    sample: np.ndarray
    sample_rounds: np.ndarray
    bounds: tuple[int, ...]


def stages(facts: Facts) -> list[dict[str, Any]]:
    """A row for each stage that has begun. The store keeps seconds of the whole run alone."""
    books, settings = facts.books, facts.settings
    if not books:
        return []
    length, rounds = settings["round"]["sweeps"], stage_rounds(books, settings)
    unrecorded = min(rounds.get("sample", 0), settings["sample"]["burn_rounds"])
    # One sweep a round where the scout has a kernel of its own, else as everywhere.
    scouting = books["sweeps"] - length * sum(count for stage, count in rounds.items() if stage != "scout")
    sweeps = {stage: scouting if stage == "scout" else length * count for stage, count in rounds.items()}
    notes = {
        "scout": "to the typical set; not recorded as draws",
        "equilibrate": _settled(books),
        "scout and equilibrate": "what each took is not kept; not recorded as draws",
        "sample": f"{unrecorded:,} rounds unrecorded, then {facts.draws:,} draws a chain",
    }
    return [
        {"stage": stage, "rounds": count, "sweeps": sweeps[stage], "what": notes[stage]}
        for stage, count in rounds.items()
    ]


def stage_rounds(books: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, int]:
    """Rounds of each stage, from the books of the last checkpoint.

    A scout with a kernel of its own makes one sweep a round and the others make more, so that sweeps tell its rounds;
    where all make as many, what came before `sample` stands as one.
    """
    epoch, now, current, length = books["epoch"], books["stage"], books["stage_round"], settings["round"]["sweeps"]
    before = epoch - current
    if now == "scout":
        return {"scout": current}
    if now == "equilibrate":
        return {**({"scout": before} if before else {}), "equilibrate": current}
    scouting = (epoch * length - books["sweeps"]) // (length - 1) if length > 1 else 0
    if settings["scout"]["kernel"] == "none" or not before:
        return {**({"equilibrate": before} if before else {}), "sample": current}
    if not scouting:
        return {"scout and equilibrate": before, "sample": current}
    return {
        "scout": scouting,
        **({"equilibrate": before - scouting} if before > scouting else {}),
        "sample": current,
    }


def course(facts: Facts) -> Course:
    """The log density, averaged over the chains of each group."""
    settings, warm = facts.settings, facts.rounds("warmup_sample_stats")
    rounds = stage_rounds(facts.books, settings) if facts.books else {}
    first = warm + settings["sample"]["burn_rounds"]
    thin = settings["sample"]["thin"]
    every = 1 if thin == "auto" else thin
    names = [stage for stage in rounds if stage != "sample"]
    bounds = np.cumsum([rounds[stage] for stage in names])[:-1]
    return Course(
        _by_group(facts, "warmup_sample_stats"),
        1 + np.arange(warm),
        _by_group(facts, "sample_stats"),
        first + every * (1 + np.arange(facts.rounds("sample_stats"))),
        tuple(int(bound) for bound in bounds),
    )


def _by_group(facts: Facts, group: str) -> np.ndarray:
    members = groups(facts.chains, facts.superchains)
    if not facts.rounds(group):
        return np.empty((len(members), 0))
    values = np.asarray(facts.data[group]["lp"].values[:, : facts.rounds(group)], float)
    return np.stack([values[chains].mean(axis=0) for chains in members])


def _settled(books: Mapping[str, Any]) -> str:
    text = "proposals adapt; not recorded as draws"
    if books["stage"] != "equilibrate":
        return text
    settled = books.get("settled")
    return f"{text}; {'has not settled yet' if settled is None else f'settled after round {settled}'}"
