"""Gradient-free HMC: its forces, the reversibility and volume of its flow, and a Gaussian with known acceptance."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.dynamics.forces import normals, scaled_potential, spsa_force, value_and_gradient
from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.target import Site, Target
from kernels.transitions import gradient_free_hmc
from kernels.transitions.gradient_free_hmc import GradientFreeHMC
from tests.support.one_replica import OneReplica


def quartic(blocks: int, sd: tuple[float, ...], power: float = 2.0) -> tuple[LevelView, Any]:
    """Independent blocks with density exp(-sum |x / sd|^power / power), and a parameters factory."""
    scale = jnp.asarray(sd)

    def log_terms(position: Any, data: Any) -> Any:
        return {"x": -jnp.sum(jnp.abs(position["x"] / scale) ** power, axis=-1) / power}

    site = Site("x", (blocks, len(sd)), ("block",))
    target = Target({"x": site}, {"x": "prior"}, log_terms, lambda p, d: p, lambda k, d: {"x": jnp.ones(site.shape)})
    structure = discover(target, None, {"x": jnp.ones(site.shape)}, key=jax.random.key(0))
    return LevelView(target, structure, structure.level("block")), structure


def unit_parameters(own: LevelView, h: float, difference: float = 1e-3) -> gradient_free_hmc.GradientFreeHmcParameters:
    scale = jnp.ones((own.level.width, own.level.n_blocks))
    return gradient_free_hmc.GradientFreeHmcParameters(jnp.asarray(1.0), jnp.asarray(h), scale, jnp.asarray(difference))


def trajectory(directions: int) -> tuple[Callable[..., Any], jax.Array, jax.Array]:
    """6 steps on two anharmonic blocks of 3, a function of (keys, offset, momentum), with its keys and a momentum."""
    own, structure = quartic(2, (1.0, 0.7, 1.5), power=4.0)
    state = evaluate(own.target, structure, {"x": 0.7 * jnp.arange(1.0, 7.0).reshape(2, 3) / 3.0}, None)
    kernel, parameters = GradientFreeHMC(own, 6, directions), unit_parameters(own, 0.05, difference=0.2)
    flow = jax.jit(lambda keys, offset, momentum: kernel.flow(keys, offset, momentum, state, None, parameters))
    return flow, jax.random.split(jax.random.key(1), 6), normals(jax.random.key(2), own)


@pytest.mark.parametrize("directions", [1, 3])
def test_flow_reverses_with_the_reversed_directions(directions: int) -> None:
    flow, keys, momentum = trajectory(directions)
    offset, pushed = flow(keys, jnp.zeros_like(momentum), momentum)
    assert float(jnp.max(jnp.abs(offset))) > 0.05
    back, flipped = flow(keys[::-1], offset, -pushed)
    assert float(jnp.max(jnp.abs(back))) < 1e-10
    assert float(jnp.max(jnp.abs(flipped + momentum))) < 1e-10
    wrong, _ = flow(keys, offset, -pushed)
    assert float(jnp.max(jnp.abs(wrong))) > 1e-4


@pytest.mark.parametrize("directions", [1, 3])
def test_flow_preserves_volume(directions: int) -> None:
    flow, keys, momentum = trajectory(directions)
    half = momentum.size

    def flat(phase: jax.Array) -> jax.Array:
        ends = flow(keys, phase[:half].reshape(momentum.shape), phase[half:].reshape(momentum.shape))
        return jnp.concatenate([end.ravel() for end in ends])

    jacobian = jax.jacfwd(flat)(jnp.concatenate([jnp.zeros(half), momentum.ravel()]))
    assert abs(abs(np.linalg.det(np.asarray(jacobian))) - 1.0) < 1e-10
    assert np.abs(np.asarray(jacobian) - np.eye(2 * half)).max() > 0.1


@pytest.mark.parametrize(("directions", "acceptance"), [(1, 0.58), (3, 0.75)])
def test_gaussian_of_three_sds(directions: int, acceptance: float) -> None:
    """sds (1, .5, 2) within 6 standard errors, exact starts: 1,000 blocks x 60 steps; acceptance at h = 0.133."""
    sd = (1.0, 0.5, 2.0)
    own, structure = quartic(1000, sd)
    start = jnp.asarray(sd) * jax.random.normal(jax.random.key(3), (1000, 3))
    state = evaluate(own.target, structure, {"x": start}, None)
    kernel, parameters = OneReplica(GradientFreeHMC(own, 10, directions)), unit_parameters(own, 0.133)

    def body(state: State, key: jax.Array) -> Any:
        state, info = kernel.step(key, state, None, parameters)
        return state, (state.position["x"] ** 2, jnp.mean(info.acceptance_probability))

    _, (squares, accepted) = jax.jit(lambda s: jax.lax.scan(body, s, jax.random.split(jax.random.key(4), 60)))(state)
    means = np.asarray(squares).mean(axis=0)
    errors = means.std(axis=0) / np.sqrt(1000)
    assert (np.abs(means.mean(axis=0) - np.square(sd)) < 6.0 * errors).all()
    assert abs(float(accepted.mean()) - acceptance) < 0.02


def test_spsa_is_a_projection_of_the_gradient() -> None:
    """On a quadratic g = Delta (Delta . grad U) exactly, so E g = grad U and |g|^2 has the mean p |grad U|^2."""
    own, _ = quartic(3, (1.0, 0.5, 2.0))
    position = {"x": jnp.arange(1.0, 10.0).reshape(3, 3) / 4.0}
    potential = scaled_potential(own, position, None, jnp.full((3, 3), 2.0))
    zero = jnp.zeros((3, 3))
    gradient = np.asarray(value_and_gradient(potential)(zero)[1])
    np.testing.assert_allclose(gradient, 2.0 * np.asarray(position["x"]).T / np.array([[1.0], [0.25], [4.0]]))
    force = jax.jit(jax.vmap(lambda key: spsa_force(own, potential, 1e-2, 1)(key, zero)))
    drawn = np.asarray(force(jax.random.split(jax.random.key(1), 20_000)))
    np.testing.assert_allclose(np.abs(drawn), np.abs(drawn[:, :1]).repeat(3, axis=1), rtol=1e-6)
    assert (np.abs(drawn.mean(axis=0) - gradient) < 6.0 * drawn.std(axis=0) / np.sqrt(20_000)).all()
    ratio = (drawn**2).sum(axis=1).mean(axis=0) / (gradient**2).sum(axis=0)
    np.testing.assert_allclose(ratio, 3.0, rtol=0.05)
    averaged = spsa_force(own, potential, 1e-2, 400)(jax.random.key(2), zero)
    np.testing.assert_allclose(averaged, gradient, atol=6.0 * float(drawn.std(axis=0).max()) / 20.0)
