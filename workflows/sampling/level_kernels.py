"""Which kernel updates each level: as the settings say, and by the structure where they do not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from ensemble.errors import MaxwellError
from kernels.dynamics.metric import WIDEST_DENSE
from kernels.structure.discovery import Level, Move, Structure
from kernels.structure.joining import WHOLE, joined, whole
from kernels.structure.probing import GLOBAL
from kernels.target import Target
from workflows.settings.sections.kernels import KernelSettings

WIDEST_POOLED = 512
"""Widest block for which a dense metric is pooled by default: d^2 numbers travel in each round of the warm-up. One of
low rank is for wider ones: on 2,429 coordinates of a volatile walk b2 is a tenth of the diagonal's after 1,200
gradients."""
STATES_PER_COORDINATE = 4
"""Replicas for each coordinate of a dense metric, or direction of one of low rank, from which on it is the default."""


PSEUDO_MARGINAL = ("pm_hmc", "pm_nuts", "pm_metropolis", "refresh")
"""Kernels that need a pseudo-marginal model."""


class KernelError(MaxwellError):
    """A level was given a kernel that it cannot have."""


def with_kernels(target: Target, structure: Structure, settings: KernelSettings, replicas: int) -> Structure:
    """The structure whose levels say how they move; blocks are joined where a kernel takes one decision for all.

    By default blocks of more than 16 coordinates follow the gradient with NUTS, if there is one, and all others
    move by Metropolis; in a pseudo-marginal model theta moves by PM-HMC and u by refreshes. Raises KernelError for a
    level that is not there, for gradients of a black box, and for a pseudo-marginal kernel where it has no place.
    """
    chosen = dict(settings.levels)
    _check(target, structure, chosen)
    if WHOLE in chosen:
        structure = whole(target, structure)
    for level in structure.levels:
        kernel = chosen.get(level.name) or _default(target, structure, level)
        if kernel == "nuts" or Move(kernel).joint:  # type: ignore[arg-type]
            structure = joined(target, structure, level.name)
        structure = _moved(structure, level.name, kernel, settings, replicas)
    return structure


def _default(target: Target, structure: Structure, level: Level) -> str:
    suited = pseudo_marginal_kernels(target, structure).get(level.name, ())
    if suited and (target.has_gradient or not Move(suited[0]).gradients):  # type: ignore[arg-type]
        return suited[0]
    return "nuts" if target.has_gradient and level.width > WIDEST_DENSE and level.n_blocks == 1 else "metropolis"


def _moved(structure: Structure, name: str, kernel: str, settings: KernelSettings, replicas: int) -> Structure:
    level = structure.level(name)
    move = Move(kernel, settings.integrator, settings.max_depth, rank=min(Move().rank, level.width))  # type: ignore[arg-type]
    metric = settings.metric if move.gradients else "auto"
    if metric == "auto" and move.gradients and level.n_blocks == 1:
        metric = affordable(level.width, replicas)
    if metric == "low_rank" and level.n_blocks > 1:
        metric = "auto"
    if kernel == "refresh":
        metric = "diagonal"  # which is not read
    told = move._replace(metric=metric, correlation=settings.correlation, joint_turning=settings.joint_turning)
    changed = replace(level, move=told)
    return replace(structure, levels=tuple(changed if old is level else old for old in structure.levels))


def affordable(width: int, replicas: int) -> Literal["dense", "low_rank", "auto"]:
    """The best form of the metric of one block that so many replicas can estimate."""
    if width <= min(WIDEST_POOLED, replicas // STATES_PER_COORDINATE):
        return "dense"
    enough = width > WIDEST_POOLED and replicas >= STATES_PER_COORDINATE * Move().rank
    return "low_rank" if enough else "auto"


def pseudo_marginal_kernels(target: Target, structure: Structure) -> dict[str, tuple[str, ...]]:
    """The pseudo-marginal kernels that each level can have, the best first: refreshes on that of u, and those of theta
    on the global level where all of theta is there."""
    if not target.auxiliary:
        return {}
    others = [level.name for level in structure.levels if not target.auxiliary.issuperset(level.sites)]
    of_u = {level.name: ("refresh",) for level in structure.levels if target.auxiliary.issuperset(level.sites)}
    return of_u | ({GLOBAL: ("pm_hmc", "pm_nuts", "pm_metropolis")} if others == [GLOBAL] and of_u else {})


def _check(target: Target, structure: Structure, chosen: Mapping[str, str]) -> None:
    names = [level.name for level in structure.levels]
    unknown = sorted(set(chosen) - {*names, WHOLE})
    if unknown:
        raise KernelError(
            f"kernels.levels: the model has no level {', '.join(unknown)}; its levels are {', '.join(names)}, "
            f"and {WHOLE} stands for all of them in one block"
        )
    if WHOLE in chosen and len(chosen) > 1:
        others = ", ".join(sorted(set(chosen) - {WHOLE}))
        raise KernelError(f"kernels.levels: {WHOLE} puts all levels into one block; leave out {others}, or {WHOLE}")
    _check_pseudo_marginal(target, structure, chosen)
    following = sorted(name for name, kernel in chosen.items() if Move(kernel).gradients)  # type: ignore[arg-type]
    if following and not target.has_gradient:
        raise KernelError(
            f"kernels.levels: {', '.join(following)} would follow the gradient ({chosen[following[0]]}), and the model "
            "is a black box without one: use metropolis, or give the density as a JAX function"
        )


def _check_pseudo_marginal(target: Target, structure: Structure, chosen: Mapping[str, str]) -> None:
    suited = pseudo_marginal_kernels(target, structure)
    for name, kernel in sorted(chosen.items()):
        if kernel not in PSEUDO_MARGINAL or kernel in suited.get(name, ()):
            continue
        if not target.auxiliary:
            raise KernelError(
                f"kernels.levels: {name} was given {kernel}, which moves the auxiliary variables of a pseudo-marginal "
                "model, and this model has none: allowed are metropolis, hmc and nuts"
            )
        allowed = "; ".join(f"{level}: {', '.join(kernels)}" for level, kernels in suited.items()) or "none"
        raise KernelError(
            f"kernels.levels: {name} was given {kernel}; the pseudo-marginal kernels for this model are {allowed}. "
            f"Those of theta need all of it on level {GLOBAL}; metropolis, hmc and nuts fit any level"
        )
