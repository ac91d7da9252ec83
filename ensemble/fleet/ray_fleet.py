"""The shards on Ray workers, and their recovery; ray_connection tells on which Ray.

The driver owns the truth. It keeps the last committed state of every shard and the plans run since. A worker that dies
is replaced by a new one, which loads that state, replays those plans and is asked again. A runner is a function of
state and plan, so the results are the same bits as if nothing had died.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, NoReturn, Self

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    RuntimeEnvSetupError,
    WorkerCrashedError,
)

from ensemble.errors import FleetError, WorkersLost, WorkInterrupted
from ensemble.fleet.ray_connection import cluster_answers, connection, process_began
from ensemble.fleet.ray_deaths import gist, given_up, numbers
from ensemble.fleet.ray_environment import worker_environment
from ensemble.fleet.ray_places import Missing, none_left, not_come
from ensemble.fleet.ray_worker import Call, Restart, Worker, copied, unchanged
from ensemble.protocol.plans import Arrays, RoundPlan, RoundResult, RunnerSpec

DEATHS = (RayActorError, OutOfMemoryError, WorkerCrashedError, NodeDiedError, ObjectLostError)
"""What a call raises when the worker, its process or its machine is gone, and not the work at fault."""
MOST_DEATHS = 5
"""A shard that loses its worker this many times before it answers once is given up."""
POLL_SECONDS = 1.0

logger = logging.getLogger(__name__)


class RayFleet:
    """Shards on Ray workers (implements ensemble.fleet.local.Fleet).

    address: of a running cluster; None uses the Ray that this process is connected to, else starts a private one here.
    gpus: per worker. patience: seconds to wait for a worker, or the replacement of a dead one, to find a free place in
    the cluster; starting: seconds for one that has a place to answer. Both may be changed at any time.
    Raises FleetError where there are more workers than shards or places, or where a shard kills worker after worker.
    """

    remote = True

    def __init__(
        self,
        spec: RunnerSpec,
        shards: int,
        workers: int,
        address: str | None = None,
        *,
        gpus: int = 0,
        patience: float = 120.0,
        starting: float = 600.0,
    ) -> None:
        if not 1 <= workers <= shards:
            raise FleetError(
                f"{workers} workers were asked for and there are {shards} shards: a shard is carried by one worker. "
                f"Ask for 1 to {shards} workers."
            )
        self.shards = shards
        self.workers = workers
        self.patience, self.starting = patience, starting
        self._alone = address is None and not ray.is_initialized()
        self._owner = [shard * workers // shards for shard in range(shards)]
        self._actors: dict[int, Any] = {}
        self._pids: dict[int, int] = {}
        self._peaks = [0] * workers
        self._restart = Restart(-1, None, [])
        self._handed: Restart | None = None
        self._epoch = -1
        self._whole = False
        self._stop_requested: Callable[[], bool] = lambda: False
        with ExitStack() as undo:
            undo.enter_context(connection(address, workers))
            undo.callback(self._dismiss)
            self._spec, self._data = _shipped(spec._replace(data=None)), ray.put(spec.data)
            self._actor_type: Any = ray.remote(**_actor_options(gpus))(Worker)
            if missing := self._hire(range(workers)):
                raise FleetError(not_come(workers, missing, patience, starting, ray.cluster_resources()))
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def initialise(self, starts: list[Arrays] | None = None) -> None:
        """Put every shard at its initial state, epoch -1: that of the start given for it, or of its own."""
        if starts is not None:
            self._require_one_each("starts", starts)
        self._start_from(Restart(-1, starts, [], begin=True))

    def load(self, epoch: int, states: list[Arrays]) -> None:
        """Put every shard at a committed state."""
        self._require_one_each("states", states)
        self._start_from(Restart(epoch, states, []))

    def run(self, plan: RoundPlan) -> list[RoundResult]:
        """Run one round on every shard; the arrays of the results are read-only.

        An exception of the runner itself arrives as it was raised and is not tried again; the shards then stand at
        different epochs, so `load` or `initialise` must come next.
        """
        self._require_whole("run")
        self._whole = False
        reference = ray.put(plan)
        answers = self._gather(lambda shard: self._carrier(shard).run.remote(shard, reference))
        for shard, (_, peak) in enumerate(answers):
            worker = self._owner[shard]
            self._peaks[worker] = max(self._peaks[worker], peak)
        self._restart.plans.append(reference)
        self._epoch = plan.epoch
        self._whole = True
        return [result for result, _ in answers]

    def states(self) -> list[Arrays]:
        """The complete state of every shard after the last round, copied out of Ray's object store."""
        self._require_whole("states")
        states = self._gather(lambda shard: self._carrier(shard).state.remote(shard), take=copied)
        self._handed = Restart(self._epoch, states, list(self._restart.plans))
        return states

    def committed(self) -> None:
        """The states last handed out are safe: a lost worker restarts from them and earlier plans are forgotten."""
        if self._handed is None:
            return
        since = self._restart.plans[len(self._handed.plans) :]
        self._restart = self._handed._replace(plans=since)
        self._handed = None

    def heed(self, stop_requested: Callable[[], bool]) -> None:
        """Replace no worker once a stop was asked for: what needs one that is lost then raises WorkersLost."""
        self._stop_requested = stop_requested

    def close(self) -> None:
        """End the workers, and Ray itself where this fleet started it. Closing twice does nothing."""
        self._undo.close()

    def pids(self) -> list[int]:
        """The process of every live worker, in worker order."""
        return [self._pids[worker] for worker in sorted(self._pids)]

    def peak_memory(self) -> list[int]:
        """The most memory [bytes] that each worker was seen to use at the end of a round, replaced ones included."""
        return list(self._peaks)

    def _start_from(self, restart: Restart) -> None:
        """Put every shard at a restart point."""
        self._whole = False
        self._restart, self._handed, self._epoch = restart, None, restart.epoch
        self._gather(self._ask_restore)
        self._whole = True

    def _carrier(self, shard: int) -> Any:
        """The actor that holds a shard."""
        return self._actors[self._owner[shard]]

    def _ask_restore(self, shard: int) -> ray.ObjectRef:
        return self._carrier(shard).restore.remote(*self._restart.arguments(shard))

    def _gather(self, ask: Callable[[int], ray.ObjectRef], take: Callable[[Any], Any] = unchanged) -> list[Any]:
        """Put one question to every shard; the answers, each passed through `take`, in shard order.

        The shards of workers that die on the way are restored elsewhere and asked again, those that had answered
        included: the state behind that answer is gone.
        """
        answers: dict[int, Any] = {}
        losses: Counter[int] = Counter()
        calls = {ask(shard): Call(shard, take) for shard in range(self.shards)}
        while calls:
            deaths = self._collect(calls, answers)
            self._refuse_replacing(deaths)
            lost = [shard for shard in range(self.shards) if self._owner[shard] in deaths]
            losses.update(shard for shard in lost if shard not in answers)
            self._refuse_deadly(losses, deaths)
            self._replace(deaths)
            for shard in lost:
                answers.pop(shard, None)
            restores = {self._ask_restore(shard): Call(shard, None) for shard in lost}
            calls = restores | {ask(shard): Call(shard, take) for shard in lost}
        return [answers[shard] for shard in range(self.shards)]

    def _collect(self, calls: dict[ray.ObjectRef, Call], answers: dict[int, Any]) -> dict[int, Exception]:
        """Wait for every call and file the answers; returns the workers found dead, each with what Ray said.

        `calls` is emptied, so that no reference outlives its answer. Exceptions of the runner itself are raised.
        """
        deaths: dict[int, Exception] = {}
        while calls:
            self._require_cluster()
            done, _ = ray.wait(list(calls), timeout=POLL_SECONDS)
            self._require_cluster()
            for reference in done:
                shard, take = calls.pop(reference)
                try:
                    answer = ray.get(reference)
                except DEATHS as death:
                    deaths[self._owner[shard]] = death
                except RayTaskError as failure:
                    raise_as_there(failure)
                else:
                    if take is not None:
                        answers[shard] = take(answer)
        return deaths

    def _refuse_deadly(self, losses: Counter[int], deaths: dict[int, Exception]) -> None:
        """Give up on a shard that has lost worker after worker without an answer."""
        deadly = [shard for shard, count in losses.items() if count >= MOST_DEATHS]
        if not deadly:
            return
        worker = self._owner[deadly[0]]
        raise FleetError(given_up(deadly, MOST_DEATHS, deaths[worker], self._peaks[worker]))

    def _require_cluster(self) -> None:
        """Raise WorkersLost where the cluster, and all workers with it, was asked to stop as this process was."""
        if self._stop_requested() and not cluster_answers():
            self._refuse_replacing(dict.fromkeys(range(self.workers)))

    def _refuse_replacing(self, deaths: Mapping[int, Exception | None]) -> None:
        """Where workers died, raise WorkersLost after a stop was asked for, FleetError where their cluster is gone."""
        if deaths and self._stop_requested():
            raise WorkersLost(
                f"Workers {numbers(deaths)} were lost after a stop was asked for, and the rounds since the last commit "
                "with them: no worker is replaced then."
            )
        if deaths and not cluster_answers():
            raise FleetError(
                f"Workers {numbers(deaths)} are lost, and the Ray cluster they belonged to no longer answers. Resume "
                "the run when there is one again."
            )

    def _replace(self, deaths: dict[int, Exception]) -> None:
        """Start a new worker for each dead one; where the cluster has no place for it, the others take its shards."""
        for worker, death in deaths.items():
            logger.warning(
                "Worker %d (process %s) died: %s Its shards %s go back to epoch %d and replay %d rounds.",
                worker,
                self._pids.get(worker),
                gist(death),
                numbers(shard for shard in range(self.shards) if self._owner[shard] == worker),
                self._restart.epoch,
                len(self._restart.plans),
            )
            self._discharge(worker)
        if missing := self._hire(deaths):
            self._refuse_replacing(deaths)
        self._hand_over(missing)

    def _hand_over(self, missing: Missing) -> None:
        """Deal the shards of workers that did not come to the others."""
        survivors = sorted(self._actors)
        if missing and not survivors:
            raise FleetError(none_left(missing, self.patience, self.starting))
        orphans = [shard for shard in range(self.shards) if self._owner[shard] in missing]
        for place, shard in enumerate(orphans):
            self._owner[shard] = survivors[place % len(survivors)]

    def _hire(self, workers: Iterable[int]) -> Missing:
        """Start a process for each of these workers; returns those that did not come in time.

        A process that dies at once is no concern of this: the next question to it will find it dead.
        """
        started: dict[int, Any] = {worker: self._actor_type.remote(self._spec, self._data) for worker in workers}
        answers = {actor.pid.remote(): worker for worker, actor in started.items()}
        self._actors.update(started)
        ready = self._answered(answers)
        for reference in ready:
            try:
                self._pids[answers[reference]] = ray.get(reference)
            except RuntimeEnvSetupError as error:
                raise FleetError(
                    f"The cluster could not prepare a worker for the code that it was sent: {error}"
                ) from error
            except DEATHS:
                pass
        absent = set(started) - {answers[reference] for reference in ready}
        missing = {worker: self._has_place(worker) for worker in sorted(absent)}
        for worker in missing:
            self._discharge(worker)
        return missing

    def _answered(self, workers: Mapping[ray.ObjectRef, int]) -> list[ray.ObjectRef]:
        """Those of new workers that answered in time; of all that were there when a stop was asked for."""
        begin, first = time.monotonic(), min(self.patience, self.starting)
        ready: list[ray.ObjectRef] = []
        waiting = list(workers)
        while waiting and not self._stop_requested():
            waited = time.monotonic() - begin
            if waited >= first and all(waited >= self._limit(workers[reference]) for reference in waiting):
                break
            left = first - waited if waited < first else POLL_SECONDS
            ready, waiting = ray.wait(list(workers), num_returns=len(workers), timeout=min(left, POLL_SECONDS))
        return ready

    def _limit(self, worker: int) -> float:
        """Seconds that a new worker has to answer in, as things stand."""
        return self.starting if self._has_place(worker) else self.patience

    def _has_place(self, worker: int) -> bool:
        """Whether a new worker that says nothing is on its way: a Ray started for this fleet has a place for each."""
        return self._alone or process_began(self._actors[worker])

    def _discharge(self, worker: int) -> None:
        """Make sure that a worker is gone, even one that was only out of reach."""
        self._pids.pop(worker, None)
        ray.kill(self._actors.pop(worker), no_restart=True)

    def _dismiss(self) -> None:
        """End every worker, unless the cluster is gone with them."""
        if not cluster_answers():
            return
        for worker in sorted(self._actors):
            self._discharge(worker)

    def _require_one_each(self, what: str, given: list[Arrays]) -> None:
        if len(given) != self.shards:
            raise FleetError(f"{len(given)} {what} were given for {self.shards} shards: give one for each.")

    def _require_whole(self, action: str) -> None:
        if not self._whole:
            raise FleetError(
                f"`{action}` needs every shard at one epoch, and the shards were never started or their last round "
                "did not finish. Call `initialise` or `load` with committed states first."
            )


def raise_as_there(failure: RayTaskError) -> NoReturn:
    """Raise what the work raised in a worker, with the cause that it brought along; an interrupt is one here too."""
    cause: Exception = failure.cause
    if isinstance(cause, WorkInterrupted):
        raise KeyboardInterrupt from failure
    raise cause from cause.__cause__ or failure


def _shipped(spec: RunnerSpec) -> ray.ObjectRef:
    """A reference to the spec in Ray's object store, its functions by value where no other machine finds them."""
    try:
        return ray.put(spec)
    except TypeError as error:
        raise FleetError(
            f"The model cannot be sent to other processes: {error.__cause__ or error}. Make it of plain functions that "
            "get their data as arguments and open files inside; or run in this process (local=True)."
        ) from error


def _actor_options(gpus: int) -> dict[str, Any]:
    """One core a worker, machines taken in turn. Ray restarts nothing: the fleet does, as it knows the states."""
    return {
        "num_cpus": 1,
        "num_gpus": gpus,
        "max_restarts": 0,
        "max_task_retries": 0,
        "scheduling_strategy": "SPREAD",
        "runtime_env": {"env_vars": worker_environment()},
    }
