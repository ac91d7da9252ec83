"""Effective draws of the mixed model per evaluation and per second, by kernel and number of samples N.

    python -m workflows.studies.trials.glmm --work FOLDER [--minutes 3]       (prints one row a run)

Each row is a run of configs/glmm.yaml in this process, on one thread, kept in the folder; a run that was finished there
before is not repeated, whatever its limit was. ESS is ess_online of the 13 parameters: the smallest, which hangs on few
visits to a part of the posterior with a hundredth of its mass, and the median. Evaluations of the estimates, with their
gradients where the kernel of theta follows them, are those of all chains in stage `sample`: the moves of theta and one
refresh of u a sweep. Seconds are the wall time of that stage, so let nothing else run. A run that has not begun to draw
within the limit, or whose nested R-hat stays above ALIKE, has no ESS worth the name, and says so.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["PJRT_NPROC"] = "1"

from workflows.results.run import Run
from workflows.sampling import sample as sampling
from workflows.settings.loading import load_settings

CONFIG = "configs/glmm.yaml"
COMMON = ("model.precision=float32", "goals.ess=1000", "goals.shared_ess=1000")
SAMPLES = (1, 4, 16, 64, 128)
KERNELS = {
    "pm_hmc": ("kernels.levels.global=pm_hmc",),
    "pm_nuts": ("kernels.levels.global=pm_nuts",),
    "hmc": ("kernels.levels.global=hmc",),
    "pm_metropolis": ("kernels.levels.global=pm_metropolis",),
    "correlated": ("kernels.levels.global=pm_metropolis", "kernels.correlation=0.99"),
}
"""Of theta; hmc: given u, with refreshes of u between, which all of them have; correlated: rho = .99."""
WALKS = ("pm_metropolis", "correlated")
ALIKE = 1.1


class Row(NamedTuple):
    """ess: the smallest, and median; rhat: largest nested R-hat; None before the first goal check. evaluations: of all
    chains; seconds: of wall time."""

    ess: float | None
    median: float | None
    rhat: float | None
    evaluations: float
    seconds: float


def row(store: Path, kernel: str, samples: int, minutes: float) -> Row:
    """The run's figures; it is done first where the folder has none."""
    if not store.exists():
        unfinished = store.with_suffix(".unfinished.zarr")
        shutil.rmtree(unfinished, ignore_errors=True)
        settings = [*COMMON, *KERNELS[kernel], f"model.samples={samples}", f"limits.minutes={minutes}"]
        sampling.sample(load_settings(Path(CONFIG), settings), unfinished, local=True)
        unfinished.rename(store)
    found = Run(store).summary()
    sample: dict[str, Any] = found["stages"].get("sample", {"gradients": 0.0, "sweeps": 0, "seconds": 0.0})
    proposals = found["settings"]["equilibrate"]["global_repeats"] * sample["sweeps"]
    each = sample["sweeps"] + (proposals if kernel in WALKS else sample["gradients"])
    ess = found["ess_online_min"], found["ess_online_median"]
    return Row(*ess, found["nested_rhat_max"], each * found["chains"], sample["seconds"])


def line(kernel: str, samples: int, of: Row) -> str:
    """A row of the table."""
    start = f"{kernel:<15}{samples:>5}"
    if of.ess is None or of.median is None or of.rhat is None:
        return f"{start}   no draws within the limit"
    if of.rhat > ALIKE:
        return f"{start}   chains still differ: nested R-hat {of.rhat:.2f}"
    rates = [ess / spent for spent in (of.evaluations / 1000.0, of.seconds) for ess in (of.ess, of.median)]
    numbers = "".join(f"{rate:>9.2f}" for rate in rates)
    return (
        f"{start}{of.ess:>8,.0f}{of.median:>8,.0f}{of.rhat:>8.3f}{of.evaluations:>12,.0f}{of.seconds:>8,.0f}{numbers}"
    )


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command-line settings."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.studies.trials.glmm", description="kernels of the mixed model"
    )
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="where the runs are kept")
    parser.add_argument("--minutes", type=float, default=3.0, help="limit of a run that is not there yet")
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, default=list(KERNELS))
    parser.add_argument("--samples", nargs="+", type=int, default=list(SAMPLES), metavar="N")
    return parser.parse_args(argv)


def main() -> None:
    """Run what is missing and print the table."""
    chosen = parse()
    print(f"{'':<64}{'of 1000 evaluations':>18}{'of a second':>18}")
    columns = ("ESS", 8), ("median", 8), ("R-hat", 8), ("evaluations", 12), ("s", 8)
    print(f"{'kernel':<15}{'N':>5}" + "".join(f"{name:>{width}}" for name, width in columns) + "      min   median" * 2)
    for kernel in chosen.kernels:
        for samples in chosen.samples:
            store = chosen.work / f"{kernel}_{samples}.zarr"
            print(line(kernel, samples, row(store, kernel, samples, chosen.minutes)), flush=True)


if __name__ == "__main__":
    main()
