"""A run in numbers: for the progress display, and for the store's attributes that `inspect` reads."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ensemble.diagnostics.convergence import Diagnostics
from ensemble.protocol.plans import Arrays, RoundReport
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run.ladder import Pair
from ensemble.run.ledger import Ledger
from ensemble.run.policies import goals_met
from ensemble.run.settings import RunSettings
from ensemble.run.status import Status
from kernels.structure.levels import Level, Structure

WORST = 10
"""How many of the slowest coordinates a summary names."""
RATE = re.compile(r"(?P<name>(?:walk|fitted|score|swap|interweave)(?:/.+)?)/(?P<part>[01])$")


def trace_of(statistics: Arrays) -> tuple[float, ...]:
    """A superchain's row of the ledger's trace: the mean over its replicas of the log density, then of each term."""
    terms = [float(value) for name, value in sorted(statistics.items()) if name.startswith("term/")]
    return (float(statistics["lp"].mean()), *terms)


def add_rates(rates: Mapping[str, Pair], statistics: list[Arrays]) -> dict[str, Pair]:
    """Add a round's acceptance (sums and counts, over blocks and shards) to those of the stage.

    interweave is kept by move, everything else as one number a level and rung.
    """
    added = dict(rates)
    for name in statistics[0]:
        match = RATE.match(name)
        if match is None or match["part"] == "1":
            continue
        pair = [sum(np.atleast_1d(s[f"{match['name']}/{part}"]).astype(float) for s in statistics) for part in (0, 1)]
        entries = enumerate(zip(*pair, strict=True)) if match["name"] == "interweave" else [("", pair)]
        for index, (accepted, tried) in entries:
            key = f"{match['name']}/{index}" if index != "" else match["name"]
            old = added.get(key, (0.0, 0.0))
            added[key] = (old[0] + float(np.sum(accepted)), old[1] + float(np.sum(tried)))
    return added


def virial_of(statistics: Arrays) -> tuple[float, ...]:
    """A superchain's mean virial -x.g / p of each level that follows the gradient, at the cold rung."""
    found = (value for name, value in sorted(statistics.items()) if re.fullmatch(r"moments/virial/.+/0", name))
    return tuple(float(value) for value in found)


def relocated_in(statistics: list[Arrays]) -> tuple[int, ...]:
    """How many stragglers of all shards a round of the scout stage relocated; nothing of another round."""
    counts = [int(arrays["relocated"]) for arrays in statistics if "relocated" in arrays]
    return (sum(counts),) if counts else ()


def add_gradients(
    gradients: Mapping[str, Pair], stage: str, statistics: list[Arrays], replicas: int
) -> dict[str, Pair]:
    """Add a round's evaluations of the gradient to those of its stage: the mean over shards of those in lock-step, the
    mean over replicas of their own. replicas: of a shard."""
    lockstep, own = (float(np.mean([s["gradients"][part] for s in statistics])) for part in (0, 1))
    before = gradients.get(stage, (0.0, 0.0))
    return {**gradients, stage: (before[0] + lockstep, before[1] + own / replicas)}


def rate_of(rates: Mapping[str, Pair], kind: str, count: int) -> np.ndarray:
    """Mean acceptance of the numbered entries of a kind, NaN where nothing was tried."""
    pairs = [rates.get(f"{kind}/{index}", (0.0, 0.0)) for index in range(count)]
    return np.asarray([accepted / tried if tried else np.nan for accepted, tried in pairs])


def _mean(pair: Pair) -> float | None:
    return pair[0] / pair[1] if pair[1] else None


def acceptance_by_level(rates: Mapping[str, Pair], structure: Structure) -> dict[str, float]:
    """Acceptance of the cold replicas' moves by level: walk and fitted together, or the scout's score."""
    found = {}
    for level in structure.levels:
        pairs = [rates[n] for kind in ("walk", "fitted", "score") if (n := f"{kind}/{level.name}/0") in rates]
        value = _mean((sum(p[0] for p in pairs), sum(p[1] for p in pairs)))
        if value is not None:
            found[level.name] = value
    return found


def swap_rates(rates: Mapping[str, Pair]) -> dict[str, float]:
    """Acceptance of swaps by "LEVEL/r-s": of a level's blocks, or of whole replicas, between the rungs r and s."""
    found = {name.removeprefix("swap/"): _mean(pair) for name, pair in rates.items() if name.startswith("swap/")}
    return {name: value for name, value in found.items() if value is not None}


def coordinates(
    level: Level, diagnostics: Diagnostics, shared: Collection[str], auxiliary: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Flat arrays over a level's coordinates, block by block, but for those of auxiliary sites: ess, rhat, shared (of
    one of the sites named)."""
    there = np.ones((level.width, level.n_blocks), bool) if level.mask is None else level.mask
    if auxiliary:
        there = there & ~_of_sites(level, auxiliary)
    return {
        "ess": diagnostics.ess[level.name][there],
        "rhat": diagnostics.rhat[level.name][there],
        "shared": _of_sites(level, shared)[there],
    }


def _of_sites(level: Level, sites: Collection[str]) -> np.ndarray:
    """Which of a level's coordinates [p, B] belong to one of the sites."""
    marks = {name: jnp.full(shape, name in sites) for name, shape in level.layout.shapes.items()}
    return np.asarray(level.gather(marks)).astype(bool)


def worst(structure: Structure, diagnostics: Diagnostics, auxiliary: Collection[str] = ()) -> list[dict[str, Any]]:
    """The coordinates with the smallest ess_online, but for auxiliary ones: site, index in the site, ess, rhat."""
    rows: list[dict[str, Any]] = []
    for level in (level for level in structure.levels if level.name in diagnostics.ess):
        kinds = (jnp.asarray(values[level.name]) for values in (diagnostics.ess, diagnostics.rhat))
        ess, rhat = (level.scatter({}, values) for values in kinds)
        for site in (site for site in level.sites if site not in auxiliary):
            flat, between = np.ravel(np.asarray(ess[site])), np.ravel(np.asarray(rhat[site]))
            for place in np.argsort(flat)[:WORST]:
                index = [int(i) for i in np.unravel_index(place, np.shape(ess[site]))]
                rows.append({"site": site, "index": index, "ess": float(flat[place]), "rhat": float(between[place])})
    return sorted(rows, key=lambda row: row["ess"])[:WORST]


def summarise(
    ledger: Ledger,
    diagnostics: Diagnostics | None,
    spec: SweepSpec,
    settings: RunSettings,
) -> dict[str, Any]:
    """What the store's attributes say of the run (model, seed and versions are added by who knows them)."""
    structure = spec.structure
    goals, seconds, auxiliary = ledger.goals, ledger.seconds, settings.shard.auxiliary
    known = diagnostics is not None and goals.ess_min is not None
    interweaving = rate_of(ledger.rates, "interweave", len(spec.interweavings))
    return {
        "stage": ledger.stage,
        "chains": settings.replicas,
        "stored_chains": settings.superchains * settings.shard.stored,
        "draws": ledger.draws,
        "sweeps": ledger.sweeps,
        "d": sum(int(level.sizes.sum()) for level in structure.levels),
        "nested_rhat_max": goals.rhat_max,
        "nested_rhat_limit": settings.rhat,
        "nested_rhat_shared_max": goals.rhat_shared_max,
        "ess_online_min": goals.ess_min,
        "ess_online_median": goals.ess_median,
        "ess_online_shared_min": goals.ess_shared_min,
        "goals_met": goals_met(ledger, settings),
        "acceptance": acceptance_by_level(ledger.rates, structure),
        "acceptance_by_kind": {name: mean for name, pair in ledger.rates.items() if (mean := _mean(pair)) is not None},
        "swap_rates": swap_rates(ledger.rates),
        "interweaving": [
            {**move._asdict(), "used": used, "acceptance": None if np.isnan(rate) else float(rate)}
            for move, used, rate in zip(spec.interweavings, ledger.useful, interweaving, strict=True)
        ],
        "nonfinite": ledger.nonfinite,
        "relocated": sum(ledger.relocated),
        "gradients": dict(zip(("lockstep", "own"), ledger.gradients, strict=True)),
        "stages": {
            stage: {
                "rounds": rounds,
                "sweeps": sweeps,
                "seconds": ledger.stage_seconds[stage],
                "gradients": ledger.stage_gradients[stage][1],
            }
            for stage, (rounds, sweeps) in ledger.stages.items()
        },
        "structure": [
            {"level": v.name, "blocks": v.n_blocks, "coordinates": int(v.sizes.sum()), "sites": list(v.sites)}
            for v in structure.levels
        ],
        "joined": list(structure.joined),
        "worst": worst(structure, diagnostics, auxiliary) if diagnostics is not None and known else [],
        **{f"{name}_seconds": seconds[name] for name in ("wall", "core", "kernel", "compile")},
    }


def outside_kernels(ledger: Ledger, workers: int) -> float | None:
    """Share of the workers' time that was not spent in compiled kernels (Ray, coordinator, store), compilation apart.

    True for a run on one number of workers from start to end.
    """
    available = workers * ledger.seconds["wall"] - ledger.seconds["compile"]
    return 1.0 - ledger.seconds["kernel"] / available if available > 0 else None


def status(ledger: Ledger, reports: list[RoundReport], structure: Structure, settings: RunSettings) -> Status:
    """What the progress display shows after a round."""
    goals = ledger.goals
    rates = add_rates({}, [report.statistics for report in reports])
    return Status(
        stage=ledger.stage,
        epoch=ledger.epoch,
        sweeps=ledger.sweeps,
        draws=ledger.draws,
        acceptance=acceptance_by_level(rates, structure),
        swap_rates=swap_rates(rates),
        lp_mean=float(np.mean([report.statistics["lp"].mean() for report in reports])),
        rhat_max=goals.rhat_max,
        rhat_limit=settings.rhat,
        rhat_shared_max=goals.rhat_shared_max,
        ess_min=goals.ess_min,
        ess_median=goals.ess_median,
        ess_shared_min=goals.ess_shared_min,
        nonfinite=ledger.nonfinite,
        seconds=ledger.seconds["wall"],
        seconds_left=seconds_left(ledger, settings),
    )


def seconds_left(ledger: Ledger, settings: RunSettings) -> float | None:
    """Wall time to the ESS goals at the pace so far; None before the first goal check."""
    goals = ledger.goals
    if goals.ess_min is None:
        return None
    wanted = settings.ess / goals.ess_min
    if goals.ess_shared_min is not None:
        wanted = max(wanted, settings.shared_ess / goals.ess_shared_min)
    rounds = max(0.0, goals.rounds * max(wanted, 1.0) - (ledger.stage_round - settings.burn_rounds))
    return rounds * ledger.seconds["wall"] / max(1, ledger.epoch)
