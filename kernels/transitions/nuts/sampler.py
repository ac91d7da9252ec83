"""The no-U-turn sampler on the whole vector of many replicas at once: multinomial, lock-step, exact."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.forces import bounded, normals, scaled_potential
from kernels.dynamics.integrators import LEAPFROG, Flow, Scheme, ValueAndGradient
from kernels.dynamics.metric import Factor, multiply
from kernels.dynamics.network import Network
from kernels.dynamics.splitting import Auxiliary, split
from kernels.numerics.batching import in_groups, over_replicas
from kernels.state import LevelView, State
from kernels.transitions.nuts.trajectory import NutsInfo, row_major, trajectory
from kernels.transitions.nuts.tree import NOISE, TrajectoryRandomness
from kernels.transitions.nuts.turning import Turning, capped, u_turn_between
from kernels.types import Data, Position

__all__ = ["Nuts", "NutsInfo", "NutsParameters", "TrajectoryRandomness", "trajectory"]

DEEPEST = 30
"""Largest max_depth: leaves are numbered by 32-bit integers."""

TOGETHER = 8
"""Replicas that advance in lock-step at least, and"""

COORDINATES = 512
"""coordinates that do, where they have fewer: enough to fill vector units and to pay for a turn of the loop. Of 256
chains of a logistic regression with 51 coordinates, all in lock-step take four times as long as these."""


JOINT_CAP = 50_000.0
"""Way times momentum at an end where a trajectory that is watched in all coordinates ends, whether it turns or not:
the published rule of pseudo-marginal NUTS."""


def together(width: int) -> int:
    """Replicas of so many coordinates that advance in lock-step: a power of two, for vector units."""
    return max(TOGETHER, 1 << max(COORDINATES // width, 1).bit_length() - 1)


class NutsParameters(NamedTuple):
    """What steers a draw.

    beta: inverse temperature, a scalar or [R].
    step_size: h, a scalar or [R], in units of factor.
    factor: of the single block, as in metric ([p, 1], [p, p, 1], ...), common to all replicas.
    depth_limit: doublings allowed, at most max_depth.
    steepest: largest norm of the force, see forces.bounded.
    network: what SurrogateNuts takes for the density, see nuts.surrogate; not read by Nuts itself.
    """

    beta: jax.Array
    step_size: jax.Array
    factor: Factor
    depth_limit: jax.Array
    steepest: jax.Array | float = np.inf
    network: Network | None = None


class Nuts:
    """Multinomial NUTS with a generalised U-turn rule, checked in every subtree and across its halves. Exact.

    H = beta U(x0 + L q) + |p|^2 / 2, p ~ N(0, I): U minus the sum of all terms of the level, L the factor. The
    trajectory doubles, forwards or backwards by a coin, until it or a subtree turns, H rises by more than 1000 or
    `depth_limit` is reached; subtrees that turn or diverge are dropped. See tree for the choice of a point.

    Unlike the other kernels it is not written for one replica: in lock-step they share one loop (see tree), where a
    vmapped loop would copy its whole state at every leaf. Replicas that ended wait for the longest of their group
    (batching.in_groups); info.n_steps_lockstep against info.n_steps shows how much. max_depth sets memory:
    3 (max_depth - 1) momenta a replica.

    With `auxiliary` the scheme's `rotate` solves the motion under the standard normal term of these coordinates, and
    kicks are by the rest of U (see splitting). Many rotating coordinates would drown the U-turn rule: with D of them
    the way times the momentum at its end is about D sin t, and every trajectory ends at t = pi, whatever the others
    do. So the rule watches the others alone, unless `joint` says otherwise: it then watches all and has JOINT_CAP,
    as was published, which for D = 64,000 ends each trajectory at t = 0.9. Both are exact.
    """

    exact: ClassVar[bool] = True

    def __init__(
        self,
        view: LevelView,
        max_depth: int,
        scheme: Scheme = LEAPFROG,
        auxiliary: Auxiliary | None = None,
        *,
        joint: bool = False,
    ) -> None:
        if view.level.n_blocks != 1:
            raise ValueError(
                f"level {view.level.name!r} has {view.level.n_blocks} blocks; NUTS moves one, as its "
                "trajectory ends for all coordinates at once: give it a level of one block, or use blockwise HMC"
            )
        if not 1 <= max_depth <= DEEPEST:
            raise ValueError(f"max_depth = {max_depth} was given; allowed are 1 to {DEEPEST} (10 is usual)")
        if not scheme.palindromic:
            raise ValueError(
                f"scheme {scheme.name!r} was given, whose steps are not reversible: give a palindromic scheme"
            )
        if scheme.stale:
            raise ValueError(
                f"scheme {scheme.name!r} was given, whose steps end without the potential that weighs a leaf: give one "
                "that ends with a kick, such as strang"
            )
        self.view = view
        self.max_depth = max_depth
        self.scheme = scheme
        self.auxiliary = auxiliary
        self.joint = joint

    def step(self, keys: jax.Array, states: State, data: Data, parameters: NutsParameters) -> tuple[State, NutsInfo]:
        """One draw of every replica; keys [R], every array of `states` with a leading axis R."""
        count = keys.shape[0]
        beta, size = (jnp.broadcast_to(jnp.asarray(x), (count,)) for x in (parameters.beta, parameters.step_size))

        def group(keys: jax.Array, states: State, beta: jax.Array, size: jax.Array) -> tuple[State, NutsInfo]:
            return self._together(keys, states, data, parameters._replace(beta=beta, step_size=size))

        moved: tuple[State, NutsInfo] = in_groups(group, together(self.view.level.width))(keys, states, beta, size)
        return moved

    def _together(
        self, keys: jax.Array, states: State, data: Data, parameters: NutsParameters
    ) -> tuple[State, NutsInfo]:
        """One draw of replicas in lock-step."""
        randomness = self.randomness(keys)
        evaluate, flows = self._motion(states.position, data, parameters)
        offset, info = trajectory(
            evaluate,
            self.scheme,
            jnp.zeros_like(randomness.momentum),
            randomness,
            parameters.step_size,
            parameters.depth_limit,
            flows=flows,
            turning=self._turning(parameters.step_size),
        )
        return self._moved(states, offset, data, parameters), info

    def randomness(self, keys: jax.Array) -> TrajectoryRandomness:
        """All random draws of a step, from one key a replica, [R]."""
        momentum_keys, choice_keys, leaf_keys = jnp.moveaxis(jax.vmap(lambda key: jax.random.split(key, 3))(keys), 1, 0)
        uniform = jax.vmap(lambda key: jax.random.uniform(key, (2, self.max_depth), jnp.float64))(choice_keys)

        def gumbel(n: jax.Array) -> jax.Array:
            def one(key: jax.Array) -> jax.Array:
                return jax.random.gumbel(jax.random.fold_in(key, n), (NOISE,), jnp.float64)

            return jax.vmap(one, out_axes=1)(leaf_keys)

        return TrajectoryRandomness(
            momentum=jax.vmap(lambda key: normals(key, self.view)[:, 0])(momentum_keys),
            directions=jnp.where(uniform[:, 0] < 0.5, -1.0, 1.0),
            gumbel=gumbel,
            uniform=uniform[:, 1],
        )

    def value_and_gradient(self, position: Position, data: Data, parameters: NutsParameters) -> ValueAndGradient:
        """beta U and its gradient as functions of the offsets [R, p] from the replicas' positions."""
        replicas = jax.tree.leaves(position)[0].shape[0]
        beta = jnp.broadcast_to(jnp.asarray(parameters.beta, jnp.float64), (replicas,))

        def value(offset: jax.Array, origin: Position, beta: jax.Array) -> jax.Array:
            return scaled_potential(self.view, origin, data, parameters.factor, beta)(offset[:, None])[0]

        batched = over_replicas(jax.value_and_grad(value), self.view.level.width)

        def evaluate(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
            values, gradients = batched(offset, position, beta)
            return values, bounded(gradients, parameters.steepest, axis=1)

        return evaluate

    def _motion(
        self, positions: Position, data: Data, parameters: NutsParameters
    ) -> tuple[ValueAndGradient, Mapping[str, Flow] | None]:
        """The force of the scheme's kicks on replicas at these positions, and its flows if not the usual ones."""
        if self.auxiliary is None:
            return self.value_and_gradient(positions, data, parameters), None
        rows = jax.vmap(lambda position: self.view.blocks(position)[:, 0])(positions)
        harmonic = self.auxiliary.harmonic_rows(rows, parameters.beta)
        unbounded = self.value_and_gradient(positions, data, parameters._replace(steepest=np.inf))
        return split(row_major(unbounded), harmonic, parameters.steepest)

    def _turning(self, step_size: jax.Array) -> Turning:
        """The rule, and how many coordinates it watches."""
        if self.joint:
            return Turning(capped(step_size, JOINT_CAP))
        return Turning(u_turn_between, None if self.auxiliary is None else self.auxiliary.first)

    def _moved(self, states: State, offset: jax.Array, data: Data, parameters: NutsParameters) -> State:
        """The states at the chosen offsets [R, p], the cells there computed anew; who did not move keeps its own."""

        def one(state: State, offset: jax.Array) -> State:
            old = self.view.blocks(state.position)
            new = old + multiply(parameters.factor, offset[:, None])
            cells = self.view.cells_at(self.view.level.scatter(state.position, new), data)
            return self.view.select(jnp.any(offset != 0.0)[None], state, new, old, cells)

        return over_replicas(one, self.view.level.width)(states, offset)
