"""Settings of the kernels: what updates each level, and how trajectories go."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ensemble.shard.level_kernels.registry import KERNELS, described
from workflows.settings.fields import COUNT, Count, Section, key

if TYPE_CHECKING:
    KernelName = str
else:
    KernelName = Literal[tuple(KERNELS)]


class KernelSettings(Section):
    """What updates each level, and how kernels that follow the gradient do it."""

    levels: dict[str, KernelName] = key(
        {},
        f"a mapping of levels (as `maxwell inspect` lists them), or of whole alone, to a kernel ({described()})",
        "the kernel of a level; whole: all parameters in one block; levels not named: by their structure",
    )
    whole: Literal["auto", "nuts", "none"] = key(
        "auto",
        "auto, nuts or none",
        "a trajectory on all parameters beside the levels' own moves; auto: where the model has a gradient and up to "
        "300 parameters. Up to 16 parameters, and any number of which one block holds more than half, move by it alone",
    )
    integrator: Literal["leapfrog", "two_stage"] = key(
        "leapfrog", "leapfrog or two_stage", "the scheme of the trajectories of hmc and nuts"
    )
    max_depth: Count = key(10, COUNT, "doublings of a trajectory at most")
    jitter: Annotated[float, Field(ge=0, lt=1)] = key(
        0.3, "a number from 0 below 1", "half the range of the quasi-random factor on HMC's trajectories"
    )
    correlation: Annotated[float, Field(ge=0, lt=1)] = key(
        0.0,
        "a number from 0 below 1",
        "of the auxiliary variables before and after a proposal of pm_metropolis; 0 draws them anew",
    )
    joint_turning: bool = key(
        False, "true or false", "trajectories of pm_nuts end where all turns, auxiliary variables included"
    )
    metric: Literal["auto", "dense", "diagonal", "low_rank"] = key(
        "auto",
        "auto, dense, diagonal or low_rank",
        "form of the pooled metric; auto: dense for up to 16 coordinates, or of one block four a replica and 512, "
        "low_rank above",
    )
