"""A coordinator from its first round in this process to its last, stopped politely by Ctrl-C."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ensemble.fleet.local import Fleet
from ensemble.protocol.progress import Progress
from ensemble.run.coordinator import Coordinator
from ensemble.run.settings import RunSettings
from ensemble.run.sitting import Sitting
from ensemble.store.protocol import RunStore
from workflows.modelling.model import Model
from workflows.results.run import Run
from workflows.sampling.interrupt import Interrupted, StopOnSignal
from workflows.sampling.problem import Problem


def drive(
    fleet: Fleet,
    store: RunStore,
    problem: Problem,
    settings: RunSettings,
    progress: Progress,
    begin: Callable[[Coordinator], None],
    attributes: Mapping[str, Any] = MappingProxyType({}),
) -> bool:
    """Run to the end; the first Ctrl-C (or SIGTERM) stops after the round, the second at once.

    begin: starts or resumes the coordinator. attributes: of the store, committed with all else. Returns whether the
    user stopped it before its goals were met.
    """
    for sentence in problem.spec.structure.joined:
        progress.message(sentence)
    with StopOnSignal() as signal:
        sitting = Sitting(progress, signal.received, attributes)
        coordinator = Coordinator(fleet, store, problem.spec, settings, sitting)
        begin(coordinator)
        outcome = coordinator.run()
    return outcome.interrupted and not outcome.done


def ended(path: Path, given: Model | None, *, stopped: bool) -> Run:
    """The run at `path`. Raises Interrupted where the user stopped it."""
    run = Run(path, given)
    if stopped:
        raise Interrupted(run)
    return run
