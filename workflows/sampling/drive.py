"""A coordinator from its first round in this process to its last, stopped politely by Ctrl-C and other signals."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ensemble.errors import MaxwellError, WorkersLost
from ensemble.fleet.local import Fleet
from ensemble.protocol.progress import Progress
from ensemble.run.coordinator import Coordinator
from ensemble.run.settings import RunSettings
from ensemble.run.sitting import Sitting
from ensemble.store.protocol import RunStore
from workflows.modelling.model import Model
from workflows.results.run import Run
from workflows.sampling.interrupt import EVERY_ROUND, LAST_COMMIT, Interrupted, Stop
from workflows.sampling.problem import Problem
from workflows.sampling.signals import StopOnSignal


def drive(
    fleet: Fleet,
    store: RunStore,
    problem: Problem,
    settings: RunSettings,
    progress: Progress,
    begin: Callable[[Coordinator], None],
    attributes: Mapping[str, Any] = MappingProxyType({}),
) -> Stop | None:
    """Run to the end; the first Ctrl-C (or SIGTERM, SIGHUP, SIGUSR1, ...) stops after the round, the second at once.

    begin: starts or resumes the coordinator. attributes: of the store, committed with all else. Returns how the
    user stopped it before its goals were met, else None. MaxwellErrors say that it began.
    """
    for sentence in problem.spec.structure.joined:
        progress.message(sentence)
    with StopOnSignal() as signal:
        sitting = Sitting(progress, signal.received, attributes)
        fleet.heed(signal.received)
        coordinator = Coordinator(fleet, store, problem.spec, settings, sitting)
        try:
            begin(coordinator)
            outcome = coordinator.run()
        except WorkersLost:
            return Stop(LAST_COMMIT)
        except MaxwellError as error:
            error.began = True
            raise
    return Stop(EVERY_ROUND, outcome.by) if outcome.interrupted and not outcome.done else None


def ended(path: Path, given: Model | None, *, stop: Stop | None) -> Run:
    """The run at `path`. Raises Interrupted where the user stopped it."""
    run = Run(path, given)
    if stop is not None:
        raise Interrupted(run, stop)
    return run
