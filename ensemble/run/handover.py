"""What a run takes over from another run of the same model: its last states, and the tuning that it learned."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from ensemble.adaptation.moments import EnsembleMoments, LevelMoments, Moments, first_moments
from ensemble.errors import StoreError
from ensemble.protocol.flat import flatten, under, unflatten
from ensemble.protocol.plans import Arrays
from ensemble.protocol.stages import EQUILIBRATE, SAMPLE, Stage
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.run.ledger import Ledger
from ensemble.run.state import RunState
from ensemble.store.contents import Checkpoint

Tree = TypeVar("Tree")


class Handover(NamedTuple):
    """What another run's last checkpoint hands over, and what is to be made of it. Step sizes of other kernels and
    temperatures of another ladder do not fit.

    reuse: states, tuning or both.
    tuning: that of the checkpoint, flat.
    moments: those of the checkpoint, flat.
    frozen: whether the tuning is that of stage `sample`.
    interweavings_kept: which of its interweaving moves are in use.
    joined: whether its joint moves are.
    same_kernels: whether the kernels' settings are those of this run.
    same_tempering: whether the settings of the ladder are those of this run.
    """

    reuse: str
    tuning: Arrays
    moments: Arrays
    frozen: bool
    interweavings_kept: tuple[bool, ...]
    joined: bool
    same_kernels: bool
    same_tempering: bool


class Taken(NamedTuple):
    """What the run begins with.

    state: before its first round.
    notes: sentences that say so.
    """

    state: RunState
    notes: tuple[str, ...]


def handover(
    source: str, checkpoint: Checkpoint, reuse: str, *, same_kernels: bool = True, same_tempering: bool = True
) -> Handover:
    """What can be taken over from the checkpoint of the store at `source`.

    Raises StoreError where that run had not settled: neither its states nor its tuning are those of equilibrium.
    """
    ledger = Ledger.from_json(checkpoint.info)
    if ledger.stage.adapts and ledger.settled_round is None:
        raise StoreError(
            f"start.store: the run in {source} stands in stage {ledger.stage.name!r} after {ledger.sweeps} sweeps and "
            f"has not settled: there is nothing yet to start from. Let it go on (`maxwell resume {source}`), or name "
            "another run."
        )
    tuning, moments = (under(part, checkpoint.coordinator) for part in ("tuning", "moments"))
    frozen = not ledger.stage.adapts
    in_use = ledger.interweavings_kept, ledger.joined
    return Handover(reuse, tuning, moments, frozen, *in_use, same_kernels, same_tempering)


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


def take_over(given: Handover, blank: RunState, first_tuning: Callable[[Stage], TuningState]) -> Taken:
    """What a run begins with. blank: the state of a run that takes over nothing. first_tuning: of a stage, before
    anything is known.

    States with frozen tuning that all fits go straight into `sample`. Other states begin in `equilibrate` as settled,
    so that only its refining rounds are left. Tuning without states is held in `equilibrate` until the ensemble has
    settled: adapting at once would follow the dispersed starts.
    """
    if given.reuse == "both" and given.frozen:
        tuning, misfits = _fitted(first_tuning(SAMPLE), given)
        if not misfits and len(given.interweavings_kept) == len(blank.ledger.interweavings_kept):
            ledger = Ledger(stage=SAMPLE, interweavings_kept=given.interweavings_kept, joined=given.joined)
            note = "states and frozen tuning are taken over: straight into stage `sample`"
            return Taken(blank._replace(ledger=ledger, tuning=tuning, moments=_moments(tuning, given)), (note,))
    tuning, misfits = first_tuning(EQUILIBRATE), []
    if given.reuse != "states":
        tuning, misfits = _fitted(tuning, given)
    alone = given.reuse == "tuning"
    settled = None if alone else 0
    ledger = blank.ledger._replace(stage=EQUILIBRATE, settled_round=settled, held=alone)
    notes = tuple(f"not taken over, as it does not fit this run: {name}" for name in misfits)
    return Taken(blank._replace(ledger=ledger, tuning=tuning, moments=_moments(tuning, given)), notes)


def _fitted(blank: TuningState, given: Handover) -> tuple[TuningState, list[str]]:
    """`blank` with all of the tuning given that have its shapes, and the names of what had to stay blank.

    A rung hotter than any there takes the tuning of the hottest.
    """
    misfits, betas = [], given.tuning["betas"]
    if betas.shape != blank.betas.shape or not given.same_tempering:
        misfits.append("the ladder of temperatures")
        betas = blank.betas
    misfits += [] if given.same_kernels else ["the step sizes of other kernels"]
    levels = {}
    for name, rungs in blank.levels.items():
        last = _rungs(given.tuning, f"levels/{name}") - 1
        found = [_filled(one, under(f"levels/{name}/{min(r, last)}", given.tuning)) for r, one in enumerate(rungs)]
        misfits += [f"the tuning of level {name!r}"] * any(part is None for part in found)
        levels[name] = tuple(_level(one, part, given.same_kernels) for one, part in zip(rungs, found, strict=True))
    interweave = given.tuning["interweave"]
    if interweave.shape != blank.interweave.shape:
        misfits.append("the step sizes of the interweaving moves")
        interweave = blank.interweave
    return blank._replace(levels=levels, betas=betas, interweave=interweave), misfits


def _level(blank: LevelTuning, found: LevelTuning | None, same_kernels: bool) -> LevelTuning:
    """The tuning of one level and rung: of another kernel only what describes the posterior."""
    if found is None:
        return blank
    return found if same_kernels else blank._replace(mean=found.mean, factor=found.factor)


def _moments(tuning: TuningState, given: Handover) -> EnsembleMoments:
    """The moments given, for the rungs that the tuning has; empty ones where they do not fit or are not wanted."""
    blank = first_moments(tuning)
    if given.reuse == "states":
        return blank
    return EnsembleMoments(*(_known(part, under(kind, given.moments)) for kind, part in blank._asdict().items()))


def _known(blank: LevelMoments, arrays: Arrays) -> LevelMoments:
    """`blank` with all of the moments given that have its shapes."""
    moments: dict[str, tuple[Moments, ...]] = {}
    for name, rungs in blank.items():
        last = _rungs(arrays, name) - 1
        found = [_filled(one, under(f"{name}/{min(r, last)}", arrays)) for r, one in enumerate(rungs)]
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
