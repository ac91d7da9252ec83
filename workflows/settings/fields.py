"""What sections are made of: kinds of number, a key with its words, the section itself."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: Any) -> Any:
    """1e5 is a float in YAML and in Python, and a whole number to people."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Natural = Annotated[Whole, Field(ge=0)]
Count = Annotated[Whole, Field(ge=1)]
FromTwo = Annotated[Whole, Field(ge=2)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
AboveOne = Annotated[float, Field(gt=1)]

COUNT = "a whole number from 1"
POSITIVE = "a number above 0"
NOT_NEGATIVE = "a number from 0"
ABOVE_ONE = "a number above 1"


def key(default: Any, allowed: str, meaning: str) -> Any:
    """A key of a section: its default, and in words what it may be and what it means."""
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed})


class Section(BaseModel):
    """A group of keys: read-only, unknown keys refused, no silent conversion, cross-checks on defaults too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)
