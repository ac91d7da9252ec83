"""What docs/scouts.md says: a row of its table, what the table shows, and how and where it was made."""

import argparse
import math
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax

from workflows.studies.scouts.arrival import IN_A_ROW
from workflows.studies.scouts.targets import TARGETS, Equilibrium
from workflows.studies.scouts.trials import ONE_BLOCK, REPLICAS, SCOUTS, SEED, SUPERCHAINS, Row

COUNTED = (
    "Counted for a chain: **gradients** one after another, as the ledger counts them (their log densities come "
    "with them, and one for the moments in each round); **log densities** one for every Metropolis update of a "
    "level or interweaving move, n (2 K + 1) + 1 for every trajectory of momentum diffusion of a leaf level, one "
    "for the terms computed anew after it. An update of a level is one, although it needs only "
    "some of the terms. "
    "Pathfinder's full path is counted for each chain of its superchain, without the extra steps of its line "
    "searches, which are not reported: its gradients are a lower bound. Kernel seconds are of all replicas."
)
CAVEATS = """\
What the rule cannot see: it looks at the log density alone. On the funnel that varies so much between replicas (its
standard deviation is that of the neck) that nearly any start is inside; on scorpio a scout that leaves all copies in
the body stays outside, for the stinger is denser. Momentum diffusion keeps no known law and ends too narrow: an
ensemble that it has brought near may enter only in the exact stage that follows ("equilibrate"). Seconds are by the
clock: on a busy machine they, and which rows end for want of them, say little; counts do not depend on it."""
ABOUT_TARGETS = (
    "icg: ill-conditioned Gaussian, d = 100; german_credit: the shape of the German credit data, d = 51; funnel: "
    "Neal's, d = 10; airway_200: airway on 200 genes (d = 605) and not the 2,000 of airway_small, to keep the "
    "command short; scorpio: 100 copies, all started in the body; diagonal: Gaussian, d = 10,000, variances from "
    "1e-3 to 1e3. SPSA by level and Metropolis keep the structure as found, which is one block for icg and "
    "german_credit."
)


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
    names = dict.fromkeys(row.target for row in rows)
    return [_finding(name, [row for row in rows if row.target == name]) for name in names]


def _finding(name: str, rows: Sequence[Row]) -> str:
    there = [(row.scout, row.arrival) for row in rows if row.arrival]
    missed = [row.scout for row in rows if not row.arrival and row.note != ONE_BLOCK]
    first = "no scout arrived"
    if there:
        scout, soonest = min(there, key=lambda found: found[1].seconds)
        cheapest, _ = min(there, key=lambda found: found[1].evaluations + found[1].gradients)
        first = f"soonest {scout} ({soonest.seconds:.2f} kernel s); fewest evaluations {cheapest}"
    return f"- **{name}**: {first}; not in the budget: {'; '.join(missed) or 'none'}."


class Choice(NamedTuple):
    """What scout.kernel can be in one situation.

    situation: in words.
    candidates: value of scout.kernel -> the scout of the table that shows it.
    """

    situation: str
    candidates: Mapping[str, str]


FOLLOWED = Choice("a level follows the gradient", {"short": "short NUTS", "momentum_diffusion": "SPSA, whole vector"})
WALKED = Choice(
    "every level moves by Metropolis", {"momentum_diffusion": "SPSA, by level", "none": "Metropolis, by level"}
)


def recommended(rows: Sequence[Row]) -> dict[str, tuple[str, dict[str, float]]]:
    """For either situation the value of scout.kernel whose worst target is the least bad, and every candidate's worst:
    kernel seconds to arrival in units of the soonest candidate's, infinite where it alone did not arrive.

    Targets of one block follow the gradient by default, the others move by Metropolis.
    """
    single = {row.target for row in rows if row.note == ONE_BLOCK}
    seconds = {(row.target, row.scout): row.arrival.seconds if row.arrival else math.inf for row in rows}
    found = {}
    for choice, targets in ((FOLLOWED, single), (WALKED, {row.target for row in rows} - single)):
        worst = dict.fromkeys(choice.candidates, 1.0)
        for target in targets:
            took = {kernel: seconds.get((target, scout), math.inf) for kernel, scout in choice.candidates.items()}
            soonest = min(took.values())
            if math.isfinite(soonest):
                worst = {kernel: max(worst[kernel], took[kernel] / soonest) for kernel in worst}
        found[choice.situation] = min(worst, key=worst.__getitem__), worst
    return found


def recommendations(rows: Sequence[Row]) -> list[str]:
    """The same in sentences."""
    sentences = []
    for situation, (best, worst) in recommended(rows).items():
        others = ", ".join(
            f"{kernel} {'does not arrive' if math.isinf(ratio) else f'{ratio:.1f} times'}"
            for kernel, ratio in worst.items()
            if kernel != best
        )
        own = f"at worst {worst[best]:.1f} times the soonest's kernel seconds"
        sentences.append(f"- Where {situation}: **{best}**, {own} ({others}); so `scout.kernel=auto` takes it.")
    return sentences


def _rules(rounds: int, seconds: float) -> str:
    """How the runs were made and when one has arrived. rounds, kernel seconds: the most that a run may spend."""
    return (
        f"{REPLICAS} replicas in {SUPERCHAINS} superchains, one seed ({SEED}), one run a row, rounds of one sweep, at "
        f"most {rounds} rounds and {seconds:g} kernel seconds (compilation apart) of one process. In the typical "
        f"set: the ensemble's mean log density is within one standard deviation of a replica of its equilibrium value "
        f"for {IN_A_ROW} rounds in a row; counts and seconds are up to the first of them, '-' is not in the budget. "
        "Starts are the model's own (Pathfinder's: from paths that begin there), one a superchain."
    )


def _table(rows: Sequence[Row]) -> str:
    head = "| target | scout | rounds | log densities | gradients | kernel s | stage | at the end |\n"
    return head + "|---|---|---|---|---|---|---|---|\n" + "\n".join(line(row) for row in rows)


def _known(equilibria: Mapping[str, Equilibrium]) -> str:
    head = "| target | mean log density | sd of a replica | standard error | from |\n|---|---|---|---|---|\n"
    known = [f"| {name} | {e.mean:,.2f} | {e.sd:.2f} | {e.error:.2g} | {e.how} |" for name, e in equilibria.items()]
    return head + "\n".join(known)


def page(
    rows: Sequence[Row], equilibria: Mapping[str, Equilibrium], budget: tuple[int, float], made: str, planned: int
) -> str:
    """The whole of docs/scouts.md. budget: rounds and kernel seconds of a run; made: how, when and where; planned: the
    rows of a whole table."""
    cut = f" **Interrupted: {len(rows)} of {planned} rows.**" if len(rows) < planned else ""
    parts = [
        "# Scouts: what it takes to reach the typical set",
        f"Made by {made}. Do not edit: run it again.{cut}",
        _rules(*budget),
        COUNTED,
        _table(rows),
        "## What it shows",
        "\n".join(findings(rows)),
        CAVEATS,
        "## What is recommended",
        "\n".join(recommendations(rows)),
        "## Equilibrium",
        _known(equilibria),
        ABOUT_TARGETS,
    ]
    return "\n\n".join(parts) + "\n"


def command(chosen: argparse.Namespace) -> str:
    """What makes the same page again, wherever it is written to."""
    targets = chosen.targets if chosen.targets != list(TARGETS) else []
    scouts = ["--scouts", *chosen.scouts] if chosen.scouts != list(SCOUTS) else []
    budget = ["--rounds", str(chosen.rounds), "--seconds", f"{chosen.seconds:g}"]
    return shlex.join(["python", "-m", "workflows.studies.scouts.compare", *targets, *scouts, *budget])


def machine() -> str:
    """Day, processor, how busy it is, and revision."""
    revision = _git("rev-parse", "--short", "HEAD")
    changed = " with uncommitted changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    load = f"{os.cpu_count()} cores with a load of {os.getloadavg()[0]:.0f}"
    place = f"{platform.machine()}, {jax.default_backend()}, {load}, jax {jax.__version__}"
    return f"{time.strftime('%Y-%m-%d')}, {place}, revision {revision or 'unknown'}{changed}"


def _git(*arguments: str) -> str:
    """What git says, nothing outside a checkout."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
