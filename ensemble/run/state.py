"""Everything that the coordinator keeps from one round to the next, and its form in a checkpoint."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ensemble.adaptation.joint import Jumps, no_jumps
from ensemble.adaptation.moments import EnsembleMoments, first_moments
from ensemble.adaptation.surrogates.lessons import Collected, none_yet
from ensemble.adaptation.surrogates.teaching import learns
from ensemble.diagnostics.accumulators import NOTHING, DiagnosticSums, pack_sums, unpack_sums
from ensemble.diagnostics.convergence import Diagnostics
from ensemble.diagnostics.coordinates import pack_by_site, unpack_by_site
from ensemble.errors import StoreVersion
from ensemble.protocol.flat import flatten, prefixed, under, unflatten
from ensemble.protocol.plans import Arrays
from ensemble.protocol.stages import Stage
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.run.decisions import policies
from ensemble.run.ledger import Ledger
from ensemble.run.settings import RunSettings
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.scouts import scout_tuning
from kernels.structure.levels import Structure


class RunState(NamedTuple):
    """The state of a run between two rounds, but for the ensemble itself. An immutable value: rounds give new ones.

    ledger: where the run stands.
    tuning: what adapts.
    moments: of the ensemble.
    jumps: of rounds with and without joint moves.
    lessons: examples for networks, until they are trained.
    diagnostic_sums: sums over all shards that ESS, R-hat and the evidence are made of.
    diagnostics: those of the last check, None before the first.
    """

    ledger: Ledger
    tuning: TuningState
    moments: EnsembleMoments
    jumps: Jumps
    lessons: Collected
    diagnostic_sums: DiagnosticSums
    diagnostics: Diagnostics | None


def stage_tuning(stage: Stage, spec: SweepSpec, settings: RunSettings) -> TuningState:
    """The tuning of a stage before anything is known."""
    shard = settings.shard
    betas = 1 / np.asarray(shard.ladder.temperatures[: shard.rungs(stage)])
    tuning = first_tuning(spec, betas, 1, replica_swap=shard.swaps_replicas)
    return tuning._replace(scout=scout_tuning(spec.structure, shard.scout)) if shard.runs_scout(stage) else tuning


def first_state(spec: SweepSpec, settings: RunSettings) -> RunState:
    """The state before the first round."""
    stage = policies.first_stage(settings)
    tuning = stage_tuning(stage, spec, settings)
    ledger = Ledger(stage=stage, interweavings_kept=(True,) * len(spec.interweavings), taught=not learns(tuning))
    lessons = none_yet(tuning)
    return RunState(ledger, tuning, first_moments(tuning), no_jumps(spec), lessons, NOTHING, None)


def pack(state: RunState, structure: Structure) -> tuple[Arrays, dict[str, Any]]:
    """The flat arrays of a checkpoint, and what it keeps as JSON."""
    parts = {
        "tuning": flatten(state.tuning),
        "moments": flatten(state.moments),
        "jumps": flatten(state.jumps),
        "lessons": flatten(state.lessons),
        "diagnostic_sums": pack_sums(state.diagnostic_sums),
        "diagnostics": pack_by_site(state.diagnostics, structure),
    }
    arrays = {name: array for part, found in parts.items() for name, array in prefixed(part, found).items()}
    return arrays, state.ledger.to_json()


def unpack(
    arrays: Arrays,
    info: Mapping[str, Any],
    spec: SweepSpec,
    settings: RunSettings,
) -> RunState:
    """The state that `pack` gave arrays and JSON of, bit for bit. Raises StoreVersion where kernels tune now what they
    did not when it was packed."""
    ledger = Ledger.from_json(info)
    blank, learned = stage_tuning(ledger.stage, spec, settings), under("tuning", arrays)
    if lacking := sorted(flatten(blank).keys() - learned.keys()):
        raise StoreVersion(
            f"the checkpoint has no {', '.join(lacking)}, which this version's kernels need to go on: resume with the "
            "version that wrote it (inspect names it), or start a new run from its states (start.store). Its draws can "
            "be read by any."
        )
    tuning = unflatten(blank, learned)
    return RunState(
        ledger=ledger,
        tuning=tuning,
        moments=unflatten(first_moments(tuning), under("moments", arrays)),
        jumps=unflatten(no_jumps(spec), under("jumps", arrays)),
        lessons=unflatten(none_yet(tuning), under("lessons", arrays)),
        diagnostic_sums=unpack_sums(under("diagnostic_sums", arrays)),
        diagnostics=unpack_by_site(under("diagnostics", arrays), spec.structure),
    )
