"""Settings of the networks that learn the gradient: of the kernels surrogate_hmc and surrogate_nuts."""

from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from workflows.settings.fields import Count, Section, key

MOST_UNITS = 1024


def _as_tuple(value: Any) -> Any:
    """YAML and the command line have lists."""
    return tuple(value) if isinstance(value, list) else value


class SurrogateSettings(Section):
    """The network of a level whose kernel is surrogate_hmc or surrogate_nuts; no other kernel has one."""

    hidden: Annotated[tuple[Count, ...], BeforeValidator(_as_tuple)] = key(
        (64, 64), f"a list of whole numbers from 1 to {MOST_UNITS}", "units of each layer of the network"
    )

    @field_validator("hidden")
    @classmethod
    def _some_layers(cls, hidden: tuple[int, ...]) -> tuple[int, ...]:
        if not hidden or max(hidden) > MOST_UNITS:
            raise ValueError(f"allowed: a list of whole numbers from 1 to {MOST_UNITS}, as [64, 64]")
        return hidden
