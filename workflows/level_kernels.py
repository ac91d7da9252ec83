"""Which kernel updates each level: as the settings say, and by the structure where they do not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from ensemble.errors import MaxwellError
from kernels.joining import WHOLE, joined, whole
from kernels.metric import WIDEST_DENSE
from kernels.structure import Level, Move, Structure
from kernels.target import Target
from workflows.settings_kernels import KernelSettings

WIDEST_POOLED = 512
"""Widest block for which a dense metric is pooled by default: d^2 numbers travel in each round of the warm-up. One of
low rank is for wider ones: on 2,429 coordinates of a volatile walk b2 is a tenth of the diagonal's after 1,200
gradients."""
STATES_PER_COORDINATE = 4
"""Replicas for each coordinate of a dense metric, or direction of one of low rank, from which on it is the default."""


class KernelError(MaxwellError):
    """A level was given a kernel that it cannot have."""


def with_kernels(target: Target, structure: Structure, settings: KernelSettings, replicas: int) -> Structure:
    """The structure whose levels say how they move; blocks are joined where a kernel takes one decision for all.

    By default blocks of more than 16 coordinates follow the gradient with NUTS, if there is one, and all others
    move by Metropolis. Raises KernelError for a level that is not there, and for gradients of a black box.
    """
    chosen = dict(settings.levels)
    _check(target, structure, chosen)
    if WHOLE in chosen:
        structure = whole(target, structure)
    for level in structure.levels:
        kernel = chosen.get(level.name) or _default(target, level)
        if kernel == "nuts":
            structure = joined(target, structure, level.name)
        structure = _moved(structure, level.name, kernel, settings, replicas)
    return structure


def _default(target: Target, level: Level) -> str:
    return "nuts" if target.has_gradient and level.width > WIDEST_DENSE and level.n_blocks == 1 else "metropolis"


def _moved(structure: Structure, name: str, kernel: str, settings: KernelSettings, replicas: int) -> Structure:
    level = structure.level(name)
    metric = settings.metric if kernel != "metropolis" else "auto"
    if metric == "auto" and kernel != "metropolis" and level.n_blocks == 1:
        metric = affordable(level.width, replicas)
    if metric == "low_rank" and level.n_blocks > 1:
        metric = "auto"
    move = Move(kernel, settings.integrator, settings.max_depth, metric, min(Move().rank, level.width))  # type: ignore[arg-type]
    changed = replace(level, move=move)
    return replace(structure, levels=tuple(changed if old is level else old for old in structure.levels))


def affordable(width: int, replicas: int) -> Literal["dense", "low_rank", "auto"]:
    """The best form of the metric of one block that so many replicas can estimate."""
    if width <= min(WIDEST_POOLED, replicas // STATES_PER_COORDINATE):
        return "dense"
    enough = width > WIDEST_POOLED and replicas >= STATES_PER_COORDINATE * Move().rank
    return "low_rank" if enough else "auto"


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
    following = sorted(name for name, kernel in chosen.items() if kernel != "metropolis")
    if following and not target.has_gradient:
        raise KernelError(
            f"kernels.levels: {', '.join(following)} would follow the gradient ({chosen[following[0]]}), and the model "
            "is a black box without one: use metropolis, or give the density as a JAX function"
        )
