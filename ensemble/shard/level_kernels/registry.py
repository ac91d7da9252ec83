"""The kernels that a level can have: the only list. Light to import: a kernel's module is imported when it is used.

A new kernel is a module with a subclass of `base.LevelKernel` called `Kernel`, and an entry here.
"""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ensemble.protocol.sweep_spec import SweepSpec
    from ensemble.shard.level_kernels.base import LevelKernel


class Entry(NamedTuple):
    """One kernel.

    module: where its class `Kernel` is.
    description: what it is, in a few words, for the help on settings.
    """

    module: str
    description: str


HERE = "ensemble.shard.level_kernels"

KERNELS: Mapping[str, Entry] = MappingProxyType(
    {
        "metropolis": Entry(f"{HERE}.metropolis", "random walk and fitted proposals"),
        "elliptical_slice": Entry(f"{HERE}.elliptical_slice", "slices of ellipses of a normal fit, nothing to tune"),
        "hmc": Entry(f"{HERE}.hmc", "trajectories of one length, every block on its own"),
        "nuts": Entry(f"{HERE}.nuts", "trajectories that end where they turn, all in one block"),
        "surrogate_hmc": Entry(
            f"{HERE}.surrogate.hmc", "hmc on all parameters by a network that learns the gradient in warm-up"
        ),
        "surrogate_nuts": Entry(
            f"{HERE}.surrogate.nuts", "nuts on the density that such a network has learned, accepted on the true one"
        ),
        "pm_hmc": Entry(f"{HERE}.pm_hmc", "hmc of a pseudo-marginal model with its auxiliary variables"),
        "pm_nuts": Entry(f"{HERE}.pm_nuts", "nuts of a pseudo-marginal model with its auxiliary variables"),
        "pm_metropolis": Entry(f"{HERE}.pm_metropolis", "random walk with new auxiliary variables"),
        "refresh": Entry(f"{HERE}.refresh", "new auxiliary variables alone, by individual"),
    }
)
"""By the name that settings have. Where several are the default of a level, the last one is it: it is more special."""


def described() -> str:
    """All kernels with what they are, in one sentence."""
    return "; ".join(f"{name}: {entry.description}" for name, entry in KERNELS.items())


def load(name: str) -> "type[LevelKernel]":
    """The class of the kernel of this name. Raises ValueError where there is none."""
    if name not in KERNELS:
        raise ValueError(f"there is no kernel {name!r}; there are {', '.join(KERNELS)}")
    found: type[LevelKernel] = importlib.import_module(KERNELS[name].module).Kernel
    return found


def level_kernels(spec: "SweepSpec") -> "dict[str, LevelKernel]":
    """The kernel of every level of a sweep, by the level's name."""
    found = {}
    for level in spec.levels:
        told = spec.kernel_of(level)._replace(metric=spec.metric_of(level))
        found[level.name] = load(told.kernel)(level, told)
    return found
