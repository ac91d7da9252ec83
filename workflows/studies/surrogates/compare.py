"""Samplers with and without networks on densities of known moments: right or not, and what an effective draw costs.

    python -m workflows.studies.surrogates.compare NAME ... --seeds 0 1 2 --samplers nuts numpyro --out FILE.jsonl

Every run is a process of its own, whose core-seconds (user and system time, children, compilation and training) are
counted; nothing compiled is kept from run to run. Draws are held against the true moments by `posteriors.judging`. A
line of the file is a run; runs whose line is there already are not made again.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workflows.studies.lines import add, missing
from workflows.studies.posteriors.judging import judge
from workflows.studies.posteriors.posterior import Posterior
from workflows.studies.surrogates.densities import DENSITIES, Density, density
from workflows.studies.surrogates.one_run import SAMPLERS
from workflows.studies.timed import timed

LONGEST = 900.0
"""Seconds of wall time after which a process is ended."""


class Case(NamedTuple):
    """What identifies a run."""

    name: str
    sampler: str
    goal: float
    seed: int


def run(case: Case, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run and judge a case: its line."""
    entry = density(case.name)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "draws.npz"
        choices = ["--seed", str(case.seed), "--ess", str(case.goal), "--out", str(out)]
        arguments = ["-m", "workflows.studies.surrogates.one_run", case.name, case.sampler, *choices]
        line = case._asdict() | timed(arguments, LONGEST, environment, out.parent)
        if line["error"] is None:
            with np.load(out, allow_pickle=False) as arrays:
                line |= json.loads(str(arrays["facts"])) | verdict(entry, arrays["x"])
    return line


def verdict(entry: Density, draws: np.ndarray) -> dict[str, Any]:
    """Draws [chains, draws, d] held against the truth."""
    # Apart, for an sd of a heavy tail is not looked at, where a mean is.
    columns = {f"x{i}": draws[:, :, i] for i in range(entry.dimension)}
    reference: dict[str, np.ndarray] = {}
    for i, (mean, sd) in enumerate(zip(*entry.moments(), strict=True)):
        known = {"mean": mean, "sd": sd, "mcse_mean": 0.0, "mcse_sd": 0.0}
        reference |= {f"x{i}/{key}": np.asarray(value) for key, value in known.items()}
    posterior = Posterior(entry.name, dict, "", frozenset(f"x{i}" for i in entry.heavy))  # type: ignore[arg-type]
    return {"draws": draws.shape[0] * draws.shape[1], **judge(posterior, columns, reference)}


def environment() -> dict[str, str]:
    """One thread, and no cache of compiled programs: each run pays for its own."""
    chosen = {"PJRT_NPROC": "1", "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "MAXWELL_CACHE": "off"}
    kept = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    return kept | chosen


def main() -> None:
    """Make the runs whose lines are missing, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[entry.name for entry in DENSITIES], help="all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--ess", type=float, default=2000.0, help="goals.ess of maxwell")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    cases = map(Case._make, product(arguments.names, arguments.samplers, [arguments.ess], arguments.seeds))
    for case in missing(cases, arguments.out):
        line = run(case, environment())
        add(line, arguments.out)
        said = line["error"] or f"ESS {line['ess']:.0f}, {line['gradients']:.0f} gradients, right {line['right']}"
        print(*case, f"{line['core_seconds']} core-seconds, {said}", flush=True)


if __name__ == "__main__":
    main()
