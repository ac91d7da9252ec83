"""On a grid of points every transition of a kernel is enumerated: detailed balance and pi P = pi to 1e-12.

The acceptance probabilities come from the kernels themselves: Info reports them, whatever was drawn.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.state import LevelView, evaluate
from kernels.structure.discovery import discover
from kernels.structure.levels import Structure
from kernels.target import Site, Target
from kernels.transitions import block_swap, metropolis
from kernels.transitions.block_swap import BlockSwap
from kernels.transitions.metropolis import Metropolis, fitted_log_density
from tests.support.one_replica import OneReplica

GRID = np.array([-2.0, -0.7, 0.1, 0.9, 2.4])
LOG_MASS = np.array([-1.0, 0.3, -0.4, -2.5, 0.2])
BETA_HOT = 0.35
FIT = {"mean": 0.4, "sd": 0.8}
EXACT = 1e-12


def _log_terms(position: Any, data: Any) -> Any:
    """The log mass of the nearest grid point and a parabola: any function on the grid would do."""
    x = position["x"]
    nearest = jnp.argmin(jnp.abs(x[:, None] - data["grid"]), axis=1)
    return {"x": data["log_mass"][nearest] - 0.1 * x**2}


DATA = {"grid": jnp.asarray(GRID), "log_mass": jnp.asarray(LOG_MASS)}
LOG_PI = LOG_MASS - 0.1 * GRID**2


def _view() -> tuple[LevelView, Structure]:
    """Two independent blocks of one coordinate."""
    target = Target(
        {"x": Site("x", (2,), ("block",))}, {"x": "prior"}, _log_terms, lambda p, d: p, lambda k, d: {"x": jnp.zeros(2)}
    )
    structure = discover(target, DATA, {"x": jnp.asarray([0.1, 0.9])}, key=jax.random.key(0))
    return LevelView(target, structure, structure.levels[0]), structure


VIEW, STRUCTURE = _view()


class Injected(Metropolis):
    """Metropolis with the proposed point and whether it is fitted given by `parameters.mean` and `mix`."""

    def _propose(
        self, old: jax.Array, noise: jax.Array, choice: jax.Array, parameters: metropolis.MetropolisParameters
    ) -> Any:
        new, use_fit = parameters.mean, parameters.mix > 0.5
        sizes = self.view.level.sizes
        before = fitted_log_density(((old - FIT["mean"]) / FIT["sd"])[0] ** 2, sizes)
        after = fitted_log_density(((new - FIT["mean"]) / FIT["sd"])[0] ** 2, sizes)
        return new, use_fit, jnp.zeros(use_fit.shape, bool), jnp.where(use_fit, before - after, 0.0)


def law(beta: float) -> np.ndarray:
    mass = np.exp(beta * LOG_PI)
    return mass / mass.sum()


def metropolis_acceptance(beta: float, fitted: bool) -> np.ndarray:
    """alpha[i, j] of the move from grid point i to j, reported by the kernel; the second block stays in the middle."""
    kernel = OneReplica(Injected(VIEW))

    def one(start: jax.Array, end: jax.Array) -> jax.Array:
        state = evaluate(VIEW.target, STRUCTURE, {"x": jnp.stack([start, jnp.asarray(0.1)])}, DATA)
        ends = jnp.stack([end, jnp.asarray(0.1)])[None]
        mix = jnp.full(2, 1.0 if fitted else 0.0)
        parameters = metropolis.MetropolisParameters(jnp.asarray(beta), jnp.zeros(2), ends, jnp.ones((1, 2)), mix)
        info = kernel.step(jax.random.key(0), state, DATA, parameters)[1]
        return (info.fitted if fitted else info.walk)[0][0]

    table = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
    return np.asarray(table(jnp.asarray(GRID), jnp.asarray(GRID)))


def with_stay(moves: np.ndarray) -> np.ndarray:
    """Transition matrix from the probabilities of its moves: what is missing stays."""
    moves = moves - np.diag(np.diag(moves))
    return moves + np.diag(1.0 - moves.sum(axis=1))


def metropolis_matrix(beta: float, fitted: bool) -> np.ndarray:
    """Walks go to a neighbour on the ring of grid points, half each way; fits to any point with its fitted mass."""
    if fitted:
        square = jnp.asarray((GRID - FIT["mean"]) / FIT["sd"]) ** 2
        mass = np.exp(np.asarray(fitted_log_density(square, np.ones(GRID.size))))
        proposal = np.broadcast_to(mass / mass.sum(), (GRID.size, GRID.size))
    else:
        proposal = 0.5 * (np.roll(np.eye(GRID.size), 1, axis=1) + np.roll(np.eye(GRID.size), -1, axis=1))
    return with_stay(proposal * metropolis_acceptance(beta, fitted))


def swap_acceptance() -> np.ndarray:
    """alpha[c, h] of exchanging grid point c of the cold with h of the hot replica, reported by BlockSwap."""
    kernel = OneReplica(BlockSwap(VIEW))
    parameters = block_swap.BlockSwapParameters(jnp.asarray(1.0), jnp.asarray(BETA_HOT))

    def one(cold: jax.Array, hot: jax.Array) -> jax.Array:
        pair = tuple(
            evaluate(VIEW.target, STRUCTURE, {"x": jnp.stack([x, jnp.asarray(0.1)])}, DATA) for x in (cold, hot)
        )
        return kernel.step(jax.random.key(0), pair, DATA, parameters)[1].acceptance_probability[0]

    table = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
    return np.asarray(table(jnp.asarray(GRID), jnp.asarray(GRID)))


def swap_matrix(acceptance: np.ndarray) -> np.ndarray:
    """On pairs (cold, hot), numbered cold * n + hot."""
    n = GRID.size
    moves = np.zeros((n * n, n * n))
    for cold in range(n):
        for hot in range(n):
            moves[cold * n + hot, hot * n + cold] = acceptance[cold, hot]
    return with_stay(moves)


def assert_reversible(law: np.ndarray, matrix: np.ndarray) -> None:
    flow = law[:, None] * matrix
    assert np.abs(flow - flow.T).max() < EXACT
    assert np.abs(law @ matrix - law).max() < EXACT
    assert np.abs(matrix.sum(axis=1) - 1.0).max() < EXACT
    assert matrix.min() >= 0.0


@pytest.mark.parametrize("beta", [1.0, BETA_HOT])
@pytest.mark.parametrize("fitted", [False, True], ids=["walk", "fitted"])
def test_metropolis_is_reversible(beta: float, fitted: bool) -> None:
    matrix = metropolis_matrix(beta, fitted)
    assert_reversible(law(beta), matrix)
    assert (np.diag(matrix) < 0.999).all()


def test_fitted_metropolis_needs_its_correction() -> None:
    """The same enumeration shows an acceptance without the correction as not reversible."""
    ratio = np.exp(LOG_PI[None] - LOG_PI[:, None])
    square = jnp.asarray((GRID - FIT["mean"]) / FIT["sd"]) ** 2
    mass = np.exp(np.asarray(fitted_log_density(square, np.ones(GRID.size))))
    wrong = with_stay(np.broadcast_to(mass / mass.sum(), ratio.shape) * np.minimum(1.0, ratio))
    assert np.abs(law(1.0) @ wrong - law(1.0)).max() > 1e-3


def test_block_swap_is_reversible() -> None:
    assert_reversible(np.kron(law(1.0), law(BETA_HOT)), swap_matrix(swap_acceptance()))


def test_swaps_and_metropolis_together_have_one_invariant_law() -> None:
    """A sweep of both replicas and a swap is not reversible, but leaves the product law, and no other, invariant."""
    mixed = [0.6 * metropolis_matrix(beta, False) + 0.4 * metropolis_matrix(beta, True) for beta in (1.0, BETA_HOT)]
    sweep = np.kron(mixed[0], mixed[1]) @ swap_matrix(swap_acceptance())
    pair = np.kron(law(1.0), law(BETA_HOT))
    assert np.abs(pair @ sweep - pair).max() < EXACT
    eigenvalues = np.sort(np.abs(np.linalg.eigvals(sweep)))
    assert eigenvalues[-1] == pytest.approx(1.0)
    assert eigenvalues[-2] < 0.99


def test_separate_acceptances_have_another_law() -> None:
    """Each side taking the other's point on its own p(B) / p(A): the product law is not invariant."""
    n = GRID.size
    take = np.minimum(1.0, np.exp(LOG_PI[None] - LOG_PI[:, None]))
    wrong = np.zeros((n * n, n * n))
    for c in range(n):
        for h in range(n):
            for cold, p in ((h, take[c, h]), (c, 1.0 - take[c, h])):
                for hot, q in ((c, take[h, c]), (h, 1.0 - take[h, c])):
                    wrong[c * n + h, cold * n + hot] += p * q
    pair = np.kron(law(1.0), law(BETA_HOT))
    assert np.abs(wrong.sum(axis=1) - 1.0).max() < EXACT
    assert np.abs(pair @ wrong - pair).max() > 1e-2
