"""A process that forks writers of a store and kills them: `python -m tests.support.killed_writer STORE KILLS ROUNDS`.

Real processes, real SIGKILLs at random moments and the real disk; only the draws are numbers made up in place of a
run's, a function of their place. Writers open the store, add and commit a round at a time, and say after each commit
how many are committed; after each kill the store must have all of those, undamaged. Ends with the store whole, and
prints how many writers were killed, how many of them in the middle of a commit, and how many committed draws were lost.
"""

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np

from ensemble.store import opening as stores
from ensemble.store.chunking import condensing
from ensemble.store.contents import Checkpoint, Layout, Variable

SHARDS, CHAINS, DRAWS = 2, 2, 3
GROUPS = {
    "posterior": {"mu": Variable("float64"), "a": Variable("float32", ("gene",), (3000,))},
    "sample_stats": {"lp": Variable("float64")},
}
LAYOUT = Layout(GROUPS, CHAINS, SHARDS, chunk_draws=4)
PIPE = 8
"""Bytes of a number in the pipe."""


def add(store: stores.ZarrStore, number: int, tell: int | None = None) -> None:
    """Round `number`, committed with its checkpoint."""
    for shard in range(SHARDS):
        rng = np.random.default_rng([number, shard])
        for group, variables in GROUPS.items():
            shapes = {name: (DRAWS, CHAINS, *v.shape) for name, v in variables.items()}
            store.append(shard, group, {n: rng.normal(size=s).astype(variables[n].dtype) for n, s in shapes.items()})
    if tell is not None:
        os.write(tell, (-1).to_bytes(PIPE, "little", signed=True))
    states = [{"x": np.full(500, number + shard)} for shard in range(SHARDS)]
    store.commit(Checkpoint(number, states, {"c": np.arange(9.0)}, {"round": number}), {"round": number})
    if tell is not None:
        os.write(tell, (number + 1).to_bytes(PIPE, "little", signed=True))


def write(path: Path, rounds: int, tell: int | None = None) -> None:
    """Begin a store, or go on with it, to its end."""
    opened = stores.reopen(path) if path.exists() else stores.create(path, LAYOUT, {})
    with opened as store:
        for number in range(store.committed["posterior"] // DRAWS, rounds):
            add(store, number, tell)


def child(path: Path, rounds: int, tell: int) -> NoReturn:
    """A writer to be killed."""
    write(path, rounds, tell)
    os._exit(0)


def killed(path: Path, rounds: int, words: int, seconds: float) -> tuple[bool, list[int]]:
    """Start a writer and kill it, so long after it has said so many words: whether it was still there, and what it
    said."""
    hear, tell = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(hear)
        child(path, rounds, tell)
    os.close(tell)
    data = b"".join(os.read(hear, PIPE) for _ in range(words))
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    with os.fdopen(hear, "rb") as pipe:
        data += pipe.read()
    said = [int.from_bytes(data[i : i + PIPE], "little", signed=True) for i in range(0, len(data), PIPE)]
    return status != 0, said


def main(path: Path, kills: int, rounds: int) -> str:
    """Kill writers of one store after another until there were so many kills."""
    rng, done, amid, lost, stores_made = random.Random(18), 0, 0, 0, 0
    while done < kills:
        shutil.rmtree(path, ignore_errors=True)
        stores_made += 1
        alive, committed = True, 0
        while alive:
            # At any time after its start, or after a commit began or ended: most would die as they open the store.
            alive, said = killed(path, rounds, rng.choice([0, 1, 2, 3, 3, 5, 5, 7]), rng.uniform(0, 0.03))
            done += alive
            amid += alive and bool(said) and said[-1] < 0
            acknowledged = max([committed, *said])
            if path.exists():
                found = stores.verify(path)
                assert not found.damaged, found
                committed = stores.reader(path).attributes["maxwell"]["draws"]["posterior"] // DRAWS
            lost += max(0, acknowledged - committed)
        write(path, rounds)
    return f"{done} killed, {amid} in a commit, {lost} rounds lost, {stores_made} stores"


if __name__ == "__main__":
    condensing.MOST_FILES, condensing.LEAST_EACH = 6, 1
    where, count, length = sys.argv[1:]
    sys.stdout.write(main(Path(where), int(count), int(length)))
