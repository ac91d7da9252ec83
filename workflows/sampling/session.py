"""Runs from Python: models as objects, stores that live as long as a run, interrupts that leave the run in hand."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ensemble.errors import MaxwellError, StoreError
from ensemble.fleet.compilation_cache import keep_programs
from ensemble.protocol.progress import NullProgress, Progress
from ensemble.store import opening as stores
from workflows.modelling import given as models
from workflows.modelling.model import Model
from workflows.results.progress import make_progress
from workflows.results.run import Run
from workflows.results.temporary import TemporaryFolder
from workflows.sampling import resume as resuming
from workflows.sampling import sample as sampling
from workflows.sampling.configuration import named_settings
from workflows.sampling.interrupt import Interrupted, Stop
from workflows.settings.loading import Settings, make_settings
from workflows.settings.source import Changes


class OwnRun(Run):
    """A run that Python can go on with: it holds the model that it was given."""

    def resume(
        self,
        *,
        previous_checkpoint: bool = False,
        progress: bool | Progress | None = True,
        local: bool | None = None,
        settings: Changes = (),
        **sections: Any,
    ) -> "OwnRun":
        """Go on with other goals, limits or workers, as in `run.resume(goals={"ess": 1000})`; see maxwell.resume."""
        return resume(
            self,
            previous_checkpoint=previous_checkpoint,
            progress=progress,
            local=local,
            settings=settings,
            **sections,
        )


def sample(
    model: Any,
    data: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    progress: bool | Progress | None = True,
    local: bool | None = None,
    settings: Changes = (),
    **sections: Any,
) -> OwnRun:
    """Sample the posterior of a model.

        run = maxwell.sample(model, {"y": y}, goals={"ess": 1000}, seed=1)
        arviz.summary(run.data)

    model: a NumPyro model function, a PyMC or Bambi model, a Model that a front end returned, the name of a shipped
    model, or "module:function".
    data: the arguments of a NumPyro function (arrays are traced, integers and text compiled in), or the settings of a
    named model. out: a folder for the store, where nothing must be yet; None: the draws are kept as long as the run
    that is returned. progress: True, False, or a display of one's own. local: in this process (True) or on Ray workers
    (False); None: here where it is small or there is one core, unless ensemble.workers or ensemble.address are given.
    sections: settings as `maxwell run --help-settings` lists them, a dictionary a section; settings: the same with
    dotted keys, {"goals.ess": 1000}.

    The same settings and seed give the same draws, here and on any number of workers. Interrupting (Ctrl-C, the stop
    button, SIGTERM) ends after the round at work: a notebook or interactive session gets the run as it stands, to look
    at or go on with by its method resume(); a script gets Interrupted, with the run as its attribute `run`. A second
    one ends at once, at the last commit. Raises MaxwellError for bad input, and ModelFailed, chained to it, for what
    the model's own code raises; where the run had begun it has what was committed as its attribute `run`.
    """
    if out is not None:
        stores.require_place(out, over=True)
    keep_programs()  # a front end compiles already; what cannot be kept is said when the run begins
    given = None if isinstance(model, str) else models.as_model(model, data)
    named = {"name": given.name} if given is not None else {**models.as_settings(model, data), "name": model}
    chosen = make_settings({"model": named}, _changes(settings, sections), name=named["name"])
    return _new(chosen, out, given, progress, local)


def run(
    config: str | Path | Mapping[str, Any] | Settings,
    settings: Changes = (),
    *,
    out: str | Path | None = None,
    progress: bool | Progress | None = True,
    local: bool | None = None,
    **sections: Any,
) -> OwnRun:
    """Sample what a config says: a YAML file, the name of a shipped config or model, a nested dictionary, or Settings.

    settings: changes, as texts "goals.ess=200" or a dictionary; sections: the same, a dictionary a section. out: by
    default runs/<name of the config>.zarr. All else as in `sample`.
    """
    chosen = _settings(config, _changes(settings, sections))
    return _new(chosen, out or chosen.default_store, None, progress, local)


def resume(
    run: Run | str | Path,
    model: Any = None,
    data: Mapping[str, Any] | None = None,
    *,
    previous_checkpoint: bool = False,
    progress: bool | Progress | None = True,
    local: bool | None = None,
    settings: Changes = (),
    **sections: Any,
) -> OwnRun:
    """Go on with a run or the store of one, with other goals, limits or workers: as if it had never stopped.

    model, data: as in `sample`, where the model was given as an object and this is not the run that holds it; it must
    be the recorded one. settings, sections: what changes, as {"goals.ess": 1000} or goals={"ess": 1000}. Interrupts
    are as in `sample`. Raises MaxwellError for bad input.
    """
    if not isinstance(run, Run):
        run = open_run(run, model, data)
    elif model is not None:
        run = OwnRun(run.path, models.as_model(model, data), run.folder)
    path, given, folder = run.path, run.given, run.folder
    changes = _changes(settings, sections)
    return _in_hand(
        lambda shown: resuming.resume(
            path, changes, given, previous_checkpoint=previous_checkpoint, local=local, progress=shown
        ),
        lambda: OwnRun(path, given, folder),
        progress,
    )


def open_run(store: str | Path, model: Any = None, data: Mapping[str, Any] | None = None) -> OwnRun:
    """A stored run, finished or still going. model, data: as in `sample`, for resume() and export() of a run whose
    model was given as an object. Raises StoreError where there is none."""
    given = None if model is None else models.as_model(model, data)
    return OwnRun(store, given or models.of_main(stores.reader(store).attributes))


def _new(
    settings: Settings,
    out: str | Path | None,
    given: Model | None,
    progress: bool | Progress | None,
    local: bool | None,
) -> OwnRun:
    """A new run at `out`, or in a folder of its own."""
    if out is None:
        folder = TemporaryFolder()
        path = folder.path / "run.zarr"
    else:
        folder, path = None, Path(out)
    return _in_hand(
        lambda shown: sampling.sample(settings, path, given, local=local, progress=shown),
        lambda: OwnRun(path, given, folder),
        progress,
    )


def _in_hand(work: Callable[[Progress], Run], found: Callable[[], OwnRun], progress: bool | Progress | None) -> OwnRun:
    """The run that `work` makes, in the user's hands however it ends. found: it as it stands in its store."""
    shown = _display(progress)
    try:
        work(shown)
    except Interrupted as interrupted:
        return _stopped(found(), shown, interrupted.stop)
    except KeyboardInterrupt:
        # The second one, or one before the first round: what was committed stays in a session's hands.
        if not is_interactive() or (kept := _committed(found)) is None:
            raise
        return _stopped(kept, shown)
    except MaxwellError as error:
        if error.began and (kept := _committed(found)) is not None:
            error.run = kept
            error.add_note(
                "All up to the last commit is kept in the attribute `run` of this exception: once what is wrong is "
                "mended, the method resume() of that run goes on."
            )
        raise
    finally:
        shown.close()
    return found()


def _committed(found: Callable[[], OwnRun]) -> OwnRun | None:
    try:
        return found()
    except StoreError:
        return None


def _stopped(run: OwnRun, shown: Progress, stop: Stop | None = None) -> OwnRun:
    """Return the run in a session that goes on anyway; a script must not go on as if the run were finished."""
    if not is_interactive():
        raise Interrupted(run, stop) from None
    shown.message(
        f"{str(stop or Stop()).capitalize()}: what was sampled so far is in the run that was returned. Its resume() "
        "goes on."
    )
    return run


def is_interactive() -> bool:
    """Whether a person types: an interpreter or a notebook, not a script."""
    return hasattr(sys, "ps1")


def _display(progress: bool | Progress | None) -> Progress:
    if progress is None or isinstance(progress, bool):
        return make_progress() if progress else NullProgress()
    return progress


def _changes(settings: Changes, sections: Mapping[str, Any]) -> Changes:
    """The settings given in one argument and those given by keyword, which come last."""
    return [*([settings] if isinstance(settings, str | Mapping) else settings), sections]


def _settings(config: str | Path | Mapping[str, Any] | Settings, changes: Changes) -> Settings:
    if isinstance(config, Settings):
        return make_settings(config.model_dump(mode="json"), changes, name=config.config_name)
    if isinstance(config, Mapping):
        return make_settings(config, changes)
    return named_settings(config, changes)
