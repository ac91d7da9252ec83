"""Who carries the shards of a run: this process or workers of Ray, and what each needs to build its runner."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np

from ensemble.fleet.local import Fleet, LocalFleet
from ensemble.protocol.plans import RunnerSpec
from ensemble.shard.settings import ShardSettings
from workflows.modelling.given import is_object
from workflows.modelling.model import Model
from workflows.modelling.registry import reads_files
from workflows.sampling.problem import Problem
from workflows.settings.loading import Settings

SMALL = 1_000_000
"""Numbers (coordinates and data, times replicas) up to which starting Ray is not worth its seconds."""


def runner_spec(problem: Problem, settings: Settings, shard: ShardSettings, given: Model | None = None) -> RunnerSpec:
    """How workers build their runner: from the model's name, or from the target itself where the model was
    given or made of files, which a worker need not have."""
    name, keys = settings.model.name, settings.model.keys
    factory = "workflows.modelling.registry:build"
    if is_object(name, given) or reads_files(name):
        factory, keys = "workflows.modelling.given:carried", {"target": problem.model.target}
    arguments = {
        "model_factory": factory,
        "name": name,
        "keys": keys,
        "spec": problem.spec,
        "settings": shard,
    }
    return RunnerSpec("ensemble.shard.runner:build", arguments, problem.model.data)


@contextmanager
def opened_fleet(spec: RunnerSpec, settings: Settings, local: bool) -> Iterator[Fleet]:
    """The shards' carrier, released at the end whatever happens. local: this process, else Ray."""
    fleet = _started(spec, settings, local)
    try:
        yield fleet
    finally:
        fleet.close()


def _started(spec: RunnerSpec, settings: Settings, local: bool) -> Fleet:
    ensemble = settings.ensemble
    if local:
        return LocalFleet(spec, ensemble.superchains)
    from ensemble.fleet.ray_fleet import RayFleet  # Ray takes seconds to import: not for runs in this process

    workers, seconds = ensemble.worker_count(), ensemble.start_seconds
    return RayFleet(spec, ensemble.superchains, workers, ensemble.address, starting=seconds)


def require_ray(settings: Settings, local: bool | None) -> None:
    """Raise MaxwellError where the cluster that the settings name cannot be joined, or a Ray of this machine's own, if
    one is sure to be wanted, has no place: before a model is built for it."""
    ensemble = settings.ensemble
    if local or (local is None and ensemble.address is None and ensemble.workers == "auto"):
        return
    from ensemble.fleet import ray_connection  # as above

    if ensemble.address is None:
        ray_connection.require_room()
    else:
        ray_connection.require_cluster(ensemble.address)


def runs_here(local: bool | None, settings: Settings, problem: Problem) -> bool:
    """Whether a run stays in this process. local: what was asked for; None: where it is small, or this machine has one
    core, and the settings name neither workers nor a cluster. The draws are the same either way."""
    ensemble = settings.ensemble
    if local is not None:
        return local
    if ensemble.address is not None or ensemble.workers != "auto":
        return False
    numbers = problem.model.target.dimension + sum(np.size(leaf) for leaf in jax.tree.leaves(problem.model.data))
    return ensemble.worker_count() == 1 or ensemble.replicas * numbers <= SMALL
