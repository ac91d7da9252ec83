"""A run in numbers: what the store's attributes say of it, which `inspect` and the report read."""

from typing import Any

import numpy as np

from ensemble.adaptation.surrogates import teaching
from ensemble.diagnostics.coordinates import worst
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.run import ladder
from ensemble.run.goals import MOST_FAILED, goals_met
from ensemble.run.ladder import LadderState
from ensemble.run.ledger import Ledger
from ensemble.run.observed import acceptance_by_level, infinite_sentence, interweaving_rates, mean_of, swap_rates
from ensemble.run.settings import RunSettings
from ensemble.run.state import RunState
from ensemble.run.status import seconds_left
from kernels.ladder import schedule
from kernels.structure.levels import Interweaving, Level, Structure


def summarise(state: RunState, spec: SweepSpec, settings: RunSettings) -> dict[str, Any]:
    """What the store's attributes say of the run (model, seed, versions and workers are added by who knows them)."""
    ledger = state.ledger
    return {
        "stage": ledger.stage.name,
        "chains": settings.replicas,
        "stored_chains": settings.superchains * settings.shard.stored,
        "draws": ledger.draws,
        "sweeps": ledger.sweeps,
        "d": spec.dimension,
        **_goals(ledger, settings),
        **_acceptance(ledger, spec.levels),
        "interweaving": _interweaving(ledger, spec.interweavings),
        "nonfinite": ledger.nonfinite,
        "infinite": infinite_sentence(ledger.infinite, spec.levels) if ledger.infinite else None,
        "divergences": {
            stage: {"diverging": diverging, "trajectories": trajectories}
            for stage, (diverging, trajectories) in ledger.divergences.items()
        },
        "relocated": sum(ledger.relocated),
        "gradients": dict(zip(("lockstep", "own"), ledger.gradients, strict=True)),
        "stages": _stages(ledger),
        "structure": [
            {"level": v.name, "blocks": v.n_blocks, "coordinates": int(v.sizes.sum()), "sites": list(v.sites)}
            for v in spec.structure.levels
        ],
        "kernels": {level.name: spec.kernel_of(level).kernel for level in spec.levels},
        "joint": {level.name: ledger.joined for level in spec.joint},
        "joined": list(spec.structure.joined),
        "surrogates": teaching.facts(state.tuning),
        "worst": _worst(state, spec.structure, settings),
        "apart": _worst(state, spec.structure, settings, by="rhat"),
        "ladder": summarise_ladder(ledger.ladder, state.tuning.betas, settings.replicas),
        **{f"{name}_seconds": ledger.seconds[name] for name in ("wall", "core", "kernel", "compile")},
        "seconds_left": seconds_left(ledger, settings),
    }


def _goals(ledger: Ledger, settings: RunSettings) -> dict[str, Any]:
    """How far the goals are."""
    check = ledger.goals
    return {
        "nested_rhat_max": check.rhat_max,
        "nested_rhat_limit": settings.goals.rhat,
        "nested_rhat_shared_max": check.rhat_shared_max,
        "ess_online_min": check.ess_min,
        "ess_online_median": check.ess_median,
        "ess_online_shared_min": check.ess_shared_min,
        "ess_stored_min": check.stored_ess_min,
        "ess_stored_shared_min": check.stored_ess_shared_min,
        "tail_ess_min": check.tail_ess_min,
        "tail_ess_stored_min": check.stored_tail_ess_min,
        "tail_rhat_max": check.tail_rhat_max,
        "log_density_ess": check.log_density_ess,
        "log_density_ess_stored": check.stored_log_density_ess,
        "log_density_rhat": check.log_density_rhat,
        "failed_trajectories": check.failed,
        "failed_trajectories_limit": MOST_FAILED,
        "furthest_chain": check.furthest_max,
        "furthest_chain_limit": check.furthest_limit,
        "drift": check.drift_max,
        "drift_limit": check.drift_limit,
        "goals_met": goals_met(check, ledger.draws, len(ledger.strays), settings),
        "strays": {chain: low if np.isfinite(low) else None for chain, low in ledger.strays.items()},
        "floor": ledger.floor if ledger.strays else None,
    }


def _acceptance(ledger: Ledger, levels: tuple[Level, ...]) -> dict[str, Any]:
    """How often what was proposed in the stage is accepted."""
    by_kind = {name: mean for name, pair in ledger.rates.items() if (mean := mean_of(pair)) is not None}
    return {
        "acceptance": acceptance_by_level(ledger.rates, levels),
        "acceptance_by_kind": by_kind,
        "swap_rates": swap_rates(ledger.rates),
    }


def _interweaving(ledger: Ledger, interweavings: tuple[Interweaving, ...]) -> list[dict[str, Any]]:
    """The interweaving moves, whether they are in use, and their acceptance in the stage."""
    rates = interweaving_rates(ledger.rates, len(interweavings))
    return [
        {**move._asdict(), "used": used, "acceptance": None if np.isnan(rate) else float(rate)}
        for move, used, rate in zip(interweavings, ledger.interweavings_kept, rates, strict=True)
    ]


def _stages(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """What each stage has taken."""
    return {
        stage: {
            "rounds": rounds,
            "sweeps": sweeps,
            "seconds": ledger.stage_seconds[stage],
            "gradients": ledger.stage_gradients[stage][1],
        }
        for stage, (rounds, sweeps) in ledger.stages.items()
    }


def _worst(state: RunState, structure: Structure, settings: RunSettings, by: str = "ess") -> list[dict[str, Any]]:
    """The slowest coordinates, or those about which superchains disagree most; none before all are known."""
    if state.diagnostics is None or state.ledger.goals.ess_min is None:
        return []
    return worst(structure, state.diagnostics, settings.shard.auxiliary, by=by)


def outside_kernels(ledger: Ledger, workers: int) -> float | None:
    """Share of the workers' time that was not spent in compiled kernels (Ray, coordinator, store), compilation apart.

    True for a run on one number of workers from start to end.
    """
    available = workers * ledger.seconds["wall"] - ledger.seconds["compile"]
    return 1.0 - ledger.seconds["kernel"] / available if available > 0 else None


def summarise_ladder(state: LadderState, betas: np.ndarray, chains: int) -> dict[str, Any] | None:
    """What the summary says of the ladder; None without hot rungs. chains: cold replicas, that is ladders side by side.

    round_trips: of all walkers in this stage; expected: those of swaps that know nothing of the past, at the present
    rejections; only where whole replicas travel.
    """
    if len(betas) < 2:
        return None
    rejected = ladder.rejections(state, len(betas) - 1)
    accepted = [*(_known(1.0 - r) for r in rejected), None]
    energies = state.energies or (None,) * len(betas)
    rate = schedule.round_trip_rate(rejected)
    return {
        "rungs": [
            {
                "rung": rung,
                "temperature": float(1.0 / beta) if beta else None,
                "beta": float(beta),
                "swap": swap,
                "energy": energy,
            }
            for rung, (beta, swap, energy) in enumerate(zip(betas, accepted, energies, strict=True))
        ],
        "barrier": _known(schedule.communication_barrier(rejected)),
        "round_trips": state.trips,
        "round_trips_expected": None if state.trips is None else _known(rate * state.sweeps * chains),
        "log_evidence": None if state.evidence is None else state.evidence["stepping_stone"][0],
        "log_evidence_error": None if state.evidence is None else state.evidence["stepping_stone"][1],
        "log_evidence_by": None if state.evidence is None else dict(state.evidence),
        "rounds": list(state.rows),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
