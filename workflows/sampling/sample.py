"""A new run, from its settings to its last draw."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ensemble.fleet.compilation_cache import keep_programs
from ensemble.protocol.progress import NullProgress, Progress
from ensemble.shard.audit import AuditError
from ensemble.store import opening as stores
from workflows.modelling.fingerprint import compare_fingerprints, fingerprint
from workflows.modelling.given import is_object
from workflows.modelling.model import Model
from workflows.modelling.naming import AS_OBJECT, SHIPPED
from workflows.modelling.registry import build
from workflows.results.preparing import Preparing
from workflows.results.run import Run
from workflows.sampling import starts
from workflows.sampling.drive import drive, ended
from workflows.sampling.fleets import opened_fleet, require_ray, runner_spec, runs_here
from workflows.sampling.problem import Problem, find_problem, without_structure
from workflows.sampling.run_settings import run_settings
from workflows.sampling.store_plan import draws_of_a_chunk, layout, narrowed, types, variables
from workflows.sampling.versions import versions
from workflows.settings.loading import Settings


def sample(
    settings: Settings,
    path: Path,
    given: Model | None = None,
    *,
    local: bool | None = None,
    progress: Progress | None = None,
    anew: bool = False,
) -> Run:
    """Sample a model and store the run at `path`, where nothing must be yet, or this very run, killed before its first
    checkpoint.

    given: the model as an object; None builds the one that the settings name. local: in this process (True) or on Ray
    (False); None: by `fleets.runs_here`. anew: a run that was killed so early may have had other goals. Raises
    MaxwellError for bad input and Interrupted after Ctrl-C.
    """
    left = _left_over(settings, path, given, anew)
    stores.require_place(path, over=left is not None)
    shown = progress or NullProgress()
    if left is not None:
        shown.message(f"the run in {path} had ended before its first checkpoint: it begins anew")
    if unkept := keep_programs():
        shown.message(unkept)
    try:
        return _sampled(settings, path, given, local, shown, left)
    except AuditError as error:
        plainer = without_structure(settings, given)
        if plainer is None:
            raise
        shown.message(f"{error} The run begins anew with all parameters in one block, which needs no structure.")
        shutil.rmtree(path)
        return _sampled(plainer, path, given, local, shown)


def _left_over(settings: Settings, path: Path, given: Model | None, anew: bool) -> dict[str, Any] | None:
    """The attributes of this run's store where it was killed before its first checkpoint; None where there is none."""
    left = stores.unbegun(path) or {}
    of_this = left.get(AS_OBJECT) == is_object(settings.model.name, given)
    same = left.get("settings") == settings.model_dump(mode="json")
    return left if left and of_this and (anew or same) else None


def _sampled(
    settings: Settings,
    path: Path,
    given: Model | None,
    local: bool | None,
    shown: Progress,
    left: Mapping[str, Any] | None = None,
) -> Run:
    """One run from its start to its end. left: attributes of a store at `path` that this run left there."""
    generation = starts.generation(settings.start)
    require_ray(settings, local)
    preparing = Preparing(shown)
    model = build(settings.model.name, settings.model.keys) if given is None else given
    preparing.done("the model")
    for note in model.notes:
        shown.message(note)
    if left is not None and compare_fingerprints(left["fingerprint"], fingerprint(model)):
        left = None
        stores.require_place(path)
    problem = find_problem(model, settings)
    preparing.done("its structure")
    chosen = run_settings(settings, problem, generation)
    stored = types(settings, problem, chosen.shard)
    if sentence := narrowed(stored):
        shown.message(sentence)
    preparing.begins(f"finding starts for {settings.ensemble.replicas:,} chains, and compiling")
    begin = starts.beginning(settings, model, chosen.shard)
    spec = runner_spec(problem, settings, chosen.shard, given)
    with opened_fleet(spec, settings, runs_here(local, settings, problem)) as fleet:
        fleet.initialise(begin.starts)
        arrays = layout(
            problem,
            chosen.shard,
            chosen.superchains,
            draws_of_a_chunk(
                variables(problem, stored)["posterior"].values(),
                chosen.superchains * chosen.shard.stored,
                settings.store.commit_rounds * chosen.shard.draws,
                chosen.record.max_draws,
            ),
            stored,
        )
        attributes = _attributes(settings, problem, generation, is_object(settings.model.name, given))
        with stores.create(path, arrays, attributes, over=left is not None) as store:
            stop = drive(fleet, store, problem, chosen, shown, lambda runs: runs.start(begin.handover))
    return ended(path, given, stop=stop)


def _attributes(settings: Settings, problem: Problem, generation: int, as_object: bool) -> dict[str, Any]:
    """What the store says of its run."""
    return {
        "model": settings.model.name,
        AS_OBJECT: as_object,
        SHIPPED: problem.model.shipped,
        "seed": settings.seed,
        starts.GENERATION: generation,
        "settings": settings.model_dump(mode="json"),
        "config_name": settings.config_name,
        "fingerprint": fingerprint(problem.model),
        "versions": versions(),
    }
