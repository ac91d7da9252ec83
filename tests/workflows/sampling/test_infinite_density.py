"""A log density of +inf is a mistake of the model: counted apart, named by level and term, never a draw."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import maxwell
from ensemble.protocol.progress import NullProgress


class Told(NullProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def terms(position: Any, data: Any) -> Any:
    """A normal law, and +inf beyond a limit that a fifteenth of it exceeds."""
    return {"x": -0.5 * position["x"] ** 2, "pole": jnp.where(position["x"] > 1.5, jnp.inf, 0.0)}


@pytest.mark.parametrize("kernel", ["nuts", "hmc", "metropolis", "elliptical_slice"])
def test_points_of_plus_infinity_are_named_and_never_taken(kernel: str) -> None:
    told = Told()
    model = maxwell.function_model(terms, {"x": ()}, name="pole")
    settings: dict[str, Any] = {
        "ensemble": {"replicas": 16},
        "kernels": {"whole": "none", "levels": {"global": kernel}},
        "scout": {"max_rounds": 2},
        "equilibrate": {"max_rounds": 4, "refine_rounds": 2},
        "round": {"sweeps": 4},
        "sample": {"burn_rounds": 1},
        "limits": {"sweeps": 60},
    }
    run = maxwell.sample(model, local=True, progress=told, **settings)
    (line,) = [line for line in told.lines if "+inf" in line]
    assert "proposals of level 'global' (sites x; terms pole, x): a mistake of the model" in line
    assert "+inf at" in run.summary()["infinite"]
    assert float(np.max(run.data["posterior"]["x"].values)) <= 1.5
    assert np.isfinite(run.data["sample_stats"]["lp"].values).all()
