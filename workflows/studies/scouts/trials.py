"""One scout on one target: the scouts and their settings, the run that is watched, the row that comes of it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ensemble.shard.starts.starter import StartError
from kernels.structure.joining import ALL_SITES
from workflows.sampling.problem import named_problem
from workflows.settings.loading import Settings, make_settings
from workflows.studies import watched
from workflows.studies.scouts.arrival import Arrival, Seen
from workflows.studies.scouts.targets import Equilibrium, ScoutTarget

FOUND = "found"
"""In place of kernels.levels: the structure as found, every level of it by Metropolis."""
SPSA, SHORT = {"kernel": "momentum_diffusion"}, {"kernel": "short"}
SCOUTS: Mapping[str, Mapping[str, Any]] = {
    "SPSA, whole vector": {"kernels": {"levels": {ALL_SITES: "metropolis"}}, "scout": SPSA},
    "SPSA, by level": {"kernels": {"levels": FOUND}, "scout": SPSA},
    "short HMC": {"kernels": {"levels": {ALL_SITES: "hmc"}}, "scout": SHORT},
    "short NUTS": {"kernels": {"levels": {ALL_SITES: "nuts"}}, "scout": SHORT},
    "Metropolis, by level": {"kernels": {"levels": FOUND}, "scout": {"kernel": "none"}},
    "Pathfinder, short HMC": {
        "kernels": {"levels": {ALL_SITES: "hmc"}},
        "scout": SHORT,
        "start": {"kind": "pathfinder"},
    },
}
REFERENCE: Mapping[str, str] = {"german_credit": "short NUTS", "airway_200": "Metropolis, by level"}
"""Whose longer run gives the equilibrium of a target without an exact one."""
REFERENCE_SWEEPS = {"short NUTS": (1, 160), "Metropolis, by level": (8, 120)}
"""Sweeps of a round and rounds of those runs; the second half counts."""
ONE_BLOCK = "one block: as whole vector"
REPLICAS, SUPERCHAINS = 64, 8
SEED = 0


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


def settings(target: ScoutTarget, scout: str, rounds: int, sweeps: int = 1, levels: Sequence[str] = ()) -> Settings:
    """The settings of a run of warm-up only. levels: those of the structure as found, for the scouts that keep it."""
    changes = {key: dict(value) for key, value in SCOUTS[scout].items()}
    if changes["kernels"]["levels"] == FOUND:
        changes["kernels"]["levels"] = dict.fromkeys(levels, "metropolis")
    content = {
        **watched.SETTINGS,
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
    levels = named_problem(make_settings(content)).spec.structure.levels
    return (ALL_SITES,) if sum(level.n_blocks for level in levels) == 1 else tuple(level.name for level in levels)


def watch(chosen: Settings, equilibrium: Equilibrium | None, seconds: float) -> Seen:
    """A run, looked at until arrival in `equilibrium` (never for None), or its sweeps or kernel seconds are spent.

    Raises StartError where no start has a finite density.
    """
    problem = named_problem(chosen)
    seen = Seen(chosen, problem)

    def enough() -> bool:
        return seen.seconds >= seconds or (equilibrium is not None and seen.arrival(equilibrium) is not None)

    watched.run(chosen, problem, seen.look, stop_requested=enough)
    return seen


def of_run(densities: np.ndarray, how: str) -> Equilibrium:
    """From log densities [rounds, superchains, replicas] in equilibrium; the error is that between superchains."""
    means = densities.mean(axis=(0, 2))
    error = float(means.std(ddof=1) / np.sqrt(len(means)))
    return Equilibrium(float(densities.mean()), float(densities.std(ddof=1)), error, how)


def equilibrium_of(target: ScoutTarget, levels: Sequence[str]) -> Equilibrium:
    """Exact where it is known, else from the second half of a longer run of a scout that arrives."""
    if target.exact is not None:
        return target.exact(named_problem(settings(target, "SPSA, whole vector", 1)).model)
    scout = REFERENCE[target.name]
    sweeps, rounds = REFERENCE_SWEEPS[scout]
    seen = watch(settings(target, scout, rounds, sweeps, levels), None, np.inf).densities
    half = np.stack(seen[rounds // 2 :]).reshape(-1, SUPERCHAINS, REPLICAS // SUPERCHAINS)
    return of_run(half, f"{scout}, {rounds} rounds of {sweeps} sweep{'s' * (sweeps > 1)}, the second half")


def row(
    target: ScoutTarget, scout: str, equilibrium: Equilibrium, levels: Sequence[str], rounds: int, seconds: float
) -> Row:
    """One scout on one target. Where all coordinates are one block, SPSA by level is SPSA of the whole vector."""
    if scout == "SPSA, by level" and levels == (ALL_SITES,):
        return Row(target.name, scout, None, np.nan, 0, 0.0, ONE_BLOCK)
    try:
        seen = watch(settings(target, scout, rounds, levels=levels), equilibrium, seconds)
    except StartError:
        return Row(target.name, scout, None, np.nan, 0, 0.0, "no finite start")
    distance = abs(seen.means[-1] - equilibrium.mean) / equilibrium.sd
    return Row(target.name, scout, seen.arrival(equilibrium), distance, len(seen.means), seen.seconds)
