"""The swap rule on scorpios (mixtures of four bivariate normals): the right one gives the masses, the wrong one fails.

Half of the ensemble is at T = 1, half at T = 3.5; block swaps between them, Metropolis walks at both. Wrong: each side
takes the other's state on its own ratio p(B) / p(A); the masses .5, .1, .1, .3 then come out as .49, .10, .05, .36.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.structure.levels import Structure
from kernels.target import Site, Target
from kernels.transitions import block_swap, metropolis
from kernels.transitions.block_swap import BlockSwap
from kernels.transitions.metropolis import Metropolis
from tests.support.one_replica import OneReplica

MASSES = np.array([0.5, 0.1, 0.1, 0.3])
MEANS = np.array([[0.0, 0.0], [4.0, 2.0], [7.0, 6.0], [5.0, 11.0]])
SDS = np.array([[1.5, 1.0], [1.2, 0.25], [0.3, 1.2], [0.5, 0.5]])
BLOCKS, PAIRS, BURN, SWEEPS = 32, 24, 300, 600
BETA_HOT = 1.0 / 3.5
ALARM = 6.0
"""Standard errors: a false alarm in one of 4 masses is rarer than 1e-7, by Student's t with 767 degrees of freedom."""


def components(x: jax.Array) -> jax.Array:
    """Log weight plus log density of each component, [..., 4]; x [..., 2]."""
    square = jnp.sum(((x[..., None, :] - MEANS) / SDS) ** 2, axis=-1)
    return np.log(MASSES / SDS.prod(axis=1)) - 0.5 * square


@cache
def scorpios() -> tuple[LevelView, Structure]:
    site = Site("x", (BLOCKS, 2), ("scorpio",))

    def log_terms(position: Any, data: Any) -> Any:
        return {"x": jax.scipy.special.logsumexp(components(position["x"]), axis=-1)}

    target = Target({"x": site}, {"x": "prior"}, log_terms, lambda p, d: p, lambda k, d: {"x": jnp.ones(site.shape)})
    structure = discover(target, None, {"x": jnp.ones(site.shape)}, key=jax.random.key(0))
    return LevelView(target, structure, structure.levels[0]), structure


def right(key: jax.Array, pair: tuple[State, State]) -> tuple[State, State]:
    parameters = block_swap.BlockSwapParameters(jnp.asarray(1.0), jnp.asarray(BETA_HOT))
    return OneReplica(BlockSwap(scorpios()[0])).step(key, pair, None, parameters)[0]


def wrong(key: jax.Array, pair: tuple[State, State]) -> tuple[State, State]:
    """Each side decides on its own."""
    view, (cold, hot) = scorpios()[0], pair
    keys = jax.random.split(key)
    return take(view, keys[0], cold, hot), take(view, keys[1], hot, cold)


def take(view: LevelView, key: jax.Array, own: State, other: State) -> State:
    """own moves to other's blocks with probability min(1, p(other) / p(own)), whatever the temperatures."""
    change = view.change(own.cells, other.cells)
    accepted = jax.random.uniform(key, change.shape) < jnp.exp(jnp.minimum(change, 0.0))
    return view.select(accepted, own, view.blocks(other.position), view.blocks(own.position), other.cells)


def walk_parameters(beta: float, log_scale: float) -> metropolis.MetropolisParameters:
    zero = jnp.zeros(BLOCKS)
    ones = jnp.ones((2, BLOCKS))
    return metropolis.MetropolisParameters(jnp.asarray(beta), zero + log_scale, 0.0 * ones, ones, zero)


def cold_masses(swap: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean responsibilities [4] of the cold half after burn-in, and their standard errors over independent chains."""
    view, structure = scorpios()
    kernel, parameters = OneReplica(Metropolis(view)), (walk_parameters(1.0, -0.2), walk_parameters(BETA_HOT, 0.7))

    def sweep(pair: tuple[State, State], key: jax.Array) -> tuple[tuple[State, State], jax.Array]:
        keys = jax.random.split(key, 3)
        moved = [kernel.step(k, s, None, c)[0] for k, s, c in zip(keys[:2], pair, parameters, strict=True)]
        pair = swap(keys[2], (moved[0], moved[1]))
        return pair, jax.nn.softmax(components(pair[0].position["x"]), axis=-1)

    def chain(key: jax.Array) -> jax.Array:
        start_key, run_key = jax.random.split(key)
        starts = jnp.array([3.0, 5.0]) + 4.0 * jax.random.normal(start_key, (2, BLOCKS, 2))
        cold, hot = (evaluate(view.target, structure, {"x": x}, None) for x in starts)
        burn, keep = jnp.split(jax.random.split(run_key, BURN + SWEEPS), [BURN])
        pair, _ = jax.lax.scan(lambda p, k: (sweep(p, k)[0], None), (cold, hot), burn)
        total, _ = jax.lax.scan(lambda s, k: _added(sweep, s, k), (pair, jnp.zeros((BLOCKS, 4))), keep)
        return total[1] / SWEEPS

    means = np.asarray(jax.jit(jax.vmap(chain))(jax.random.split(jax.random.key(seed), PAIRS))).reshape(-1, 4)
    return means.mean(axis=0), means.std(axis=0) / np.sqrt(means.shape[0])


def _added(sweep: Any, carry: Any, key: jax.Array) -> tuple[Any, None]:
    pair, masses = sweep(carry[0], key)
    return (pair, carry[1] + masses), None


def test_right_rule_gives_the_masses() -> None:
    masses, errors = cold_masses(right, 1)
    assert (errors < 0.01).all()
    assert (np.abs(masses - MASSES) < ALARM * errors).all(), masses


def test_wrong_rule_fails_the_masses() -> None:
    masses, errors = cold_masses(wrong, 1)
    assert (np.abs(masses - MASSES) / errors).max() > ALARM, masses
    assert np.abs(masses - MASSES).max() > 0.03


@pytest.mark.parametrize(("swap", "keeps"), [(right, True), (wrong, False)])
def test_pair_of_states_is_kept(swap: Any, keeps: bool) -> None:
    """A swap keeps the pair of values of every block; deciding separately copies the better one over the other."""
    view, structure = scorpios()
    starts = 4.0 * jax.random.normal(jax.random.key(2), (2, BLOCKS, 2))
    cold, hot = (evaluate(view.target, structure, {"x": x}, None) for x in starts)
    ends = jnp.stack([state.position["x"] for state in swap(jax.random.key(3), (cold, hot))])
    same = np.array_equal(np.sort(np.asarray(ends), axis=0), np.sort(np.asarray(starts), axis=0))
    assert same is keeps
    assert not np.array_equal(np.asarray(ends), np.asarray(starts))
