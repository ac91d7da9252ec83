"""How many temperatures does a Gaussian of d dimensions need, and how many if its blocks are swapped?

    python -m workflows.studies.trials.ladder            (prints one row a dimension)

The target is N(0, I) in d dimensions, tempered from T = 1 to T = 3.5; between the rungs whole vectors are exchanged, or
every coordinate on its own. Swaps are measured by the kernels on exact draws; in theory the energies at inverse
temperature beta are Gamma(d / 2) / beta, and neighbours reject 2 I_x(d / 2, d / 2) - 1, x = beta_a / (beta_a + beta_b).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import betainc, gammaln

from kernels.ladder import tempering
from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.structure.levels import Structure
from kernels.target import Site, Target
from kernels.transitions.block_swap import BlockSwap, BlockSwapParameters

HOTTEST = 3.5
REJECTED = 0.5
"""Rejection of neighbours at which a ladder is cut into rungs: near the best for non-reversible swaps (Syed et al.)."""
DIMENSIONS = (1, 10, 100, 1000)
DRAWS = 200


class Row(NamedTuple):
    """Of one dimension. barrier: Lambda, the limit of a fine ladder; rungs: of equal rejection, at most REJECTED;
    predicted, measured: how often neighbours of that ladder accept; at_once: whole vectors straight from T = 1 to the
    hottest; blocks: single coordinates likewise."""

    dimension: int
    barrier: float
    rungs: int
    predicted: float
    measured: float
    at_once: float
    blocks: float


def rejection(dimension: int, ratio: float) -> float:
    """Rejection of whole-vector swaps between rungs whose inverse temperatures have this ratio (above 1)."""
    half = dimension / 2
    return float(2.0 * betainc(half, half, ratio / (1.0 + ratio)) - 1.0)


def barrier(dimension: int) -> float:
    """Lambda = log(HOTTEST) Gamma(d / 2 + 1 / 2) / (sqrt(pi) Gamma(d / 2))."""
    return float(np.log(HOTTEST) / np.sqrt(np.pi) * np.exp(gammaln((dimension + 1) / 2) - gammaln(dimension / 2)))


def rungs_needed(dimension: int) -> int:
    """The fewest rungs in equal ratios, on which Gaussians reject equally, that reject at most REJECTED."""
    rungs = 2
    while rejection(dimension, HOTTEST ** (1.0 / (rungs - 1))) > REJECTED:
        rungs += 1
    return rungs


def measure(dimension: int, draws: int = DRAWS) -> Row:
    """One row, by `draws` exact ladders."""
    rungs = rungs_needed(dimension)
    betas = HOTTEST ** -np.linspace(0.0, 1.0, rungs)
    keys = jax.random.split(jax.random.key(dimension), 3)
    accepted = whole_acceptance(keys[0], dimension, betas, draws)
    at_once = whole_acceptance(keys[1], dimension, np.array([1.0, 1.0 / HOTTEST]), draws)
    predicted = 1.0 - rejection(dimension, HOTTEST ** (1.0 / (rungs - 1)))
    blocks = block_acceptance(keys[2], dimension, draws)
    return Row(dimension, barrier(dimension), rungs, predicted, accepted, at_once, blocks)


def whole_acceptance(key: jax.Array, dimension: int, betas: np.ndarray, draws: int) -> float:
    """Mean acceptance of the neighbours of a ladder over exact draws of its rungs, even and odd rounds alike."""
    draw_key, *swap_keys = jax.random.split(key, 3)
    x = jax.random.normal(draw_key, (draws, betas.size, dimension)) / np.sqrt(betas)[:, None]
    energies = -0.5 * jnp.sum(x**2, axis=-1)
    swap = jax.vmap(tempering.swap, in_axes=(0, None, None, 0))
    both = [
        swap(jax.random.split(k, draws), parity, jnp.asarray(betas), energies)[1] for parity, k in enumerate(swap_keys)
    ]
    kinds = "acceptance_probability", "tried"
    accepted, tried = (sum(float(jnp.sum(getattr(one, kind))) for one in both) for kind in kinds)
    return accepted / tried


def block_acceptance(key: jax.Array, dimension: int, draws: int) -> float:
    """Mean acceptance of single coordinates between T = 1 and the hottest, over exact draws of both."""
    view, structure = _coordinates(dimension)
    draw_key, swap_key = jax.random.split(key)
    x = jax.random.normal(draw_key, (2, draws, dimension)) * np.sqrt([1.0, HOTTEST])[:, None, None]
    parameters = BlockSwapParameters(jnp.asarray(1.0), jnp.asarray(1.0 / HOTTEST))
    evaluated = jax.vmap(lambda x: evaluate(view.target, structure, {"x": x}, None))
    pairs: tuple[State, State] = (evaluated(x[0]), evaluated(x[1]))
    info = BlockSwap(view).step(jax.random.split(swap_key, draws), pairs, None, parameters)[1]
    return float(jnp.mean(info.acceptance_probability))


def _coordinates(dimension: int) -> tuple[LevelView, Structure]:
    """The Gaussian, each coordinate a block."""
    site = Site("x", (dimension,), ("coordinate",))
    target = Target(
        {"x": site},
        {"x": "prior"},
        lambda p, d: {"x": -0.5 * p["x"] ** 2},
        lambda p, d: p,
        lambda k, d: {"x": jnp.ones(dimension)},
    )
    structure = discover(target, None, {"x": jnp.ones(dimension)}, key=jax.random.key(0))
    return LevelView(target, structure, structure.levels[0]), structure


def main() -> None:
    """Print the table."""
    print(f"T = 1 to {HOTTEST}, neighbours reject at most {REJECTED}; {DRAWS} exact ladders a row")
    print(f"{'':>5}{'':>9}{'whole vectors':^36}{'blocks':>10}")
    print(f"{'d':>5}{'Lambda':>9}{'rungs':>8}{'predicted':>11}{'measured':>10}{'2 rungs':>10}{'2 rungs':>10}")
    for dimension in DIMENSIONS:
        row = measure(dimension)
        shares = f"{row.predicted:>11.3f}{row.measured:>10.3f}{row.at_once:>10.1e}{row.blocks:>10.3f}"
        print(f"{row.dimension:>5}{row.barrier:>9.2f}{row.rungs:>8}{shares}", flush=True)


if __name__ == "__main__":
    main()
