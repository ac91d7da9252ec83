"""Networks trained on what an ensemble gives."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.adaptation.surrogates import trained
from ensemble.protocol.tuning import LevelTuning
from kernels.dynamics.network import learned_potential, untrained


def density_slope(x: np.ndarray) -> np.ndarray:
    """Of -|x|^2 / 2 - sum cos(2 x) / 2."""
    return -x + np.sin(2.0 * x)


def test_runaway_trajectories_do_not_spoil_the_training() -> None:
    """A few places and slopes beyond what squares of 32 bits hold, as unstable trajectories leave them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2))
    examples = np.stack([x, density_slope(x)], axis=1)
    examples[::500] *= 1e80
    level = LevelTuning(np.zeros(1), np.zeros((2, 1)), np.eye(2)[:, :, None], np.zeros(1))
    network, error = trained(untrained(2, (32, 32)), level, examples, (0, 1))
    assert network.trained
    assert error < 0.01
    network = jax.tree.map(jnp.asarray, network)
    there = rng.normal(size=(200, 2))
    slopes = jax.vmap(jax.grad(lambda at: -learned_potential(network, at)))(jnp.asarray(there))
    wrong = np.asarray(slopes) - density_slope(there)
    assert np.mean(wrong**2) < 0.02 * np.mean(density_slope(there) ** 2)


def test_a_network_of_nothing_but_runaways_is_not_used() -> None:
    level = LevelTuning(np.zeros(1), np.zeros((2, 1)), np.eye(2)[:, :, None], np.zeros(1))
    network, error = trained(untrained(2, (32, 32)), level, np.full((500, 2, 2), 1e90), (0, 1))
    assert not network.trained
    assert np.isnan(error)
