"""Pseudo-marginal Metropolis: independent or correlated proposals of u, of one individual or jointly with theta."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.dynamics.forces import normals
from kernels.dynamics.metric import Factor, multiply
from kernels.dynamics.splitting import Auxiliary
from kernels.state import Info, LevelView, State, decide
from kernels.transitions.per_replica import PerReplica
from kernels.types import Data


class PseudoMarginalMetropolisParameters(NamedTuple):
    """What steers a step.

    beta: inverse temperature, above 0 where it multiplies the term of u.
    log_scale: a scalar or [B], of the random walk.
    factor: of the coordinates of a block that are not auxiliary, as in metric; not read where there are none.
    correlation: rho of old and new u in [0, 1), a scalar or [B]; 0 draws u anew.
    """

    beta: jax.Array
    log_scale: jax.Array
    factor: Factor
    correlation: jax.Array


class PseudoMarginalMetropolis(PerReplica):
    """Metropolis-Hastings with u' = rho u + sqrt(1 - rho^2) xi for the auxiliary coordinates of every block. Exact.

    xi ~ N(0, I / w), w the weight of the term of u: that proposal is reversible with respect to N(0, I / w), so that
    the term cancels and log alpha is the change of the block's other terms. Any other coordinates of the block are
    proposed by a random walk at the same time, theta' = theta + s L z.

    On the level of the individuals it is a refresh of each one's u_k, accepted on that one's own phat; on the whole
    level, where theta comes first, it is the pseudo-marginal algorithm with rho = 0 and the correlated one with rho
    near 1. Deciding all blocks at once is as valid as in `metropolis`.
    Source: Andrieu and Roberts (2009), Annals of Statistics 37, 697-725; Deligiannidis, Doucet and Pitt (2018), Journal
    of the Royal Statistical Society B 80, 839-870, algorithm 1; Cotter, Roberts, Stuart and White (2013), Statistical
    Science 28, 424-446 (preconditioned Crank-Nicolson).
    """

    exact = True

    def __init__(self, view: LevelView, auxiliary: Auxiliary) -> None:
        super().__init__(view.target.dimension)
        self.view = view
        self.auxiliary = auxiliary

    def one(
        self, key: jax.Array, state: State, data: Data, parameters: PseudoMarginalMetropolisParameters
    ) -> tuple[State, Info]:
        """One proposal for every block."""
        noise_key, accept_key = jax.random.split(key)
        old = self.view.blocks(state.position)
        new = self._propose(old, normals(noise_key, self.view), parameters)
        cells = self.view.cells_at(self.view.level.scatter(state.position, new), data)
        weight, owner = self.auxiliary.weight(parameters.beta), self.view.level.owners[self.auxiliary.term]
        cancelled = weight * owner.sum(cells[self.auxiliary.term] - state.cells[self.auxiliary.term])
        accepted, info = decide(accept_key, self.view.change(state.cells, cells, parameters.beta) - cancelled)
        return self.view.select(accepted, state, new, old, cells), info

    def _propose(self, old: jax.Array, noise: jax.Array, parameters: PseudoMarginalMetropolisParameters) -> jax.Array:
        """The proposals [p, B] from standard normals."""
        first, rho = self.auxiliary.first, parameters.correlation
        fresh = noise[first:] / jnp.sqrt(jnp.asarray(self.auxiliary.weight(parameters.beta), jnp.float64))
        refreshed = rho * old[first:] + jnp.sqrt(1.0 - rho**2) * fresh
        if first == 0:
            return refreshed
        walked = old[:first] + jnp.exp(parameters.log_scale) * multiply(parameters.factor, noise[:first])
        return jnp.concatenate([walked, refreshed])
