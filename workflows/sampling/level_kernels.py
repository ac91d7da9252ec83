"""Which kernel updates each level: as the settings say, and by the structure where they do not."""

from collections.abc import Mapping
from dataclasses import replace

from ensemble.errors import MaxwellError
from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from ensemble.shard.level_kernels.base import LevelKernel
from ensemble.shard.level_kernels.registry import KERNELS, load
from kernels.structure.joining import ALL_SITES, all_sites, joined, level_of_all_sites
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from workflows.settings.sections.kernels import KernelSettings


class KernelError(MaxwellError):
    """A level was given a kernel that it cannot have."""


JOINT = "nuts"
"""The kernel that moves all parameters at once unless the settings say otherwise."""

HANDFUL = 16
"""Parameters up to which trajectories move them all and no structure is needed."""

WIDEST_JOINT = 300
"""Most parameters that trajectories move at once by default."""


def with_kernels(
    target: Target,
    structure: Structure,
    settings: KernelSettings,
    replicas: int,
    *,
    needs_blocks: bool = False,
    hidden: tuple[int, ...] = KernelSpec().hidden,
) -> SweepSpec:
    """The sweep of the structure with a kernel for each level, blocks joined where one takes one decision for all.

    replicas: of the ensemble, which decide what metric it can learn. needs_blocks: a ladder exchanges blocks. hidden:
    units of the layers of networks. A level that is not named has the last kernel of the registry that is a default
    there. Raises KernelError for a level that is not there, and for a kernel where it does not fit.
    """
    chosen = dict(settings.levels)
    _check(target, structure, chosen)
    beside = _moves_all(target, structure, settings)
    if beside and (_mostly_one_block(target, structure) or target.dimension <= HANDFUL) and not needs_blocks:
        chosen = {ALL_SITES: JOINT}
    if ALL_SITES in chosen:
        structure = all_sites(target, structure)
    specs = {}
    for name in [level.name for level in structure.levels]:
        kernel = chosen.get(name) or _default(target, structure, structure.level(name))
        found = load(kernel)
        if found.needs.one_block:
            structure = joined(target, structure, name)
        specs[name] = _told(found, kernel, structure.level(name), settings, replicas)
        if found.learns:
            specs[name] = specs[name]._replace(hidden=hidden)
    if not beside or ALL_SITES in specs:
        return SweepSpec(structure, specs)
    # No leaf: hot replicas, whose blocks alone are exchanged, do not move it.
    joint = replace(level_of_all_sites(target, structure), leaf=False)
    specs[ALL_SITES] = _told(load(JOINT), JOINT, joint, settings, replicas)
    return SweepSpec(structure, specs, joint=(joint,))


def _mostly_one_block(target: Target, structure: Structure) -> bool:
    """Whether one block holds more than half of all coordinates: there is next to no structure to make use of, and a
    trajectory on that block costs about as much as one on all parameters."""
    return 2 * max(level.width for level in structure.levels) > target.dimension


def _moves_all(target: Target, structure: Structure, settings: KernelSettings) -> bool:
    """Whether trajectories move all parameters at once, beside the levels' own moves or in their place."""
    if settings.whole == "none" or (settings.whole == "auto" and settings.levels):
        return False
    if settings.whole == "auto":
        small = target.dimension <= WIDEST_JOINT or _mostly_one_block(target, structure)
        return target.has_gradient and not target.auxiliary and small
    if reason := load(JOINT).unfit(target):
        raise KernelError(f"kernels.whole: given {settings.whole}, {reason}: allowed are auto and none")
    if ALL_SITES in settings.levels:
        raise KernelError(f"kernels.whole: given {settings.whole} beside kernels.levels.{ALL_SITES}: leave out one")
    return True


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
