"""Settings of tempering: the ladder of temperatures, what it tempers and what its rungs exchange."""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator
from pydantic_core.core_schema import ValidationInfo

from workflows.settings.fields import FromTwo, Section, key


def _temperature(value: Any) -> Any:
    """Infinity as text: JSON has no number for it."""
    return math.inf if isinstance(value, str) and value.strip().lower() in ("inf", ".inf") else value


Temperature = Annotated[
    float,
    Field(allow_inf_nan=True),
    BeforeValidator(_temperature),
    PlainSerializer(lambda value: "inf" if math.isinf(value) else value, when_used="json"),
]


def _finite_unless_prior(temperature: float, info: ValidationInfo) -> None:
    """An infinite temperature is the prior, where the likelihood alone is tempered; else it is no density."""
    if math.isinf(temperature) and info.data.get("tempers") == "density":
        raise ValueError("an infinite temperature is the prior: set tempering.tempers=likelihood, or end below it")


class TemperingSettings(Section):
    """Hot replicas, which carry the cold ones across barriers."""

    swaps: Literal["blocks", "whole"] = key(
        "blocks",
        "blocks or whole",
        "what two temperatures exchange: blocks of leaf levels, each on its own, with the shared parameters of hot "
        "replicas held at the ensemble's mean; or whole replicas, of which all levels move at every temperature",
    )
    tempers: Literal["density", "likelihood"] = key(
        "density", "density or likelihood", "what the temperature divides: the whole log density, or the likelihood's"
    )
    temperatures: Annotated[tuple[Temperature, ...], Field(strict=False)] = key(
        (1.0,),
        "a list of increasing numbers that begins with 1.0; .inf, the prior, may end it if tempering.tempers is "
        "likelihood",
        "the ladder; its first rung is the posterior",
    )
    hottest: Temperature | None = key(
        None,
        "null, or a number above 1 (or .inf if tempering.tempers is likelihood)",
        "the last temperature of a ladder of tempering.rungs, in place of tempering.temperatures",
    )
    rungs: FromTwo | None = key(
        None, "null, or a whole number from 2", "temperatures from 1 to tempering.hottest, in equal ratios at first"
    )
    adapt: bool = key(
        True, "true or false", "move the temperatures between the ends in equilibrate until all pairs swap equally"
    )
    stages: Annotated[tuple[Literal["equilibrate", "sample"], ...], Field(strict=False, min_length=1)] = key(
        ("equilibrate",), "a list of equilibrate, sample or both", "the stages with swaps; sample for several modes"
    )

    @field_validator("temperatures")
    @classmethod
    def _ladder(cls, temperatures: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if not temperatures or temperatures[0] != 1.0:
            raise ValueError("the first temperature must be 1.0, the posterior itself")
        if any(low >= high for low, high in pairwise(temperatures)):
            raise ValueError("the temperatures must increase strictly")
        _finite_unless_prior(temperatures[-1], info)
        return temperatures

    @field_validator("hottest")
    @classmethod
    def _hot(cls, hottest: float | None, info: ValidationInfo) -> float | None:
        if hottest is None:
            return None
        if hottest <= 1.0:
            raise ValueError("the hottest temperature must be above 1.0, the posterior itself")
        if len(info.data.get("temperatures", (1.0,))) > 1:
            raise ValueError("tempering.temperatures lists the ladder already: leave out one of the two")
        _finite_unless_prior(hottest, info)
        return hottest

    @field_validator("rungs")
    @classmethod
    def _between(cls, rungs: int | None, info: ValidationInfo) -> int | None:
        if "hottest" not in info.data:
            return rungs
        if (rungs is None) != (info.data["hottest"] is None):
            raise ValueError("tempering.rungs and tempering.hottest make a ladder together: set both or neither")
        return rungs

    def ladder(self) -> tuple[float, ...]:
        """The temperatures at first: those listed, or in equal ratios; to the prior with betas (k / K)^4, dense where
        the law changes fastest (Xie, Lewis, Fan, Kuo and Chen 2011)."""
        if self.rungs is None or self.hottest is None:
            return self.temperatures
        shares = [rung / (self.rungs - 1) for rung in range(self.rungs)]
        if math.isinf(self.hottest):
            return (*((1.0 - share) ** -4.0 for share in shares[:-1]), math.inf)
        return (*(self.hottest**share for share in shares[:-1]), self.hottest)

    @field_validator("stages")
    @classmethod
    def _once(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(stages)) < len(stages):
            raise ValueError("each stage may stand there once")
        return stages
