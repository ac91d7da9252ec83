"""Replicas together and in turn: the same values, and which of the two is chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.numerics.batching import CACHED_COORDINATES, in_groups, over_replicas

REPLICAS = 3


def step(key: jax.Array, state: dict[str, jax.Array]) -> tuple[dict[str, jax.Array], jax.Array]:
    """A step of one replica: new arrays, and a sum over them."""
    x = state["x"] + jax.random.normal(key, state["x"].shape)
    return {"x": x, "count": state["count"] + 1}, jnp.sum(jnp.sin(x))


def arguments() -> tuple[jax.Array, dict[str, jax.Array]]:
    states = {"x": jnp.arange(6.0 * REPLICAS).reshape(REPLICAS, 2, 3), "count": jnp.arange(REPLICAS)}
    return jax.random.split(jax.random.key(0), REPLICAS), states


def in_turn(coordinates: int) -> bool:
    """Whether the replicas are looped over."""
    return "scan[" in str(jax.make_jaxpr(over_replicas(step, coordinates))(*arguments()))


def test_both_ways_give_every_replica_its_own_step() -> None:
    together, turns = (
        jax.jit(over_replicas(step, coordinates))(*arguments()) for coordinates in (1, CACHED_COORDINATES + 1)
    )
    keys, states = arguments()
    alone = [step(keys[r], jax.tree.map(lambda array, r=r: array[r], states)) for r in range(REPLICAS)]
    expected = jax.tree.map(lambda *parts: jnp.stack(parts), *alone)
    for found in (together, turns):
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)
    assert len(np.unique(together[1])) == REPLICAS


def test_large_replicas_are_stepped_in_turn_on_processors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_turn(CACHED_COORDINATES)
    assert in_turn(CACHED_COORDINATES + 1)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not in_turn(CACHED_COORDINATES + 1)


def waiting(x: jax.Array) -> dict[str, jax.Array]:
    """A step in lock-step: what replicas become, and how long their group took."""
    return {"x": jnp.sin(x), "longest": jnp.full(len(x), jnp.max(x))}


@pytest.mark.parametrize(("count", "groups"), [(4, [3]), (3, [2]), (12, [3, 7, 11]), (10, [3, 7, 9]), (5, [3, 4])])
def test_groups_wait_for_their_own_longest(count: int, groups: list[int]) -> None:
    """Groups of four; a rest that fills none is one of its own."""
    x = jnp.arange(float(count))
    found = jax.jit(in_groups(waiting, 4))(x)
    np.testing.assert_array_equal(found["x"], jnp.sin(x))
    np.testing.assert_array_equal(np.unique(found["longest"]), groups)


def test_an_accelerator_takes_all_in_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert np.unique(in_groups(waiting, 4)(jnp.arange(12.0))["longest"]) == [11]
