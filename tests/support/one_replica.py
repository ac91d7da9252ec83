"""A kernel stepped on one replica, for tests that look at one or batch replicas themselves."""

from typing import Any

import jax

from kernels.types import Data


class OneReplica:
    """The kernel whose step takes a key, a state and gives a state and an info without the leading axis of replicas."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.exact: bool = kernel.exact

    def step(self, key: jax.Array, state: Any, data: Data, parameters: Any) -> tuple[Any, Any]:
        """One step of the one replica."""
        stepped = self.kernel.step(key[None], jax.tree.map(lambda leaf: leaf[None], state), data, parameters)
        return jax.tree.map(lambda leaf: leaf[0], stepped)  # type: ignore[no-any-return]
