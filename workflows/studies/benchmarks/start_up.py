"""What a small model costs before its first draw, and beside its kernels.

    python -m workflows.studies.benchmarks.start_up

starts processes that sample a regression of ten parameters under the defaults, from a command line to the goals: with
an empty cache of compiled programs, then with the programs of the first; and prints the median seconds of the wall's
clock to the first stored draw and to the end, and the core-seconds of the whole process; with a warm cache also the
share of the rounds' time that is neither compiling nor in kernels. Then the same of a hidden Markov model of six
parameters. Meant for a quiet machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any, NamedTuple

import numpy as np

REPEATS = 3
MODULE = "workflows.studies.benchmarks.start_up"
WARM = "warm cache"
MODELS = {"regression": "ten parameters", "hmm_gaussian": "six parameters"}


class Took(NamedTuple):
    """first, end: seconds from the start of the process to the first stored draw, and to its end. core: core-seconds of
    the process. outside: share of the time of the rounds outside kernels and compilation; None, or worth nothing, where
    nearly all of it is compilation."""

    first: float
    end: float
    core: float
    outside: float | None


def regression() -> tuple[Any, dict[str, np.ndarray]]:
    """y = a + x b + noise, ten parameters, 200 rows."""
    import numpyro
    import numpyro.distributions as dist

    def model(x: np.ndarray, y: np.ndarray) -> None:
        a, b = numpyro.sample("a", dist.Normal(0, 2)), numpyro.sample("b", dist.Normal(0, 2).expand([8]).to_event(1))
        numpyro.sample("y", dist.Normal(a + x @ b, numpyro.sample("sigma", dist.HalfNormal(2))), obs=y)

    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 8))
    return model, {"x": x, "y": x @ rng.normal(size=8) + rng.normal(size=200)}


def child(name: str) -> None:
    """Sample, and print when the first draw was there and what the rounds' time went into."""
    from ensemble.protocol.progress import NullProgress, Status
    from workflows.sampling.session import sample
    from workflows.studies.posteriors.suite import posterior

    first: list[float] = []

    class Watching(NullProgress):
        def update(self, status: Status) -> None:
            if status.draws and not first:
                first.append(time.time())

    run = sample(*(regression() if name == "regression" else posterior(name).build()), local=True, progress=Watching())
    found = run.summary()
    print(json.dumps({"first": first[0], "outside": found["outside_kernels"], "met": found["goals_met"]}))


def timed(name: str, cache: str) -> Took:
    """One process. cache: the folder of its compiled programs."""
    environment = os.environ | {"MAXWELL_CACHE": cache, "PJRT_NPROC": "1", "OMP_NUM_THREADS": "1"}
    for variable in ("JAX_COMPILATION_CACHE_DIR", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(variable, None)
    began = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "--child", name], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not all(said["met"].values()):
        raise RuntimeError(f"{name}: status {process.returncode}, goals {said['met']}")
    return Took(said["first"] - began, time.time() - began, usage.ru_utime + usage.ru_stime, said["outside"])


def main() -> None:
    """Print a line a model and cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", choices=MODELS, help=argparse.SUPPRESS)
    chosen = parser.parse_args().child
    if chosen:
        child(chosen)
        return
    for name, size in MODELS.items():
        found: dict[str, list[Took]] = {"empty cache": [], WARM: []}
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as cache:
                for runs in found.values():
                    runs.append(timed(name, cache))
        for kind, runs in found.items():
            first, end, core = (median(values) for values in list(zip(*runs, strict=True))[:3])
            shares = [took.outside for took in runs if took.outside is not None and kind == WARM]
            outside = f", outside kernels and compilation {median(shares):.0%}" if shares else ""
            print(
                f"{name}, {size}, {kind}: first draw {first:.1f} s, all {end:.1f} s, {core:.1f} core-seconds{outside}"
            )


if __name__ == "__main__":
    main()
