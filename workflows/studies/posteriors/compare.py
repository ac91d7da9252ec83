"""Samplers under their defaults on the suite's posteriors: right or not, and what an effective draw costs.

    python -m workflows.studies.posteriors.compare NAME ... --seeds 0 1 2 --starts prior box --out FILE.jsonl

Every run is a process of its own, whose core-seconds (user and system time, children and compilation included) are
counted; draws are then held against tests/references/posteriors by `judging`. A line of the file is a run; runs whose
line is there already are not made again. --warm makes each kind of run once before, uncounted, to fill the cache of
compiled programs. Both samplers compute in 64 bits, on one thread.
"""

import argparse
import json
import os
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workflows.studies.lines import add, missing
from workflows.studies.posteriors.judging import judge, read
from workflows.studies.posteriors.one_run import SAMPLERS, STARTS
from workflows.studies.posteriors.suite import POSTERIORS, posterior
from workflows.studies.timed import timed

REFERENCES = Path("tests/references/posteriors")
GRACE = 4.0
"""A process is ended after so many times the minutes that its sampler may take, plus one: compilation is outside."""


class Case(NamedTuple):
    """What identifies a run."""

    name: str
    sampler: str
    start: str
    seed: int


def run(case: Case, minutes: float, environment: dict[str, str]) -> dict[str, Any]:
    """Run and judge a case: its line."""
    reference = read(REFERENCES / f"{case.name}.npz")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "draws.npz"
        line = case._asdict() | _timed(case, minutes, environment, out)
        if line["error"] is None:
            with np.load(out, allow_pickle=False) as arrays:
                draws = {name: arrays[name] for name in arrays.files if name != "facts"}
                line |= json.loads(str(arrays["facts"]))
            line |= _verdict(case, draws, reference, line["core_seconds"])
    return line


def _verdict(
    case: Case, draws: dict[str, np.ndarray], reference: dict[str, np.ndarray], core_seconds: float
) -> dict[str, Any]:
    chains, length = next(iter(draws.values())).shape[:2]
    if length < 4:
        return {"draws": chains * length, "error": f"only {length} draws a chain"}
    found = judge(posterior(case.name), draws, reference)
    return {"draws": chains * length, **found, "ess_per_core_second": found["ess"] / core_seconds}


def _timed(case: Case, minutes: float, environment: dict[str, str], out: Path) -> dict[str, Any]:
    """Make the run's process and wait for it."""
    choices = ["--start", case.start, "--seed", str(case.seed), "--minutes", str(minutes), "--out", str(out)]
    arguments = ["-m", "workflows.studies.posteriors.one_run", case.name, case.sampler, *choices]
    return timed(arguments, 60 * (1 + GRACE * minutes), environment, out.parent)


def parse() -> argparse.Namespace:
    """Command-line settings. Refuses names that are not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [entry.name for entry in POSTERIORS]
    parser.add_argument("names", nargs="*", default=known, help="all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--minutes", type=float, default=2.0, help="limits.minutes of maxwell")
    parser.add_argument("--cache", default=os.environ.get("JAX_COMPILATION_CACHE_DIR"), help="of compiled programs")
    parser.add_argument("--warm", action="store_true", help="fill the cache first")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name in arguments.names:
        posterior(name)
    return arguments


def main() -> None:
    """Make the runs whose lines are missing, one after another."""
    arguments = parse()
    environment = os.environ | {"PJRT_NPROC": "1", "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    # Modules are compiled once on a user's machine, not in every process.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if arguments.cache:
        environment |= {
            "JAX_COMPILATION_CACHE_DIR": arguments.cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    cases = map(Case._make, product(arguments.names, arguments.samplers, arguments.starts, arguments.seeds))
    warm: set[tuple[str, str, str]] = set()
    for case in missing(cases, arguments.out):
        if arguments.warm and case[:3] not in warm:
            warm.add(case[:3])
            run(case, arguments.minutes, environment)
        line = run(case, arguments.minutes, environment)
        add(line, arguments.out)
        verdict = line["error"] or ("right" if line["right"] else "WRONG")
        print(*case, f"{line['core_seconds']} core-seconds, goals met {line.get('goals_met')}, {verdict}", flush=True)


if __name__ == "__main__":
    main()
