"""What a commit costs: a store of many small variables, and one of few large ones.

    python -m workflows.studies.benchmarks.commits

writes made-up draws of so many rounds to a temporary store, a commit with its checkpoint after each, as a run does, and
prints the median milliseconds of a commit by the wall clock, the mean of the processor's, and the files at the end.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ensemble.store import opening as stores
from ensemble.store.contents import Checkpoint, Layout, Variable

SHARDS, CHAINS = 2, 16


class Kind(NamedTuple):
    """A store: how many variables of how many numbers, draws in a chunk, the numbers of a shard's state, and rounds of
    one draw each."""

    variables: int
    size: int
    chunk: int
    state: int
    rounds: int


KINDS = {"many small": Kind(22, 5, 100, 2_000, 400), "few large": Kind(11, 4_000, 8, 200_000, 100)}


class Cost(NamedTuple):
    """wall: median milliseconds of a commit. processor: mean of the processor's. files: at the end."""

    wall: float
    processor: float
    files: int


def cost(kind: Kind, path: Path) -> Cost:
    """Of a new store at `path`."""
    variables = {f"x{number:02d}": Variable("float64", ("i",), (kind.size,)) for number in range(kind.variables)}
    layout = Layout({"posterior": variables}, CHAINS, SHARDS, chunk_draws=kind.chunk)
    rng = np.random.default_rng(0)
    draws = {name: rng.normal(size=(1, CHAINS, kind.size)) for name in variables}
    states = [{"x": rng.normal(size=kind.state)} for _ in range(SHARDS)]
    walls, processor = [], 0.0
    with stores.create(path, layout, {}) as store:
        for number in range(kind.rounds):
            for shard in range(SHARDS):
                store.append(shard, "posterior", draws)
            wall, used = time.perf_counter(), time.process_time()
            store.commit(Checkpoint(number, states, {"c": np.arange(9.0)}, {"round": number}), {"round": number})
            walls.append(1e3 * (time.perf_counter() - wall))
            processor += 1e3 * (time.process_time() - used)
    files = sum(entry.is_file() for entry in path.rglob("*"))
    return Cost(float(np.median(walls)), processor / kind.rounds, files)


def main() -> int:
    """The command."""
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in KINDS.items():
            found = cost(kind, Path(folder) / name)
            written = 8e-6 * SHARDS * (CHAINS * kind.variables * kind.size + kind.state)
            print(
                f"{name} variables ({kind.variables}, {written:.1f} MB a commit): {found.wall:.1f} ms, "
                f"{found.processor:.1f} of the processor; {found.files:,} files after {kind.rounds} commits"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
