"""Which kernel updates each level: as the settings say, and by the structure where they do not."""

from collections.abc import Mapping

from ensemble.errors import MaxwellError
from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from ensemble.shard.level_kernels.base import LevelKernel
from ensemble.shard.level_kernels.registry import KERNELS, load
from kernels.structure.joining import ALL_SITES, all_sites, joined
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from workflows.settings.sections.kernels import KernelSettings


class KernelError(MaxwellError):
    """A level was given a kernel that it cannot have."""


def with_kernels(target: Target, structure: Structure, settings: KernelSettings, replicas: int) -> SweepSpec:
    """The sweep of the structure with a kernel for each level, blocks joined where one takes one decision for all.

    replicas: of the ensemble, which decide what metric it can learn. A level that is not named has the last kernel of
    the registry that is a default there. Raises KernelError for a level that is not there, and for a kernel where it
    does not fit.
    """
    chosen = dict(settings.levels)
    _check(target, structure, chosen)
    if ALL_SITES in chosen:
        structure = all_sites(target, structure)
    specs = {}
    for name in [level.name for level in structure.levels]:
        kernel = chosen.get(name) or _default(target, structure, structure.level(name))
        found = load(kernel)
        if found.needs.one_block:
            structure = joined(target, structure, name)
        specs[name] = _told(found, kernel, structure.level(name), settings, replicas)
    return SweepSpec(structure, specs)


def _default(target: Target, structure: Structure, level: Level) -> str:
    return [name for name in KERNELS if load(name).is_default(target, structure, level)][-1]


def _told(kernel: type[LevelKernel], name: str, level: Level, settings: KernelSettings, replicas: int) -> KernelSpec:
    """What a level's kernel is told of the settings."""
    return KernelSpec(
        kernel=name,
        integrator=settings.integrator,
        max_depth=settings.max_depth,
        metric=kernel.metric(settings.metric, level, replicas),
        rank=min(KernelSpec().rank, level.width),
        correlation=settings.correlation,
        joint_turning=settings.joint_turning,
    )


def _check(target: Target, structure: Structure, chosen: Mapping[str, str]) -> None:
    names = [level.name for level in structure.levels]
    unknown = sorted(set(chosen) - {*names, ALL_SITES})
    if unknown:
        raise KernelError(
            f"kernels.levels: the model has no level {', '.join(unknown)}; its levels are {', '.join(names)}, "
            f"and {ALL_SITES} stands for all of them in one block"
        )
    if ALL_SITES in chosen and len(chosen) > 1:
        others = ", ".join(sorted(set(chosen) - {ALL_SITES}))
        raise KernelError(
            f"kernels.levels: {ALL_SITES} puts all levels into one block; leave out {others}, or {ALL_SITES}"
        )
    for name, kernel in sorted(chosen.items()):
        reason = load(kernel).misfit(target, structure, name)
        if reason is not None:
            fitting = [other for other in KERNELS if load(other).misfit(target, structure, name) is None]
            raise KernelError(f"kernels.levels: {name} was given {kernel}, {reason}: allowed are {_listed(fitting)}")


def _listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
