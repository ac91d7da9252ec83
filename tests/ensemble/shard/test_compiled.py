"""Functions compiled once, and the clock beside them."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.shard.compiled import Clock, Compiled
from tests.support.models.ensemble_models import tuning


def counted():
    """A compiled function of tuning, and the list of its traces."""
    traces = []

    def scaled(x, tuning):
        traces.append(x.shape)
        return x * jnp.sum(tuning.levels["g"][0].log_scale)

    return Compiled(scaled, Clock()), traces


def test_compiled_once_for_all_values_of_the_controls():
    compiled, traces = counted()
    for value in range(4):
        start = tuning()
        level = start.levels["g"][0]._replace(log_scale=np.full(5, float(value)))
        changed = start._replace(levels={**start.levels, "g": (level,)})
        np.testing.assert_array_equal(compiled(jnp.ones(3), changed), np.full(3, 5.0 * value))
    assert traces == [(3,)]


def test_numpy_and_jax_arrays_share_a_program():
    compiled, traces = counted()
    compiled(np.ones(3), tuning())
    compiled(jnp.ones(3), jax.tree.map(jnp.asarray, tuning()))
    assert traces == [(3,)]


def test_compiled_anew_for_another_shape_or_dtype():
    compiled, traces = counted()
    for x in (jnp.ones(3), jnp.ones(4), jnp.ones(3, jnp.float32), jnp.ones(3)):
        compiled(x, tuning())
    assert len(traces) == 3


def test_the_clock_keeps_compiling_apart_and_starts_anew():
    clock = Clock()
    compiled = Compiled(lambda x: x + 1, clock)
    compiled(jnp.ones(3))
    kernel, compiling = clock.read()
    assert kernel > 0
    assert compiling > 0
    compiled(jnp.ones(3))
    kernel, compiling = clock.read()
    assert kernel > 0
    assert compiling == 0
    assert clock.read() == (0.0, 0.0)
