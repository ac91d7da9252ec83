"""Going on with a stored run."""

from pathlib import Path

from ensemble.fleet.compilation_cache import keep_programs
from ensemble.protocol.progress import NullProgress, Progress
from ensemble.store import opening as stores
from workflows.modelling.given import recorded_model
from workflows.modelling.model import Model
from workflows.results.run import Run
from workflows.sampling import starts
from workflows.sampling.drive import drive, ended
from workflows.sampling.fleets import opened_fleet, require_ray, runner_spec, runs_here
from workflows.sampling.problem import find_problem
from workflows.sampling.run_settings import run_settings
from workflows.sampling.versions import changed_versions, versions
from workflows.settings.loading import resume_settings
from workflows.settings.source import Changes


def resume(
    path: Path,
    changes: Changes = (),
    given: Model | None = None,
    *,
    local: bool | None = None,
    progress: Progress | None = None,
) -> Run:
    """Go on with a stored run, with other goals, limits or workers: the draws are those of one uninterrupted run.

    changes: texts `a.b=c`, or a nested or dotted dictionary. given: the model where it was given as an object. local:
    as in `sample`. Raises MaxwellError for bad input and Interrupted after Ctrl-C.
    """
    shown = progress or NullProgress()
    if unkept := keep_programs():
        shown.message(unkept)
    attributes = stores.reader(path).attributes
    settings = resume_settings(attributes["settings"], changes, name=path.stem)
    require_ray(settings, local)
    problem = find_problem(recorded_model(path, attributes, given), settings)
    with stores.reopen(path) as store:
        for line in changed_versions(attributes["versions"]):
            shown.message(line)
        stored = {name: variable.dtype for name, variable in store.layout.groups["posterior"].items()}
        chosen = run_settings(settings, problem, attributes.get(starts.GENERATION, 0), stored)
        spec = runner_spec(problem, settings, chosen.shard, given)
        with opened_fleet(spec, settings, runs_here(local, settings, problem)) as fleet:
            changed = {"settings": settings.model_dump(mode="json"), "resumed_with": versions()}
            kept = drive(fleet, store, problem, chosen, shown, lambda runs: runs.resume(), changed)
    return ended(path, given, kept=kept)
