"""A target: named unconstrained sites and the unsummed terms of a log density."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import jax

from kernels.types import Data, Position, Terms

TermKind = Literal["prior", "likelihood"]


@dataclass(frozen=True)
class Site:
    """A named array of unconstrained coordinates.

    shape: leading axes are the plates (in the order of `plates`), the rest are event axes that belong to one block.
    """

    name: str
    shape: tuple[int, ...]
    plates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """What the samplers know of a model; log density = sum of all terms.

    log_terms(position, data) -> {term: array of any shape}, Jacobians of the transforms included in the prior terms.
    constrain(position, data) -> {variable: array} on the natural scale, deterministic variables included.
    initial(key, data) -> one dispersed start, unconstrained.
    All three are pure, traceable and take data explicitly: an array closed over would be compiled in as a constant.
    auxiliary: sites that are only a means to sample the others, such as the randomness of a pseudo-marginal likelihood.
    single: terms computed in float32, whose last digits differ from one compiled program to another.
    """

    sites: Mapping[str, Site]
    term_kinds: Mapping[str, TermKind]
    log_terms: Callable[[Position, Data], Terms]
    constrain: Callable[[Position, Data], Position]
    initial: Callable[[jax.Array, Data], Position]
    has_gradient: bool = True
    auxiliary: frozenset[str] = frozenset()
    single: frozenset[str] = frozenset()

    @property
    def dimension(self) -> int:
        """Number of unconstrained coordinates, d."""
        return sum(math.prod(site.shape) for site in self.sites.values())

    @property
    def dimension_of_interest(self) -> int:
        """Number of unconstrained coordinates that are not auxiliary."""
        return sum(math.prod(site.shape) for site in self.sites.values() if site.name not in self.auxiliary)
