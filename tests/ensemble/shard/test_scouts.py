"""The scout round: what it moves, and its statistics over replicas, points without a finite density included."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.shard.scouts import make_scout, scout_tuning
from kernels.state import State, evaluate
from tests.support.models.ensemble_models import GROUPS, REPLICAS, SCOUT, log_terms, small, target, tuning

NOWHERE = {"b": np.inf, "mu": np.inf}
"""How far out the density ends: here it does not."""


def walled(position: Any, data: Any) -> Any:
    """The terms of the model, NaN where |b| or |mu| exceeds data["walls"]."""
    terms = log_terms(position, data)
    return terms | {
        site: jnp.where(jnp.abs(position[site]) > data["walls"][site], jnp.nan, terms[site]) for site in ("b", "mu")
    }


@cache
def scout() -> Any:
    return jax.jit(make_scout(target(walled), small().structure, SCOUT))


def rounds(walls: dict[str, float], count: int = 3) -> tuple[State, dict[str, Any]]:
    """The states and the last statistics after some rounds from 0."""
    data = {**small().data, "walls": walls}
    position = {name: jnp.zeros((REPLICAS, *site.shape)) for name, site in small().target.sites.items()}
    states = jax.vmap(lambda p: evaluate(target(walled), small().structure, p, data))(position)
    chosen = tuning()._replace(scout=scout_tuning(small().structure, {**SCOUT, "step": 0.5}))
    for number in range(count):
        keys = jax.random.split(jax.random.key(number), REPLICAS)
        states, statistics = scout()(states, keys, data, chosen)
    return states, statistics


def test_every_level_moves_and_is_counted() -> None:
    """Trajectories once on every block of the leaf level, walks `repeats` times on the other, for every replica."""
    states, statistics = rounds(NOWHERE)
    for x in states.position.values():
        assert float(jnp.mean(x != 0.0)) > 0.5
        assert not np.array_equal(x[0], x[1])
    assert statistics.rates.keys() == {"g", "global"}
    (leaf,), (shared,) = statistics.rates["g"], statistics.rates["global"]
    assert (leaf.walk, shared.score) == (None, None)
    score, walk = leaf.score, shared.walk
    np.testing.assert_array_equal(score[1], np.full(GROUPS, REPLICAS))
    np.testing.assert_array_equal(walk[1], [REPLICAS * SCOUT["repeats"]])
    assert (score[0] > 0).all()
    assert (score[0] <= REPLICAS).all()
    assert 0 < walk[0][0] < walk[1][0]
    assert int(statistics.nonfinite) == 0


@pytest.mark.parametrize("site", ["b", "mu"])
def test_points_without_a_finite_density_are_refused_and_counted(site: str) -> None:
    """Those of trajectories (b is of the leaf level) and of walks (mu is not)."""
    states, statistics = rounds({**NOWHERE, site: 0.05})
    assert int(statistics.nonfinite) > 0
    assert float(jnp.abs(states.position[site]).max()) <= 0.05
    assert all(bool(jnp.isfinite(cells).all()) for cells in states.cells.values())
