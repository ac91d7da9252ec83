"""What a shard says of its ensemble: the slopes of parents given their children."""

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.moments import shard_moments
from kernels.state import LevelView
from tests.support.models.ensemble_models import GROUPS, evaluated, small


def test_information_of_parents_is_that_of_their_slopes_given_the_children() -> None:
    """d/dmu = sum (x - mu) / sd^2 - mu / 9 and d/dlog sd = sum ((x - mu)^2 / sd^2 - 1) - log sd, by hand."""
    model = small()
    tuning = first_tuning(model.spec, np.ones(1), 4)
    x = np.linspace(-1.0, 2.0, GROUPS)
    one = {"mu": np.array(0.4), "log_sd": np.array(-0.2), "x": x, "b": np.zeros(GROUPS)}
    states = evaluated({name: jnp.stack([jnp.asarray(values)] * 3) for name, values in one.items()})
    kernels = level_kernels(model.spec)
    pairs = tuple(
        (kernels[level.name], LevelView(model.target, model.structure, level)) for level in model.structure.levels
    )
    found = jax.jit(lambda states: shard_moments(pairs, (states,), tuning, model.data))(states)
    deviation, precision = x - 0.4, np.exp(0.4)
    slope = {
        "mu": np.sum(deviation) * precision - 0.4 / 9.0,
        "log_sd": np.sum(deviation**2 * precision - 1.0) + 0.2,
    }
    level = model.structure.level("global")
    g = np.array([slope[site] for site in level.sites])
    np.testing.assert_allclose(found["global"][0].information[:, :, 0], np.outer(g, g), rtol=1e-10)
    assert found["g"][0].information is None
