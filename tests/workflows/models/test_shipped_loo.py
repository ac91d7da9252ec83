"""Leave-one-out cross-validation through ArviZ on a small run of every shipped model that has observations."""

from pathlib import Path
from typing import Any

import arviz
import numpy as np
import pytest

from maxwell import run

pytestmark = pytest.mark.slow

MODELS: dict[str, dict[str, Any]] = {
    "airway": {"name": "airway", "genes": 60},
    "cells": {"name": "airway", "genes": 40, "cells": True},
    "census": {"name": "census", "areas": 30},
    "alcohol": {"name": "alcohol", "people": 200},
    "rri": {"name": "rri", "observations": 200},
    "varying": {"name": "rri", "observations": 200, "noise": "varying"},
    "subjects": {"name": "rri", "subjects": 3, "observations": 100},
}
INTEGRATED = {"alcohol": "person"}
"""Models with a latent for every observation, and its level."""
SETTINGS: dict[str, Any] = {
    "ensemble": {"replicas": 32, "superchains": 8, "workers": 1},
    "scout": {"kernel": "none"},
    "goals": {"ess": 100, "draws": 20},
    "limits": {"sweeps": 4000},
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto:UserWarning")
def test_loo_of_every_observation(name: str, tmp_path: Path) -> None:
    """Finite and worse than the fit by what p_loo says; where latents are integrated out, every k is below .7."""
    finished = run({**SETTINGS, "model": MODELS[name]}, out=tmp_path / "store.zarr", local=True)
    data = finished.export(draws=None, predictive=False)
    found = arviz.loo(data, pointwise=True)
    likelihood = data["log_likelihood"]["y"]
    assert found.n_data_points == data["observed_data"]["y"].size
    assert np.isfinite(found.loo_i).all()
    assert found.p_loo > 0
    assert likelihood.attrs.get("integrated") == INTEGRATED.get(name)
    if name in INTEGRATED:
        assert float(found.pareto_k.max()) < 0.7
