"""The course of a run: rounds, sweeps and time of each stage, and the log density."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from workflows.results.progress import duration
from workflows.results.report.facts import Facts
from workflows.results.report.pooling import groups


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
    """A row for each stage that has begun."""
    books, settings = facts.books, facts.settings
    if not books:
        return []
    unrecorded = min(books["stages"].get("sample", (0, 0))[0], settings["sample"]["burn_rounds"])
    notes = {
        "scout": "to the typical set; not recorded as draws",
        "equilibrate": _settled(books),
        "sample": f"{unrecorded:,} rounds unrecorded, then {facts.draws:,} draws a chain",
    }
    return [
        {
            "stage": stage,
            "rounds": rounds,
            "sweeps": sweeps,
            "wall time": duration(books["stage_seconds"][stage]),
            "gradients a chain": f"{books['stage_gradients'][stage][1]:,.0f}",
            "what": notes[stage],
        }
        for stage, (rounds, sweeps) in books["stages"].items()
    ]


def course(facts: Facts) -> Course:
    """The log density, averaged over the chains of each group."""
    settings, warm = facts.settings, facts.rounds("warmup_sample_stats")
    rounds = {stage: rounds for stage, (rounds, _) in facts.books.get("stages", {}).items()}
    first = warm + settings["sample"]["burn_rounds"]
    every = settings["sample"]["thin"]
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
    settled = books.get("settled_round")
    return f"{text}; {'has not settled yet' if settled is None else f'settled after round {settled}'}"
