"""What is recorded may have other names than the sites that are sampled."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import maxwell
from kernels.types import Data, Position, Terms


def log_terms(position: Position, data: Data) -> Terms:
    return {"x": -0.5 * position["x"] ** 2}


@pytest.mark.parametrize(
    ("kept", "in_warmup"), [({"scale": jnp.exp}, []), ({"scale": jnp.exp, "x": lambda x: x}, ["x"])]
)
def test_a_shared_site_may_be_recorded_under_another_name(kept: dict[str, Any], in_warmup: list[str]) -> None:
    model = maxwell.function_model(
        log_terms,
        {"x": ()},
        constrain=lambda position, data: {name: of(position["x"]) for name, of in kept.items()},
        name="renamed",
    )
    # A run with few chains that is soon over: only names are looked at.
    small = {"replicas": 4, "superchains": 2}
    run = maxwell.sample(model, local=True, progress=False, ensemble=small, limits={"sweeps": 200}, seed=1)
    data = run.data
    assert set(data["posterior"].data_vars) == set(kept)
    assert np.all(data["posterior"]["scale"] > 0)
    groups = run.reader().groups()
    assert list(groups["warmup_posterior"].data_vars if "warmup_posterior" in groups else []) == in_warmup
