"""The stages of a run, and what each of them does: values to be asked, instead of names to be compared."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stage:
    """One stage. Its name is what travels, is stored and is shown; everything else belongs to the code.

    name: as users, stores and other machines know it.
    key: the number that is folded into the stage's random keys; it must never change.
    text: what the stage is for, in a few words for people.
    scouts: it may run the approximate kernel that scout.kernel names, and trajectories are no deeper than scout.depth.
    relocates: stragglers take the places of others and lost superchains begin anew, where exact kernels run on one
        rung.
    forgets_fast: only the last rounds count in the moments of the ensemble.
    adapts: tuning follows the ensemble; where it does not, tuning is frozen.
    adapts_temperatures: the ladder of temperatures follows its rejections.
    resets_scales: step scales start from their defaults, in units of the ensemble's covariances.
    settles: it is watched for the round in which the ensemble has stopped drifting.
    records: its draws are those of the posterior; draws of other stages are kept apart, as warm-up.
    accumulates: sums over its sweeps give ESS, R-hat and the evidence, by which goals are judged.
    must_be_exact: a kernel that is not exact is refused.
    """

    name: str
    key: int
    text: str = ""
    scouts: bool = False
    relocates: bool = False
    forgets_fast: bool = False
    adapts: bool = False
    adapts_temperatures: bool = False
    resets_scales: bool = False
    settles: bool = False
    records: bool = False
    accumulates: bool = False
    must_be_exact: bool = False

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        """Its name is enough for another process."""
        return stage_named, (self.name,)


INITIALISE = Stage("initialise", 0, "starts are drawn")
"""Not a stage that has rounds: the purpose of the keys of starts."""

SCOUT = Stage(
    "scout",
    1,
    "from dispersed starts to the typical set",
    scouts=True,
    relocates=True,
    forgets_fast=True,
    adapts=True,
)

EQUILIBRATE = Stage(
    "equilibrate",
    2,
    "proposals adapt to the ensemble",
    relocates=True,
    adapts=True,
    adapts_temperatures=True,
    resets_scales=True,
    settles=True,
)

SAMPLE = Stage(
    "sample",
    3,
    "proposals are frozen, every draw counts",
    records=True,
    accumulates=True,
    must_be_exact=True,
)

STAGES = (INITIALISE, SCOUT, EQUILIBRATE, SAMPLE)
"""In their order, which is that of their keys."""


def stage_named(name: str) -> Stage:
    """The stage of this name. Raises ValueError where there is none."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ValueError(f"there is no stage {name!r}; stages are {', '.join(stage.name for stage in STAGES)}")
