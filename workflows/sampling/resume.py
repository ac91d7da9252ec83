"""Going on with a stored run."""

from pathlib import Path

from ensemble.fleet.compilation_cache import keep_programs
from ensemble.protocol.progress import NullProgress, Progress
from ensemble.store import opening as stores
from ensemble.store.protocol import RunStore
from workflows.modelling.given import recorded_model
from workflows.modelling.model import Model
from workflows.results.preparing import Preparing
from workflows.results.run import Run
from workflows.sampling import starts
from workflows.sampling.drive import drive, ended
from workflows.sampling.fleets import opened_fleet, require_ray, runner_spec, runs_here
from workflows.sampling.interrupt import Stop
from workflows.sampling.problem import Problem, find_problem
from workflows.sampling.run_settings import run_settings
from workflows.sampling.sample import sample
from workflows.sampling.versions import changed_versions, versions
from workflows.settings.loading import Settings, resume_settings
from workflows.settings.source import Changes


def resume(
    path: Path,
    changes: Changes = (),
    given: Model | None = None,
    *,
    previous_checkpoint: bool = False,
    local: bool | None = None,
    progress: Progress | None = None,
) -> Run:
    """Go on with a stored run, with other goals, limits or workers: the draws are those of one uninterrupted run. One
    that was killed before its first checkpoint begins anew.

    changes: texts `a.b=c`, or a nested or dotted dictionary. given: the model where it was given as an object.
    previous_checkpoint: go back to the checkpoint before the last, which is damaged. local: as in `sample`. Raises
    MaxwellError for bad input and Interrupted after Ctrl-C.
    """
    shown = progress or NullProgress()
    if unkept := keep_programs():
        shown.message(unkept)
    attributes = stores.reader(path).attributes
    settings = resume_settings(attributes["settings"], changes, name=attributes.get("config_name", path.stem))
    require_ray(settings, local)
    if not previous_checkpoint and stores.unbegun(path) is not None:
        model = recorded_model(path, attributes, given)
        return sample(settings, path, given and model, local=local, progress=shown, anew=True)
    with stores.hold(path, previous_checkpoint=previous_checkpoint) as take_over:
        if changed := changed_versions(attributes["versions"]):
            shown.message(changed)
        preparing = Preparing(shown)
        model = recorded_model(path, attributes, given)
        preparing.done("the model")
        problem = find_problem(model, settings)
        preparing.done("its structure")
        preparing.begins("opening the store, starting the workers and compiling")
        with take_over() as store:
            stop = _gone_on(store, problem, settings, given, local, shown)
    return ended(path, given, stop=stop)


def _gone_on(
    store: RunStore, problem: Problem, settings: Settings, given: Model | None, local: bool | None, shown: Progress
) -> Stop | None:
    """One sitting of a run, from its last checkpoint on; see `drive`."""
    stored = {name: variable.dtype for name, variable in store.layout.groups["posterior"].items()}
    chosen = run_settings(settings, problem, store.attributes.get(starts.GENERATION, 0), stored)
    spec = runner_spec(problem, settings, chosen.shard, given)
    with opened_fleet(spec, settings, runs_here(local, settings, problem)) as fleet:
        changed = {"settings": settings.model_dump(mode="json"), "resumed_with": versions()}
        return drive(fleet, store, problem, chosen, shown, lambda runs: runs.resume(), changed)
