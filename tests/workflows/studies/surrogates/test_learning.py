"""Formulations of what a network learns: which of them make steps that are undone and keep volume."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workflows.studies.surrogates.learning.learners import FORMULATIONS, Formulation, cut, layers_of, train
from workflows.studies.surrogates.learning.pilot import Examples, Phase, strang

D, M, H = 2, 3, 0.2


def phase(rng: np.random.Generator, *shape: int) -> Phase:
    """Normal numbers."""
    return Phase(*(jnp.asarray(rng.normal(size=(*shape, size))) for size in (D, D, M, M)))


def field(formulation: Formulation, seed: int = 0) -> Any:
    """A kick by layers that have seen nothing, with slopes of order 1."""
    rng = np.random.default_rng(seed)
    layers = [(3.0 * w, b) for w, b in formulation.first(D, M, rng)]
    return jax.jit(partial(strang, partial(formulation.kick, layers), jnp.asarray(H), held=not formulation.moves_u))


def flipped(at: Phase) -> Phase:
    """With the momenta turned round."""
    return at._replace(rho=-at.rho, p=-at.p)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_steps_are_undone_where_they_are_said_to_be(name: str) -> None:
    """To the 32 bits that networks compute in."""
    formulation = FORMULATIONS[name]
    step, start = field(formulation), phase(np.random.default_rng(1))
    back = flipped(step(flipped(step(start))))
    away = max(float(jnp.max(jnp.abs(x - y))) for x, y in zip(start, back, strict=True))
    assert (away < 1e-5) == formulation.exact


@pytest.mark.parametrize("name", FORMULATIONS)
def test_steps_keep_volume_where_they_are_said_to(name: str) -> None:
    formulation = FORMULATIONS[name]
    step = field(formulation)

    def flat(x: jax.Array) -> jax.Array:
        return jnp.concatenate(step(Phase(*jnp.split(x, np.cumsum([D, D, M])))))

    jacobian = jax.jacobian(flat)(jnp.concatenate(phase(np.random.default_rng(2))))
    volume = abs(float(jnp.linalg.det(jacobian)))
    assert (abs(volume - 1.0) < 1e-5) == formulation.exact


@cache
def lessons() -> Examples:
    """Along true trajectories of U = |z|^2 / 2 + sum sin(2 z) / 4, with u of no influence."""
    rng = np.random.default_rng(3)

    def kick(at: Phase) -> tuple[jax.Array, jax.Array]:
        return -at.z - 0.5 * jnp.cos(2.0 * at.z), jnp.zeros_like(at.u)

    at, seen = phase(rng, 400), []
    for _ in range(6):
        seen.append(at)
        at = jax.vmap(partial(strang, kick, jnp.asarray(H), held=False))(at)
    phases = jax.tree.map(lambda *x: jnp.stack(x, axis=1).astype(jnp.float32), *seen)
    return Examples(phases, *jax.vmap(jax.vmap(kick))(phases))


@pytest.mark.parametrize(
    "name", ["2 slopes over (theta, u)", "3 U(theta)", "4 H(theta, rho)", "5 through the integrator"]
)
def test_each_learns_the_force(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parabola alone is off by (cos 2 z)^2 / 4, an eighth in the mean."""
    monkeypatch.setattr("workflows.studies.surrogates.learning.learners.STEPS", 600)
    formulation = FORMULATIONS[name]
    learned = train(formulation, lessons(), jnp.asarray(H), 0)
    z = jnp.asarray(np.random.default_rng(4).normal(size=(300, D)))
    others = [jnp.zeros((300, size)) for size in (D, M, M)]
    found = jax.vmap(partial(formulation.kick, learned.layers))(Phase(z, *others))[0]
    wrong = np.asarray(found + z + 0.5 * jnp.cos(2.0 * z))
    assert np.mean(wrong**2) < 0.02


def test_pieces_of_trajectories_follow_each_other() -> None:
    numbers = jnp.arange(11.0).reshape(1, 11, 1)
    examples = Examples(Phase(numbers, numbers, numbers[..., :0], numbers[..., :0]), numbers, numbers[..., :0])
    found = cut(examples, 5)
    assert found.by_z.shape == (2, 5, 1)
    np.testing.assert_array_equal(found.by_z[:, :, 0], np.arange(10.0).reshape(2, 5))
    assert found.by_u.shape == (2, 5, 0)


def test_layers_have_the_sizes_that_are_asked_for() -> None:
    shapes = [w.shape for w, _ in layers_of((4, 8, 2), np.random.default_rng(0), 1.0)]
    assert shapes == [(4, 8), (8, 2)]
