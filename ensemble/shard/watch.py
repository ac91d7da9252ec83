"""Where the replicas of a shard stand: the quartiles of every watched coordinate, and who is outside a range."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.plans import RoundPlan, TypicalRange
from ensemble.protocol.statistics import Whereabouts
from ensemble.protocol.watched import there, watched_levels
from ensemble.shard.compiled import Clock, Compiled, on_host
from kernels.state import State
from kernels.structure.levels import Structure
from kernels.types import Position


class Watch:
    """Looks at the coordinates of small levels, of which there may be none."""

    def __init__(self, structure: Structure, replicas: int, clock: Clock) -> None:
        """replicas: of a shard."""
        self._levels, self._replicas = watched_levels(structure), replicas
        self._count = sum(int(there(level).sum()) for level in self._levels)
        self._seen = Compiled(self._whereabouts, clock)

    def seen(self, states: State, shard: int, plan: RoundPlan) -> Whereabouts | None:
        """The whereabouts of a shard's states [R] against the plan's range; None where no coordinate is looked at."""
        if not self._count:
            return None
        first, of_plan = shard * self._replicas, plan.typical or self._everywhere()
        followed = np.asarray(of_plan.followed)[first : first + self._replicas] if plan.typical else of_plan.followed
        found: Whereabouts = on_host(self._seen(states.position, of_plan.lower, of_plan.upper, followed))
        return found

    def astray(self, states: State, shard: int, plan: RoundPlan) -> np.ndarray:
        """Which replicas [R] the plan wants elsewhere, and have not come home by themselves."""
        named = self.among(plan.typical.astray if plan.typical else (), shard)
        if not named.any():
            return named
        found = self.seen(states, shard, plan)
        return named if found is None else named & (np.asarray(found.coordinate) >= 0)

    def among(self, numbers: tuple[int, ...], shard: int) -> np.ndarray:
        """Which replicas [R] of a shard have one of these numbers, which count those of all shards."""
        return np.isin(shard * self._replicas + np.arange(self._replicas), numbers)

    def _everywhere(self) -> TypicalRange:
        """The range that nothing is outside of."""
        infinite = np.full(self._count, np.inf)
        return TypicalRange(-infinite, infinite, np.full(self._replicas, -1))

    def _whereabouts(self, position: Position, lower: jax.Array, upper: jax.Array, followed: jax.Array) -> Whereabouts:
        parts = [jax.vmap(level.gather)(position)[:, there(level)] for level in self._levels]
        x = jnp.concatenate(parts, axis=1)
        outside = (x < lower) | (x > upper)
        rows = jnp.arange(len(x))
        first = jnp.where(jnp.any(outside, axis=1), jnp.argmax(outside, axis=1), -1)
        still = (followed >= 0) & outside[rows, jnp.maximum(followed, 0)]
        coordinate = jnp.where(still, followed, first)
        value = x[rows, jnp.maximum(coordinate, 0)]
        return Whereabouts(jnp.quantile(x, jnp.asarray([0.25, 0.5, 0.75]), axis=0), coordinate, value)
