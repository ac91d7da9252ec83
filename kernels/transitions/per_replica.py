"""Kernels that are written for one replica: what makes a step of all replicas of them."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import jax

from kernels.numerics.batching import over_replicas
from kernels.types import Data


class PerReplica(ABC):
    """A kernel whose replicas have nothing to do with each other. `coordinates`: of one replica, which decides whether
    they run side by side or one after another (kernels.numerics.batching)."""

    exact: ClassVar[bool]

    def __init__(self, coordinates: int) -> None:
        self.coordinates = coordinates

    def step(self, keys: jax.Array, states: Any, data: Data, parameters: Any) -> tuple[Any, Any]:
        """One step of every replica: keys [R], every array of `states` with a leading axis R, and so the results."""
        one = over_replicas(lambda key, state: self.one(key, state, data, parameters), self.coordinates)
        stepped: tuple[Any, Any] = one(keys, states)
        return stepped

    @abstractmethod
    def one(self, key: jax.Array, state: Any, data: Data, parameters: Any) -> tuple[Any, Any]:
        """The step of one replica: its new state, and what it reports."""
