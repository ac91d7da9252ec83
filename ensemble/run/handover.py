"""What a run takes over from another run of the same model: its last states, and the controls that it learned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ensemble.adaptation.moments import LevelMoments, first_moments
from ensemble.errors import StoreError
from ensemble.protocol.flat import flatten, under, unflatten
from ensemble.protocol.plans import Arrays
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.run.ledger import Ledger
from ensemble.store.checkpoint import Checkpoint

Tree = TypeVar("Tree")


class Handover(NamedTuple):
    """The controls and moments of another run's last checkpoint, flat, and what is to be made of them.

    reuse: states, controls or both. frozen: whether the controls are those of stage `sample`. useful: interweaving
    moves in use. same_kernels, same_tempering: whether these settings are those of this run: step sizes of other
    kernels and temperatures of another ladder do not fit.
    """

    reuse: str
    controls: Arrays
    moments: Arrays
    frozen: bool
    useful: tuple[bool, ...]
    same_kernels: bool
    same_tempering: bool


class Taken(NamedTuple):
    """What the run begins with; notes: sentences that say so."""

    ledger: Ledger
    controls: TuningState
    moments: LevelMoments
    notes: tuple[str, ...]


def handover(
    path: Path, checkpoint: Checkpoint, reuse: str, *, same_kernels: bool = True, same_tempering: bool = True
) -> Handover:
    """What can be taken over from the checkpoint of the store at `path`.

    Raises StoreError where that run had not settled: neither its states nor its controls are those of equilibrium.
    """
    ledger = Ledger.from_json(checkpoint.info)
    if ledger.stage != "sample" and ledger.settled is None:
        raise StoreError(
            f"start.store: the run in {path} stands in stage {ledger.stage!r} after {ledger.sweeps} sweeps and has not "
            f"settled: there is nothing yet to start from. Let it go on (`maxwell resume {path}`), or name another run."
        )
    controls, moments = (under(part, checkpoint.coordinator) for part in ("controls", "moments"))
    frozen = ledger.stage == "sample"
    return Handover(reuse, controls, moments, frozen, ledger.useful, same_kernels, same_tempering)


def dealt(checkpoint: Checkpoint, superchains: int, replicas: int, rungs: int) -> list[Arrays]:
    """The positions of a checkpoint as starts of `superchains` shards of `replicas` replicas a rung.

    Of K superchains of R replicas there, superchain k here gets k mod K, and its replica r gets replica
    ((k div K) replicas + r) mod R: no state is given twice to a superchain, or in all, before every one was given.
    Hot rungs are dealt out too, each from the rung of its number, as far as there are any on both sides.
    """
    starts = []
    for superchain in range(superchains):
        turn, source = divmod(superchain, len(checkpoint.shards))
        chosen = turn * replicas + np.arange(replicas)
        start = {}
        for part in (f"rung/{rung}/position" for rung in range(rungs)):
            found = under(part, checkpoint.shards[source])
            start.update({f"{part}/{name}": x[chosen % len(x)] for name, x in found.items()})
        starts.append(start)
    return starts


def take_over(given: Handover, moves: int, first_controls: Callable[[str], TuningState]) -> Taken:
    """The books, controls and moments that a run begins with. first_controls: of a stage, before anything is known.

    States with frozen controls that all fit go straight into `sample`. Other states begin in `equilibrate` as settled,
    so that only its refining rounds are left. Controls without states are held in `equilibrate` until the ensemble has
    settled: adapting at once would follow the dispersed starts.
    """
    if given.reuse == "both" and given.frozen:
        controls, misfits = _fitted(first_controls("sample"), given)
        if not misfits and len(given.useful) == moves:
            ledger = Ledger(stage="sample", useful=given.useful)
            note = "states and frozen controls are taken over: straight into stage `sample`"
            return Taken(ledger, controls, _moments(controls, given), (note,))
    controls, misfits = first_controls("equilibrate"), []
    if given.reuse != "states":
        controls, misfits = _fitted(controls, given)
    alone = given.reuse == "controls"
    ledger = Ledger(stage="equilibrate", settled=None if alone else 0, held=alone, useful=(True,) * moves)
    notes = tuple(f"not taken over, as it does not fit this run: {name}" for name in misfits)
    return Taken(ledger, controls, _moments(controls, given), notes)


def _fitted(blank: TuningState, given: Handover) -> tuple[TuningState, list[str]]:
    """`blank` with all of the controls given that have its shapes, and the names of what had to stay blank.

    A rung hotter than any there takes the controls of the hottest.
    """
    misfits, betas = [], given.controls["betas"]
    if betas.shape != blank.betas.shape or not given.same_tempering:
        misfits.append("the ladder of temperatures")
        betas = blank.betas
    misfits += [] if given.same_kernels else ["the step sizes of other kernels"]
    levels = {}
    for name, rungs in blank.levels.items():
        last = _rungs(given.controls, f"levels/{name}") - 1
        found = [_filled(one, under(f"levels/{name}/{min(r, last)}", given.controls)) for r, one in enumerate(rungs)]
        misfits += [f"the controls of level {name!r}"] * any(part is None for part in found)
        levels[name] = tuple(_level(one, part, given.same_kernels) for one, part in zip(rungs, found, strict=True))
    interweave = given.controls["interweave"]
    if interweave.shape != blank.interweave.shape:
        misfits.append("the step sizes of the interweaving moves")
        interweave = blank.interweave
    return blank._replace(levels=levels, betas=betas, interweave=interweave), misfits


def _level(blank: LevelTuning, found: LevelTuning | None, same_kernels: bool) -> LevelTuning:
    """The controls of one level and rung: of another kernel only what describes the posterior."""
    if found is None:
        return blank
    return found if same_kernels else blank._replace(mean=found.mean, factor=found.factor)


def _moments(controls: TuningState, given: Handover) -> LevelMoments:
    """The moments given, for the rungs that the controls have; empty ones where they do not fit or are not wanted."""
    blank = first_moments(controls)
    if given.reuse == "states":
        return blank
    moments: dict[str, Any] = {}
    for name, rungs in blank.items():
        last = _rungs(given.moments, name) - 1
        found = [_filled(one, under(f"{name}/{min(r, last)}", given.moments)) for r, one in enumerate(rungs)]
        moments[name] = tuple(one if part is None else part for one, part in zip(rungs, found, strict=True))
    return moments


def _rungs(arrays: Arrays, level: str) -> int:
    """How many rungs of a level there are."""
    count = 0
    while under(f"{level}/{count}", arrays):
        count += 1
    return count


def _filled(template: Tree, arrays: Arrays) -> Tree | None:
    """The tree of `template`'s structure with these arrays, None unless each is there in its shape."""
    shapes = {name: values.shape for name, values in flatten(template).items()}
    if any(name not in arrays or arrays[name].shape != shape for name, shape in shapes.items()):
        return None
    return unflatten(template, arrays)
