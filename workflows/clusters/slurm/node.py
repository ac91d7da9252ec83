"""What srun starts on every node of a job: `python -m workflows.clusters.slurm.node OPTIONS -- ARGUMENT...`.

The first node drives the run (`maxwell ARGUMENT...`) and, where there are more, holds the head of a Ray of the job's
own, which the others join. The exit status is that of the run. Where the end of the time cut it short, a file says
that the job is to be queued again; not where nothing was committed, as the next sitting would come no further.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from ensemble.errors import FleetError, StoreError
from ensemble.fleet.stop_signals import STOP_SIGNALS
from ensemble.store import opening as stores
from ensemble.surroundings import SHARED
from workflows.clusters.slurm.sitting import AGAIN, DONE, HEAD, JOINED, TOKEN, Sitting

NOTICES = (signal.SIGUSR1, signal.SIGUSR2)
"""What is sent ahead of the end of a job's time; others mean that the job is not wanted any more, or not here."""
INTERRUPTED = 130
JOIN_SECONDS = 600.0
"""Time for nodes to meet: Python and Ray may lie on a slow file system."""


class Task(NamedTuple):
    """One node's part of a job.

    sitting: where the nodes meet.
    store: of the run.
    rank: number of the node in the job, from 0.
    nodes: how many there are.
    cpus: places for workers on each.
    arguments: those of the command that runs.
    """

    sitting: Sitting
    store: Path
    rank: int
    nodes: int
    cpus: int
    arguments: list[str]


class Messenger:
    """Hands signals on to the command, once it is there, and remembers what came."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.received.append(number)
        # One is enough: schedulers send the same to the program, those around it, and all of a job at once.
        if self.process is not None and len(self.received) == 1:
            self.process.send_signal(number)

    @property
    def noticed(self) -> bool:
        """Whether the job's time is coming to its end, and nobody asked for the job's own."""
        return bool(self.received) and all(number in NOTICES for number in self.received)


def main(argv: Sequence[str] | None = None) -> int:
    """One node's part; the exit status."""
    task = _task(argv)
    messenger = Messenger()
    for number in STOP_SIGNALS:
        signal.signal(number, messenger)
    os.environ[SHARED] = "1"
    if task.rank > 0:
        return _join(task)
    before = _committed(task.store)
    try:
        with _head(task) as more:
            status = _drive(task, more, messenger)
    finally:
        task.sitting.write(DONE)
    if status == INTERRUPTED and messenger.noticed:
        if _committed(task.store) == before:
            _say("nothing was committed in all of this time: the job is not queued again. Give it longer (--time).")
        else:
            task.sitting.write(AGAIN)
    return status


def _task(argv: Sequence[str] | None) -> Task:
    parser = argparse.ArgumentParser(prog="python -m workflows.clusters.slurm.node")
    parser.add_argument("--sitting", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("arguments", nargs="+")
    found = parser.parse_args(argv)
    rank, nodes = int(os.environ.get("SLURM_PROCID", "0")), int(os.environ.get("SLURM_NTASKS", "1"))
    if not found.sitting.parent.is_dir():
        _say(f"{found.sitting.parent} is not seen from here: put the store on a disk that all nodes share")
        raise SystemExit(2)
    return Task(Sitting(found.sitting), found.store, rank, nodes, found.cpus, found.arguments)


@contextmanager
def _head(task: Task) -> Iterator[list[str]]:
    """What the command needs beside its arguments: the address of the head, held in this block, where there are more
    nodes than this one."""
    if task.nodes == 1:
        yield []
        return
    from ensemble.fleet.ray_connection import OWN, private_ray

    _authenticate(task.sitting.new_token())
    with private_ray(task.cpus, OWN) as address:
        task.sitting.write(HEAD, address)
        others = task.nodes - 1
        if not task.sitting.await_(lambda: task.sitting.joined() >= others, JOIN_SECONDS):
            _say(f"{task.sitting.joined()} of {others} other nodes have joined in {JOIN_SECONDS:.0f} seconds")
        yield [f"ensemble.address={address}"]


def _join(task: Task) -> int:
    """Carry workers until the run is over."""
    from ensemble.fleet.ray_connection import private_ray

    def there() -> bool:
        return task.sitting.read(HEAD) is not None or over()

    def over() -> bool:
        return task.sitting.read(DONE) is not None

    if not task.sitting.await_(there, JOIN_SECONDS):
        _say(f"there was no head to join in {JOIN_SECONDS:.0f} seconds")
        return 1
    if over():
        return 0
    _authenticate(task.sitting.path / TOKEN)
    try:
        with private_ray(task.cpus, task.sitting.read(HEAD) or ""):
            task.sitting.write(f"{JOINED}-{task.rank}")
            task.sitting.await_(over, float("inf"))
    except FleetError as error:
        _say(str(error))
        return 1
    return 0


def _authenticate(token: Path) -> None:
    """Ray's processes below this one, and the command, show each other the job's own secret."""
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN_PATH"] = "token", str(token)
    os.environ.pop("RAY_AUTH_TOKEN", None)


def _drive(task: Task, more: list[str], messenger: Messenger) -> int:
    """Run the command to its end; its exit status."""
    if messenger.received:
        return INTERRUPTED
    command = [sys.executable, "-m", "workflows.cli", *task.arguments, *more]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        messenger.process = process
        if messenger.received:
            process.send_signal(messenger.received[0])
        status = process.wait()
    return status if status >= 0 else 128 - status


def _committed(store: Path) -> int:
    """The sweeps of the run that are committed."""
    try:
        return int((stores.reader(store).attributes.get("summary") or {}).get("sweeps") or 0)
    except StoreError:
        return 0


def _say(text: str) -> None:
    sys.stderr.write(f"maxwell: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
