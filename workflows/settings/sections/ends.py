"""Settings of the end of a run: the goals that it meets, or the limits that stop it."""

from typing import Annotated, Literal

from pydantic import Field

from workflows.settings.fields import ABOVE_ONE, COUNT, POSITIVE, AboveOne, Count, Positive, Section, Whole, key


class GoalsSettings(Section):
    """When the run is done; every goal must be met."""

    ess: Positive = key(400, POSITIVE, "effective sample size that every coordinate must reach")
    rhat: Literal["auto"] | AboveOne = key(
        "auto",
        "auto or " + ABOVE_ONE,
        "limit of nested R-hat over all coordinates; auto: what perfect chains stay below",
    )
    shared_ess: Positive = key(1000, POSITIVE, "effective sample size of the shared parameters")
    shared_rhat: AboveOne = key(1.02, ABOVE_ONE, "limit of nested R-hat over the shared parameters")
    of: Literal["draws", "sweeps"] = key(
        "draws",
        "draws or sweeps",
        "whose effective sample sizes: those of the stored draws, or of all sweeps where the store has no room for as "
        "many draws",
    )
    draws: Annotated[Whole, Field(ge=4)] = key(
        50, "a whole number from 4", "draws stored a chain (ArviZ's bulk-ESS means little below 50)"
    )


class LimitsSettings(Section):
    """When the run stops with goals unmet; it can be resumed with higher limits."""

    sweeps: Count = key(100_000, COUNT, "sweeps of a replica in all")
    minutes: Positive | None = key(None, POSITIVE + ", or null", "wall time of all sittings together; null: no limit")
