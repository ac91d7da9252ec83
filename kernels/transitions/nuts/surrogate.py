"""NUTS on a learned potential, its draw accepted or not on the true density: exact for any network."""

import jax
import jax.numpy as jnp

from kernels.dynamics.integrators import ValueAndGradient
from kernels.dynamics.metric import multiply
from kernels.dynamics.network import Network, learned_potential, where_trained
from kernels.numerics.batching import over_replicas
from kernels.state import Info, State, decide
from kernels.transitions.nuts.sampler import Nuts, NutsInfo, NutsParameters
from kernels.types import Data, Position


class SurrogateNuts(Nuts):
    """A NUTS draw x' under a network's potential V, then accepted with probability

        min(1, exp(-U(x') + V(x') + U(x) - V(x))).

    NUTS is reversible with respect to exp(-V): given the final trajectory, two of its points choose each other with the
    same probability times weight, in subtrees (multinomial) and across a doubling, w w' min(1 / w_old, 1 / w_new). So
    this is Metropolis-Hastings with a proposal that is reversible under exp(-V). Exact for any network; one
    evaluation of the true density a draw, none of its gradient. Where the network is not trained: Nuts.
    Source: Christen and Fox (2005), Journal of Computational and Graphical Statistics 14, 795-810 (a cheap density in
    the first stage); Liu (2001), Monte Carlo Strategies in Scientific Computing, section 9.4.3 (surrogate transitions).
    """

    def value_and_gradient(self, position: Position, data: Data, parameters: NutsParameters) -> ValueAndGradient:
        """Of the network, where it is trained, as functions of the offsets [R, p] from the replicas' positions."""
        true, network = super().value_and_gradient(position, data, parameters), parameters.network
        assert network is not None
        rows = jax.vmap(self.view.blocks)(position)

        def value(offset: jax.Array, origin: jax.Array) -> jax.Array:
            return learned_potential(network, (origin + multiply(parameters.factor, offset[:, None]))[:, 0])

        learned = jax.vmap(jax.value_and_grad(value))

        return where_trained(network, lambda offset: learned(offset, rows), true)

    def step(self, keys: jax.Array, states: State, data: Data, parameters: NutsParameters) -> tuple[State, NutsInfo]:
        """One draw of every replica and its second stage; its acceptance probability is the info's."""
        network = parameters.network
        assert network is not None
        pairs = jax.vmap(lambda key: jax.random.split(key))(keys)
        proposed, info = super().step(pairs[:, 0], states, data, parameters)
        moved, decided = over_replicas(
            lambda key, old, new: self._decide(key, old, new, network, parameters.beta), self.view.level.width
        )(pairs[:, 1], states, proposed)
        states = jax.tree.map(lambda new, old: jnp.where(network.trained, new, old), moved, proposed)
        return states, _told(info, decided, jnp.asarray(network.trained))

    def _decide(
        self, key: jax.Array, old: State, new: State, network: Network, beta: jax.Array | float
    ) -> tuple[State, Info]:
        """The second stage of one replica."""
        here, there = self.view.blocks(old.position), self.view.blocks(new.position)
        learned = learned_potential(network, there[:, 0]) - learned_potential(network, here[:, 0])
        cells = {name: new.cells[name] for name in self.view.level.terms}
        accepted, info = decide(key, self.view.change(old.cells, cells, beta) + learned)
        proposes = jnp.any(there != here)
        info = info._replace(nonfinite=info.nonfinite * proposes)
        return self.view.select(accepted, old, there, here, cells), info


def _told(info: NutsInfo, decided: Info, trained: jax.Array) -> NutsInfo:
    """What the draw reports: of the decisions where there were any."""
    accepted = jnp.where(trained, decided.acceptance_probability[:, 0], info.acceptance_probability)
    infinite = info.infinite if decided.infinite is None else info.infinite + trained * decided.infinite
    return info._replace(
        acceptance_probability=accepted, nonfinite=info.nonfinite + trained * decided.nonfinite, infinite=infinite
    )
