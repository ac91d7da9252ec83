"""Which scout brings an ensemble soonest into the typical set: python -m workflows.scouts regenerates docs/scouts.md.

    python -m workflows.scouts [TARGET ...] [--scouts SCOUT ...] [--rounds 1000] [--seconds 30] [--out docs/scouts.md]

Every run is the real coordinator on the fleet of this process, looked at after every round of one sweep. An ensemble
has arrived at the first of three rounds in a row whose mean log density is within one standard deviation (of one
replica in equilibrium) of its equilibrium value. The page is written anew after every row.
"""

import argparse
import os
import platform
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ensemble.approximations import ITERATIONS, path_draws
from ensemble.coordinator import Coordinator
from ensemble.fleet import Fleet, LocalFleet
from ensemble.messages import RoundPlan, RoundReport
from ensemble.scouts import scouts_by_name
from ensemble.settings import RunSettings
from ensemble.shard import StartError
from ensemble.status import NullProgress
from ensemble.store import Store
from kernels.joining import WHOLE
from kernels.structure import Structure
from workflows.depth import ours
from workflows.pipeline import Prepared
from workflows.scout_targets import TARGETS, Equilibrium, ScoutTarget
from workflows.settings import Settings, make_settings

FOUND = "found"
"""In place of kernels.levels: the structure as found, every level of it by Metropolis."""
SPSA, SHORT = {"kernel": "momentum_diffusion"}, {"kernel": "short"}
SCOUTS: Mapping[str, Mapping[str, Any]] = {
    "SPSA, whole vector": {"kernels": {"levels": {WHOLE: "metropolis"}}, "scout": SPSA},
    "SPSA, by level": {"kernels": {"levels": FOUND}, "scout": SPSA},
    "short HMC": {"kernels": {"levels": {WHOLE: "hmc"}}, "scout": SHORT},
    "short NUTS": {"kernels": {"levels": {WHOLE: "nuts"}}, "scout": SHORT},
    "Metropolis, by level": {"kernels": {"levels": FOUND}, "scout": {"kernel": "none"}},
    "Pathfinder, short HMC": {
        "kernels": {"levels": {WHOLE: "hmc"}},
        "scout": SHORT,
        "start": {"kind": "pathfinder"},
    },
}
REFERENCE: Mapping[str, str] = {"german_credit": "short NUTS", "airway_200": "Metropolis, by level"}
"""Whose longer run gives the equilibrium of a target without an exact one."""
REFERENCE_SWEEPS = {"short NUTS": (1, 160), "Metropolis, by level": (8, 120)}
"""Sweeps of a round and rounds of those runs; the second half counts."""
IN_A_ROW = 3
ONE_BLOCK = "one block: as whole vector"
REPLICAS, SUPERCHAINS = 64, 8
SEED = 0
PAGE = Path("docs/scouts.md")


class Arrival(NamedTuple):
    """What it took, up to and including the round of arrival: see Watched."""

    rounds: int
    evaluations: float
    gradients: float
    seconds: float
    stage: str


class Row(NamedTuple):
    """arrival: None where the budget was spent before. distance: of the last round's mean from equilibrium, in sd.
    rounds, seconds: all that was spent. note: what kept it from running, empty where nothing did."""

    target: str
    scout: str
    arrival: Arrival | None
    distance: float
    rounds: int
    seconds: float
    note: str = ""


def arrived(means: Sequence[float], equilibrium: Equilibrium, in_a_row: int = IN_A_ROW) -> int | None:
    """Index of the first of `in_a_row` means in a row within one sd of equilibrium, or None. NaN is never within."""
    within = [abs(mean - equilibrium.mean) <= equilibrium.sd for mean in means]
    run = 0
    for index, inside in enumerate(within):
        run = run + 1 if inside else 0
        if run == in_a_row:
            return index - in_a_row + 1
    return None


def evaluations(plan: RoundPlan, structure: Structure, moves: int, settings: RunSettings) -> float:
    """Log densities that a chain evaluates in a round, without those that come with a gradient.

    An update of a level by Metropolis is one, whatever share of the terms it needs; so is an interweaving move. A
    trajectory of momentum diffusion of n steps with K directions is n (2 K + 1) + 1 for each leaf level, and the terms
    computed anew after it are one more. Audits and moments are not counted.
    """
    scout = settings.shard.scout
    if plan.stage == "scout" and scouts_by_name(scout):
        trajectory = scout["trajectory"] * (2 * scout["directions"] + 1) + 1
        return 1.0 + sum(trajectory if level.leaf else scout["repeats"] for level in structure.levels)
    updates = [1 if level.leaf else settings.shard.repeats for level in structure.levels if not level.move.gradients]
    interweaving = int(np.sum(plan.controls["schedule"] < moves))
    return float(plan.sweeps * sum(updates) + interweaving)


def path_cost(settings: Settings, dimension: int) -> tuple[float, float]:
    """(log densities, gradients) of a start: those of Pathfinder are counted for a full path, without the extra steps
    of its line searches, which BlackJAX does not report."""
    if settings.start.kind != "pathfinder":
        return 0.0, 0.0
    points = ITERATIONS + 1
    return float(points * path_draws(dimension)), float(points)


class Watched:
    """A fleet that notes, of every round, the log densities of all replicas, what a chain evaluated (`evaluations`, and
    `gradients` one after another), the kernel seconds of all shards and the stage."""

    def __init__(self, fleet: Fleet, prepared: Prepared) -> None:
        self.fleet, self.prepared, self.settings = fleet, prepared, prepared.run_settings
        self.densities: list[np.ndarray] = []
        self.stages: list[str] = []
        start = path_cost(prepared.settings, prepared.model.target.dimension)
        self.spent: list[tuple[float, float, float]] = [(*start, 0.0)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fleet, name)

    def run(self, plan: RoundPlan) -> list[RoundReport]:
        """One round of the fleet, and its costs."""
        reports = self.fleet.run(plan)
        self.densities.append(np.concatenate([report.statistics["lp"] for report in reports]))
        self.stages.append(plan.stage)
        cost = (
            evaluations(plan, self.prepared.structure, len(self.prepared.moves), self.settings),
            float(np.mean([report.statistics["gradients"][0] for report in reports])),
            sum(report.kernel_seconds for report in reports),
        )
        self.spent.append(cost)
        return reports

    @property
    def means(self) -> list[float]:
        """Mean log density of the ensemble after every round."""
        return [float(values.mean()) for values in self.densities]

    @property
    def seconds(self) -> float:
        """Kernel seconds so far."""
        return sum(cost[2] for cost in self.spent)

    def arrival(self, equilibrium: Equilibrium) -> Arrival | None:
        """When the ensemble arrived, if it did."""
        index = arrived(self.means, equilibrium)
        if index is None:
            return None
        evaluated, gradients, seconds = (float(cost) for cost in np.sum(self.spent[: index + 2], axis=0))
        return Arrival(index + 1, evaluated, gradients, seconds, self.stages[index])


def settings(target: ScoutTarget, scout: str, rounds: int, sweeps: int = 1, levels: Sequence[str] = ()) -> Settings:
    """The settings of a run of warm-up only. levels: those of the structure as found, for the scouts that keep it."""
    changes = {key: dict(value) for key, value in SCOUTS[scout].items()}
    if changes["kernels"]["levels"] == FOUND:
        changes["kernels"]["levels"] = dict.fromkeys(levels, "metropolis")
    content = {
        **ours.SETTINGS,
        "model": {"name": target.model, **target.keys},
        "seed": SEED,
        "ensemble": {"replicas": REPLICAS, "superchains": SUPERCHAINS},
        "round": {"sweeps": sweeps},
        "equilibrate": {"max_rounds": rounds + 1, "refine_rounds": rounds + 1},
        "limits": {"sweeps": rounds * sweeps},
        **changes,
    }
    return make_settings(content, name=target.name)


def found_levels(target: ScoutTarget) -> tuple[str, ...]:
    """The levels of the structure as found; `whole` alone where it is one block of all coordinates."""
    whole = settings(target, "SPSA, whole vector", 1)
    content = {**whole.model_dump(mode="json"), "kernels": {}}
    levels = Prepared(make_settings(content)).structure.levels
    return (WHOLE,) if sum(level.n_blocks for level in levels) == 1 else tuple(level.name for level in levels)


def watch(chosen: Settings, equilibrium: Equilibrium | None, seconds: float) -> Watched:
    """A run, looked at until arrival in `equilibrium` (never for None), or its sweeps or kernel seconds are spent.

    Raises StartError where no start has a finite density.
    """
    prepared = Prepared(chosen)
    run_settings = prepared.run_settings
    fleet = Watched(LocalFleet(prepared.runner_spec(run_settings.shard), run_settings.superchains), prepared)

    def enough() -> bool:
        return fleet.seconds >= seconds or (equilibrium is not None and fleet.arrival(equilibrium) is not None)

    fleet.initialise()
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.create(Path(folder) / "run.zarr", prepared.layout(run_settings.shard, 4), {}) as store,
    ):
        arguments = fleet, store, prepared.structure, prepared.moves, run_settings
        Coordinator(*arguments, progress=NullProgress(), stop_requested=enough).run()
    return fleet


def of_run(densities: np.ndarray, how: str) -> Equilibrium:
    """From log densities [rounds, superchains, replicas] in equilibrium; the error is that between superchains."""
    means = densities.mean(axis=(0, 2))
    error = float(means.std(ddof=1) / np.sqrt(len(means)))
    return Equilibrium(float(densities.mean()), float(densities.std(ddof=1)), error, how)


def equilibrium_of(target: ScoutTarget, levels: Sequence[str]) -> Equilibrium:
    """Exact where it is known, else from the second half of a longer run of a scout that arrives."""
    if target.exact is not None:
        return target.exact(Prepared(settings(target, "SPSA, whole vector", 1)).model)
    scout = REFERENCE[target.name]
    sweeps, rounds = REFERENCE_SWEEPS[scout]
    seen = watch(settings(target, scout, rounds, sweeps, levels), None, np.inf).densities
    half = np.stack(seen[rounds // 2 :]).reshape(-1, SUPERCHAINS, REPLICAS // SUPERCHAINS)
    return of_run(half, f"{scout}, {rounds} rounds of {sweeps} sweep{'s' * (sweeps > 1)}, the second half")


def row(
    target: ScoutTarget, scout: str, equilibrium: Equilibrium, levels: Sequence[str], rounds: int, seconds: float
) -> Row:
    """One scout on one target. Where all coordinates are one block, SPSA by level is SPSA of the whole vector."""
    if scout == "SPSA, by level" and levels == (WHOLE,):
        return Row(target.name, scout, None, np.nan, 0, 0.0, ONE_BLOCK)
    try:
        seen = watch(settings(target, scout, rounds, levels=levels), equilibrium, seconds)
    except StartError:
        return Row(target.name, scout, None, np.nan, 0, 0.0, "no finite start")
    distance = abs(seen.means[-1] - equilibrium.mean) / equilibrium.sd
    return Row(target.name, scout, seen.arrival(equilibrium), distance, len(seen.means), seen.seconds)


def line(row: Row) -> str:
    """A row of the page's table."""
    found = row.arrival
    cells = (
        [f"{found.rounds}", f"{found.evaluations:,.0f}", f"{found.gradients:,.0f}", f"{found.seconds:.2f}", found.stage]
        if found
        else ["-"] * 5
    )
    end = row.note or f"{row.distance:.2g} sd after {row.rounds} rounds, {row.seconds:.1f} s"
    return "| " + " | ".join([row.target, row.scout, *cells, end]) + " |"


def findings(rows: Sequence[Row]) -> list[str]:
    """A sentence for each target: which scouts arrived first, and which did not arrive."""
    sentences = []
    for name in dict.fromkeys(row.target for row in rows):
        here = [row for row in rows if row.target == name]
        there = sorted(
            ((row.arrival.seconds, row.scout, row.arrival) for row in here if row.arrival), key=lambda found: found[0]
        )
        missed = [row.scout for row in here if not row.arrival and row.note != ONE_BLOCK]
        first = "no scout arrived"
        if there:
            least = min(there, key=lambda found: found[2].evaluations + found[2].gradients)
            first = f"soonest {there[0][1]} ({there[0][0]:.2f} kernel s); fewest evaluations {least[1]}"
        sentences.append(f"- **{name}**: {first}; not in the budget: {'; '.join(missed) or 'none'}.")
    return sentences


CAVEATS = """\
What the rule cannot see: it looks at the log density alone. On the funnel that varies so much between replicas (its
standard deviation is that of the neck) that nearly any start is inside; on scorpio a scout that leaves all copies in
the body stays outside, for the stinger is denser. Momentum diffusion keeps no known law and ends too narrow: an
ensemble that it has brought near may enter only in the exact stage that follows ("equilibrate"). Seconds are by the
clock: on a busy machine they, and which rows end for want of them, say little; counts do not depend on it."""


def page(
    rows: Sequence[Row], equilibria: Mapping[str, Equilibrium], budget: tuple[int, float], made: str, planned: int
) -> str:
    """The whole of docs/scouts.md. budget: rounds and kernel seconds of a run; made: how, when and where; planned: the
    rows of a whole table."""
    cut = f" **Interrupted: {len(rows)} of {planned} rows.**" if len(rows) < planned else ""
    known = [f"| {name} | {e.mean:,.2f} | {e.sd:.2f} | {e.error:.2g} | {e.how} |" for name, e in equilibria.items()]
    parts = [
        "# Scouts: what it takes to reach the typical set",
        f"Made by {made}. Do not edit: run it again.{cut}",
        f"{REPLICAS} replicas in {SUPERCHAINS} superchains, one seed ({SEED}), one run a row, rounds of one sweep, at "
        f"most {budget[0]} rounds and {budget[1]:g} kernel seconds (compilation apart) of one process. In the typical "
        f"set: the ensemble's mean log density is within one standard deviation of a replica of its equilibrium value "
        f"for {IN_A_ROW} rounds in a row; counts and seconds are up to the first of them, '-' is not in the budget. "
        "Starts are the model's own (Pathfinder's: from paths that begin there), one a superchain.",
        "Counted for a chain: **gradients** one after another, as the ledger counts them (their log densities come "
        "with them, and one for the moments in each round); **log densities** one for every Metropolis update of a "
        "level or interweaving move, n (2 K + 1) + 1 for every trajectory of momentum diffusion of a leaf level, one "
        "for the terms computed anew after it. An update of a level is one, although it needs only "
        "some of the terms. "
        "Pathfinder's full path is counted for each chain of its superchain, without the extra steps of its line "
        "searches, which are not reported: its gradients are a lower bound. Kernel seconds are of all replicas.",
        "| target | scout | rounds | log densities | gradients | kernel s | stage | at the end |\n"
        "|---|---|---|---|---|---|---|---|\n" + "\n".join(line(row) for row in rows),
        "## What it shows",
        "\n".join(findings(rows)),
        CAVEATS,
        "## Equilibrium\n\n| target | mean log density | sd of a replica | standard error | from |\n"
        "|---|---|---|---|---|\n" + "\n".join(known),
        "icg: ill-conditioned Gaussian, d = 100; german_credit: the shape of the German credit data, d = 51; funnel: "
        "Neal's, d = 10; airway_200: airway on 200 genes (d = 605) and not the 2,000 of airway_small, to keep the "
        "command short; scorpio: 100 copies, all started in the body; diagonal: Gaussian, d = 10,000, variances from "
        "1e-3 to 1e3. SPSA by level and Metropolis keep the structure as found, which is one block for icg and "
        "german_credit.",
    ]
    return "\n\n".join(parts) + "\n"


def command(chosen: argparse.Namespace) -> str:
    """What makes the same page again, wherever it is written to."""
    targets = chosen.targets if chosen.targets != list(TARGETS) else []
    scouts = ["--scouts", *chosen.scouts] if chosen.scouts != list(SCOUTS) else []
    budget = ["--rounds", str(chosen.rounds), "--seconds", f"{chosen.seconds:g}"]
    return shlex.join(["python", "-m", "workflows.scouts", *targets, *scouts, *budget])


def machine() -> str:
    """Day, processor, how busy it is, and revision."""
    revision = _git("rev-parse", "--short", "HEAD")
    changed = " with uncommitted changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    place = (
        f"{platform.machine()}, {jax.default_backend()}, {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.0f}"
    )
    place = f"{place}, jax {jax.__version__}"
    return f"{time.strftime('%Y-%m-%d')}, {place}, revision {revision or 'unknown'}{changed}"


def _git(*arguments: str) -> str:
    """What git says, nothing outside a checkout."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def main() -> None:
    """Measure, print a row as soon as it is known, and write the page."""
    parser = argparse.ArgumentParser(description="compare scouts; writes the page that docs/scouts.md is")
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--scouts", nargs="+", default=list(SCOUTS), choices=list(SCOUTS), metavar="SCOUT")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0, help="kernel seconds of a run")
    parser.add_argument("--out", type=Path, default=PAGE)
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.targets) - set(TARGETS)):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    rows: list[Row] = []
    equilibria: dict[str, Equilibrium] = {}
    budget = chosen.rounds, chosen.seconds
    # Before the first page is written, which is itself a change of the checkout.
    made = f"`{command(chosen)}`, {machine()}"
    for name in chosen.targets:
        target = TARGETS[name]
        levels = found_levels(target)
        equilibria[name] = equilibrium_of(target, levels)
        for scout in chosen.scouts:
            rows.append(row(target, scout, equilibria[name], levels, *budget))
            print(line(rows[-1]), flush=True)
            chosen.out.write_text(page(rows, equilibria, budget, made, len(chosen.targets) * len(chosen.scouts)))


if __name__ == "__main__":
    main()
