"""Checksums of draws: a tool for refactoring, which shows that code was moved and no draw with it.

    python -m tests.golden --write [FILE]        before: runs all cases and writes the checksums of what they stored
    python -m tests.golden --check [FILE]        after: runs them again; exit status 1 where an array differs or is gone

FILE is .cache/golden.json by default. --list names the cases, --only CASE... takes some of them (--write then leaves
the others of an existing FILE as they are), --cache [DIR] keeps compiled programs between calls.

This is no test for CI, and its files are not for the repository: checksums belong to one JAX version and CPU type. Both
are recorded, and --check says where they are others. Cases are small runs of every kind in this process, of a fixed
number of sweeps, through all stages; none of them is long enough to have converged. They are read as a user reads them,
by xarray from the store, so that the tool needs nothing of the code that moves but the names that `face` imports.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# Before NumPy and JAX are imported: the law of equal bits holds for one thread.
os.environ["PJRT_NPROC"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
import xarray

Sums = dict[str, str]
"""The checksum of every array, by "group/variable"."""

DEFAULT = Path(__file__).resolve().parent.parent / ".cache" / "golden.json"
CACHE = str(Path(tempfile.gettempdir()) / "golden-jax-cache")
GROUPS = ("posterior", "sample_stats", "warmup_posterior", "warmup_sample_stats")
MAY_GROW = ("sample_stats", "warmup_sample_stats")
"""Groups whose new arrays are no difference."""
PACKAGES = ("jax", "jaxlib", "numpy", "numpyro", "blackjax")

# Goals out of reach, and stages that end by their rounds: the limit on sweeps decides, never the speed of the machine.
SETTINGS: dict[str, Any] = {
    "ensemble": {"replicas": 8, "superchains": 4, "workers": 1},
    "round": {"sweeps": 2},
    "kernels": {"max_depth": 5},
    "scout": {"kernel": "none", "max_rounds": 4},
    "momentum_diffusion": {"trajectory": 3, "repeats": 2},
    "equilibrate": {"max_rounds": 6, "refine_rounds": 9, "global_repeats": 2},
    "sample": {"burn_rounds": 1},
    "goals": {"ess": 1e6, "shared_ess": 1e6, "draws": 1000},
    "limits": {"sweeps": 50},
    "store": {"commit_rounds": 3, "commit_seconds": 0.0},
}

SCOUT = "scout.kernel=auto"
LADDER = "tempering.swaps=whole tempering.stages=[equilibrate,sample]"
BLOCKS = "tempering.temperatures=[1.0,3.5] tempering.stages=[equilibrate,sample]"
SCORPIO = "model.name=scorpio"
AIRWAY = "model.name=airway model.genes=60"
FEW = "model.name=airway model.genes=12"
RRI = "model.name=rri model.observations=100"
BOND = "model.name=bond model.weeks=40"
GLMM = "model.name=glmm model.individuals=20 model.samples=4 model.start=truth"

PLAIN: dict[str, str] = {
    "scorpio-blocks": f"{SCORPIO} model.copies=20 {BLOCKS} {SCOUT}",
    "scorpio-whole": f"{SCORPIO} {LADDER} tempering.rungs=4 tempering.hottest=50",
    "scorpio-whole-hmc": f"{SCORPIO} {LADDER} tempering.rungs=4 tempering.hottest=50 kernels.levels.whole=hmc {SCOUT}",
    "scorpio-likelihood": f"{SCORPIO} {LADDER} tempering.rungs=3 tempering.hottest=20 "
    "tempering.tempers=likelihood kernels.levels.whole=nuts",
    "start-uniform": f"{SCORPIO} model.copies=3 start.kind=uniform",
    "start-pathfinder": f"{SCORPIO} model.copies=3 start.kind=pathfinder",
    "start-variational": f"{SCORPIO} model.copies=3 start.kind=variational",
    "black-box": f"model.name=tests.golden:rows {SCOUT}",
    "airway": AIRWAY,
    "airway-cells": f"{AIRWAY} model.cells=true scout.kernel=momentum_diffusion",
    "airway-global-nuts": f"{AIRWAY} kernels.levels.global=nuts",
    "airway-gene-hmc": f"{AIRWAY} kernels.levels.gene=hmc kernels.integrator=two_stage",
    "airway-whole-nuts": f"{FEW} kernels.levels.whole=nuts {SCOUT}",
    "airway-low-rank": f"{FEW} kernels.levels.whole=hmc kernels.metric=low_rank ensemble.replicas=16",
    "airway-to-prior": f"{FEW} {LADDER} tempering.rungs=3 tempering.hottest=.inf tempering.tempers=likelihood",
    "census": "model.name=census model.areas=40",
    "alcohol": "model.name=alcohol model.people=60 kernels.levels.global=nuts kernels.metric=dense",
    "rri": f"{RRI} kernels.levels.whole=hmc",
    "rri-varying": f"{RRI} model.noise=varying",
    "rri-subjects": f"{RRI} model.subjects=4 kernels.levels.subject=hmc",
    "bond": f"{BOND} kernels.levels.whole=nuts",
    "bond-noisy": f"{BOND} model.observed=noisy",
    "bond-sparse": f"{BOND} model.observed=sparse model.samples=4",
    "glmm-pm-hmc": f"{GLMM} model.estimator=split kernels.levels.global=pm_hmc {SCOUT}",
    "glmm-pm-nuts": f"{GLMM} model.estimator=matched kernels.levels.global=pm_nuts",
    "glmm-pm-metropolis": f"{GLMM} model.estimator=wide kernels.levels.global=pm_metropolis kernels.correlation=0.9",
    "glmm-exact": f"{GLMM} model.estimator=exact",
}
"""Cases that are one run: what their settings change."""


class Report(NamedTuple):
    """How the arrays of a case compare with those recorded."""

    different: list[str]
    missing: list[str]
    extra: list[str]

    @property
    def equal(self) -> bool:
        """Whether nothing is wrong; new statistics are not."""
        return not self.different and not self.missing and all(name.split("/")[0] in MAY_GROW for name in self.extra)

    def __str__(self) -> str:
        named = [f"{kind}: {', '.join(names)}" for kind, names in self._asdict().items() if names]
        return "; ".join(["equal" if self.equal else "DIFFERENT", *named])


def face() -> Any:
    """The package as users import it: the one place that knows its name. Imported late, once the environment is set."""
    import maxwell

    return maxwell


# --- cases


def sampled(folder: Path, settings: str, name: str = "store") -> Path:
    """The store of a small run with some settings changed."""
    store = folder / f"{name}.zarr"
    face().run(SETTINGS, settings.split(), out=store, local=True, progress=False)
    return store


def rows() -> Any:
    """A black box: mu ~ N(0, 2), x_i ~ N(mu, 1), y_i ~ N(x_i, 1), in NumPy."""
    y = np.array([1.0, -0.5, 2.0, 0.0])

    def log_terms(position: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        mu, x = position["mu"], position["x"]
        return {"mu": -0.125 * mu**2, "x": -0.5 * (x - mu[:, None]) ** 2, "y": -0.5 * (y - x) ** 2}

    sites = {"mu": (), "x": ((len(y),), ("row",))}
    terms = {"mu": (), "x": (len(y),), "y": (len(y),)}
    return face().black_box_model(log_terms, sites, terms, name="rows", likelihood=["y"])


def given(folder: Path) -> Path:
    """Starts from a file: one a superchain for x, one a chain for y."""
    rng = np.random.default_rng(0)
    np.savez(folder / "starts.npz", x=rng.normal(size=(4, 3)), y=rng.normal(size=(8, 3)))
    return sampled(folder, f"{SCORPIO} model.copies=3 start.kind=given start.file={folder / 'starts.npz'}")


def from_store(folder: Path, reuse: str) -> Path:
    """A run that takes over from another."""
    settings = f"{SCORPIO} model.copies=3 kernels.levels.copy=hmc"
    first = sampled(folder, settings, "first")
    return sampled(folder, f"{settings} start.store={first} start.reuse={reuse}")


def resumed(folder: Path) -> Path:
    """A run that was interrupted in equilibrate and in sample, in the middle of what is between two commits."""
    store = sampled(folder, f"{SCORPIO} model.copies=3 kernels.levels.copy=hmc {BLOCKS} limits.sweeps=15")
    for sweeps in (39, SETTINGS["limits"]["sweeps"]):
        face().resume(store, settings=[f"limits.sweeps={sweeps}"], local=True, progress=False)
    return store


Case = Callable[[Path], Path]
"""Runs in an empty folder; the store that remains."""

CASES: dict[str, Case] = {
    **{name: partial(sampled, settings=settings) for name, settings in PLAIN.items()},
    "start-given": given,
    "start-store": partial(from_store, reuse="both"),
    "start-store-controls": partial(from_store, reuse="tuning"),
    "resumed": resumed,
}


# --- checksums


def checksum(values: np.ndarray) -> str:
    """Of type, shape and bytes."""
    described = f"{values.dtype.str} {values.shape} ".encode()
    return hashlib.sha256(described + np.ascontiguousarray(values).tobytes()).hexdigest()


def checksums(store: Path) -> Sums:
    """Of every array of draws of a store. Raises AssertionError where the posterior has no draws."""
    sums: Sums = {}
    with xarray.open_datatree(store, engine="zarr") as tree:
        for group in (name for name in GROUPS if name in tree.children):
            arrays = tree[group].dataset.data_vars
            assert group != "posterior" or all(array.size for array in arrays.values()), f"{store}: no draws"
            sums |= {f"{group}/{name}": checksum(array.values) for name, array in arrays.items()}
    assert any(name.startswith("posterior/") for name in sums), f"{store}: no posterior"
    return sums


def run_case(name: str) -> Sums:
    """The checksums of a case, run in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        return checksums(CASES[name](Path(folder)))


def compare(expected: Sums, found: Sums) -> Report:
    """What differs between two runs of a case."""
    return Report(
        different=[name for name in expected if name in found and found[name] != expected[name]],
        missing=[name for name in expected if name not in found],
        extra=[name for name in found if name not in expected],
    )


# --- what they belong to


def machine() -> dict[str, str]:
    """What draws depend on beside the code: versions and the type of the CPU."""
    return {package: importlib.metadata.version(package) for package in PACKAGES} | {"cpu": cpu()}


def cpu() -> str:
    """Vendor's name, family and model of the first core."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return "unknown"
    core = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in core.items()}
    return ", ".join(f"{key} {values[key]}" for key in ("model name", "cpu family", "model") if key in values)


def changes(recorded: dict[str, str]) -> list[str]:
    """In words, what is another here than where checksums were recorded."""
    here = machine()
    return [
        f"{key}: {recorded.get(key)} then, {here.get(key)} now"
        for key in sorted({*here, *recorded})
        if recorded.get(key) != here.get(key)
    ]


# --- commands


def say(line: str, end: str = "\n") -> None:
    print(line, end=end, flush=True)  # noqa: T201


def timed(name: str) -> Sums:
    """Run a case and say how much CPU time it took."""
    say(f"{name:22}", end="")
    begin = time.process_time()
    sums = run_case(name)
    say(f"{time.process_time() - begin:6.1f} s  ", end="")
    return sums


def write(path: Path, only: Iterable[str] | None) -> int:
    """Record cases: all, or some of them beside those that the file has."""
    known: dict[str, Sums] = {}
    if only is not None and path.exists():
        before = json.loads(path.read_text())
        if differing := changes(before["machine"]):
            say(f"{path} was recorded elsewhere; write all cases or another file ({'; '.join(differing)})")
            return 1
        known = before["cases"]
    for name in only or CASES:
        known[name] = timed(name)
        say(f"{len(known[name])} arrays")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "cases": known}, indent=1) + "\n")
    say(f"written to {path}")
    return 0


def check(path: Path, only: Iterable[str] | None) -> int:
    """Run cases again; 1 if one is not as it was recorded, or was not recorded, or is no case any more."""
    recorded = json.loads(path.read_text())
    for line in changes(recorded["machine"]):
        say(f"Draws may differ for this alone: {line}")
    names = list(only or [*CASES, *(name for name in recorded["cases"] if name not in CASES)])
    wrong = []
    for name in names:
        if name not in CASES or name not in recorded["cases"]:
            say(f"{name:22}{'no case any more' if name not in CASES else 'not recorded'}")
            wrong.append(name)
            continue
        report = compare(recorded["cases"][name], timed(name))
        say(str(report))
        wrong += [] if report.equal else [name]
    say(f"{len(names) - len(wrong)} of {len(names)} equal" + (f"; not so: {', '.join(wrong)}" if wrong else ""))
    return int(bool(wrong))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=(__doc__ or "").splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", nargs="?", type=Path, const=DEFAULT, metavar="FILE", help="record checksums")
    action.add_argument("--check", nargs="?", type=Path, const=DEFAULT, metavar="FILE", help="compare with a record")
    action.add_argument("--list", action="store_true", help="the cases")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help="these cases")
    parser.add_argument("--cache", nargs="?", const=CACHE, metavar="DIR", help=f"of compiled programs, as {CACHE}")
    return parser.parse_args(arguments)


def keep_programs(folder: str) -> None:
    """Keep compiled programs in a folder; to be called before JAX is imported."""
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def main(arguments: list[str]) -> int:
    chosen = parse(arguments)
    if chosen.list:
        say("\n".join(CASES))
        return 0
    if chosen.cache is not None:
        keep_programs(chosen.cache)
    return check(chosen.check, chosen.only) if chosen.check else write(chosen.write, chosen.only)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
