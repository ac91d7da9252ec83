"""Settings of the start: where the chains begin, and which other run they take over from."""

from typing import Literal

from pydantic import field_validator
from pydantic_core.core_schema import ValidationInfo

from workflows.settings.fields import POSITIVE, Positive, Section, key


class StartSettings(Section):
    """Where the chains begin, and what is taken over from another run."""

    kind: Literal["prior", "uniform", "given", "pathfinder", "variational"] = key(
        "prior",
        "prior, uniform, given, pathfinder or variational",
        "what the starts are drawn from, one for each superchain; given: read from start.file",
    )
    radius: Positive = key(2.0, POSITIVE, "uniform: half the width of the box, in unconstrained units")
    descend: Literal["auto"] | bool = key(
        "auto",
        "auto, true or false",
        "prior, uniform: follow the slope from a start to the edge of the bulk before anything moves at random; auto: "
        "where a level follows the gradient",
    )
    modes: Literal["auto"] | bool = key(
        "auto",
        "auto, true or false",
        "prior, uniform: draw the blocks about their modes given what they share, and what they share given them, in "
        "turn, before anything moves; auto: where there are 1,000 narrow blocks or more and a gradient",
    )
    file: str | None = key(
        None,
        "an .npz file, or null",
        "given: unconstrained arrays by site, each one start, or one a superchain, or one a chain",
    )
    spread: Positive = key(
        2.0, POSITIVE, "pathfinder, variational: factor on the spread of the draws about the approximation's mean"
    )
    store: str | None = key(None, "the store of a run of the same model, or null", "the run to start from")
    reuse: Literal["states", "tuning", "both"] = key(
        "both", "states, tuning or both", "what is taken over from start.store (tuning: metric and step sizes)"
    )

    @field_validator("file")
    @classmethod
    def _read_where_given(cls, file: str | None, info: ValidationInfo) -> str | None:
        kind = info.data.get("kind")
        if kind == "given" and file is None:
            raise ValueError("allowed: an .npz file of starts, as start.kind is given")
        if kind not in ("given", None) and file is not None:
            raise ValueError(f"start.kind is {kind}, which reads no file: set it to given, or leave out start.file")
        return file

    @field_validator("reuse")
    @classmethod
    def _one_source_of_states(cls, reuse: str, info: ValidationInfo) -> str:
        kind, store = info.data.get("kind", "prior"), info.data.get("store")
        if store is not None and reuse != "tuning" and kind != "prior":
            raise ValueError(f"states come from start.store or start.kind ({kind}): set tuning, or leave one out")
        if store is None and reuse != "both":
            raise ValueError("there is no start.store to take them from: name one, or leave out start.reuse")
        return reuse
