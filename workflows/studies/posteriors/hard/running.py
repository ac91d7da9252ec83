"""One run of a hard posterior under the defaults, and the line that says what came of it."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensemble.errors import MaxwellError
from ensemble.store import opening as stores
from workflows.modelling.model import Model
from workflows.results.run import Run
from workflows.sampling.drive import drive
from workflows.sampling.fleets import opened_fleet, runner_spec
from workflows.sampling.problem import find_problem
from workflows.sampling.run_settings import run_settings
from workflows.sampling.session import sample
from workflows.sampling.store_plan import layout
from workflows.settings.loading import make_settings
from workflows.studies.posteriors.hard.hard import Aspect, Draws, Hard
from workflows.studies.posteriors.hard.judging import judge
from workflows.studies.posteriors.hard.watching import Check, Watch, checked, old_rule, until

STARTS = ("dispersed", "box")
"""Where runs find their own starts: N(0, 10) in every coordinate, or uniform(-2, 2)."""
PLANTED = ("drawn", "given")
"""How an ensemble is planted: as if the run had drawn these starts itself, or as a user gives them in a file."""


class Case(NamedTuple):
    """What identifies a run."""

    name: str
    start: str
    seed: int


def cases(entry: Hard, seeds: Sequence[int]) -> list[Case]:
    """The runs of a posterior: both kinds of starts in turn."""
    kinds = STARTS if entry.planted is None else PLANTED
    return [Case(entry.name, kinds[seed % 2], seed) for seed in seeds]


def run(entry: Hard, model: Model, aspects: Sequence[Aspect], case: Case, minutes: float) -> dict[str, Any]:
    """Make a run and judge it: its line. An error of the run is told in it."""
    began = time.monotonic()
    line: dict[str, Any] = {**case._asdict(), "minutes": minutes, "error": None}
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(Path(folder) / "run.zarr")
        try:
            made = _sampled(entry, model, case, minutes, watch)
            line |= _found(made, aspects, watch)
        except MaxwellError as error:
            line["error"] = f"{type(error).__name__}: {error}"[:500]
    return {**line, "said": watch.said, "seconds": round(time.monotonic() - began, 2)}


def _found(made: Run, aspects: Sequence[Aspect], watch: Watch) -> dict[str, Any]:
    """What the run says of itself, whether that is so, and what the old rule would have said."""
    summary, last = made.summary(), checked(made.path)
    keys = ("stage", "sweeps", "draws", "relocated", "compile_seconds", "ess_stored_min", "tail_ess_stored_min")
    limits = ("nested_rhat_max", "tail_rhat_max", "furthest_chain", "furthest_chain_limit", "drift", "drift_limit")
    heights = ("log_density_ess", "log_density_ess_stored", "log_density_rhat")
    line = {key: summary.get(key) for key in (*keys, *limits, *heights)}
    if last is None:
        return {**line, "met": False, "unmet": ["no ESS yet"], "verdict": None, "old_at_end": False, "first": None}
    draws = {str(name): values.to_numpy() for name, values in made.data["posterior"].data_vars.items()}
    first = watch.first if watch.first is not None or not old_rule(last.unmet) else last
    return {
        **line,
        "met": not last.unmet,
        **_looked(draws, aspects, last),
        "old_at_end": old_rule(last.unmet),
        "first": None if first is None else _looked(draws, aspects, first),
    }


def _looked(draws: Draws, aspects: Sequence[Aspect], check: Check) -> dict[str, Any]:
    """What is to be said of a run at a check, of the draws up to then: the goals that are not met, and whether the
    answer is right."""
    verdict = judge(aspects, until(draws, check), check.errors)
    return {"stored": check.draws, "unmet": check.unmet, "verdict": verdict}


def _sampled(entry: Hard, model: Model, case: Case, minutes: float, watch: Watch) -> Run:
    """A run with the settings that users have, but for seed, starts and limit."""
    limits = {"minutes": minutes}
    if case.start in STARTS:
        kind = {"dispersed": "prior", "box": "uniform"}[case.start]
        return sample(
            model, out=watch.path, local=True, progress=watch, seed=case.seed, start={"kind": kind}, limits=limits
        )
    settings = make_settings({"model": {"name": entry.name}, "seed": case.seed, "limits": limits}, name=entry.name)
    states = _planted(entry, case.seed, settings.ensemble.replicas)
    if case.start == "drawn":
        return _from_states(model, settings, states, watch)
    file = watch.path.parent / "starts.npz"
    np.savez(file, allow_pickle=False, **states)
    start = {"kind": "given", "file": str(file)}
    return sample(model, out=watch.path, local=True, progress=watch, seed=case.seed, start=start, limits=limits)


def _planted(entry: Hard, seed: int, chains: int) -> Draws:
    if entry.planted is None:
        raise ValueError(f"{entry.name} has no planted starts; its runs find their own: {', '.join(STARTS)}")
    return entry.planted(np.random.default_rng((1302, seed)), chains)


def _from_states(model: Model, settings: Any, states: Draws, watch: Watch) -> Run:
    """A run of default settings whose replicas stand in these states when it begins."""
    problem = find_problem(model, settings)
    chosen = run_settings(settings, problem)
    each = chosen.shard.replicas
    starts = [
        {f"rung/0/position/{site}": values[first : first + each] for site, values in states.items()}
        for first in range(0, chosen.replicas, each)
    ]
    arrays = layout(problem, chosen.shard, chosen.superchains, settings.store.commit_rounds * chosen.shard.draws)
    attributes = {"model": model.name, "settings": settings.model_dump(mode="json")}
    with (
        opened_fleet(runner_spec(problem, settings, chosen.shard, model), settings, local=True) as fleet,
        stores.create(watch.path, arrays, attributes) as store,
    ):
        fleet.initialise(starts)
        drive(fleet, store, problem, chosen, watch, lambda runs: runs.start())
    return Run(watch.path, model)
