"""Posteriors of PyMC and Bambi models against pm.sample: the models of docs/pymc_and_bambi.md."""

import arviz as az
import numpy as np
import pytest

pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")

from workflows.sampling.session import sample
from workflows.studies.pymc_agreement import MODELS, WHOLE, theirs

Z = 6.0
"""Standard errors between two means: with ESS of thousands and 10 means, a false alarm in some 1e-8."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_means_and_spreads_are_those_of_pm_sample(name: str) -> None:
    if name == "slopes":
        pytest.importorskip("bambi", reason="Bambi is an optional extra: pip install 'maxwell[bambi]'")
    make, variables = MODELS[name]
    model = make()
    run = sample(model, settings=WHOLE, goals={"ess": 2000}, seed=1, progress=False, local=True)
    ours, pymcs = (az.summary(data, var_names=list(variables), round_to="none") for data in (run.data, theirs(model)))
    z = (ours["mean"] - pymcs.loc[ours.index, "mean"]) / np.hypot(ours["mcse_mean"], pymcs.loc[ours.index, "mcse_mean"])
    assert np.abs(z).max() < Z
    spread = (ours["sd"] - pymcs.loc[ours.index, "sd"]) / np.hypot(ours["mcse_sd"], pymcs.loc[ours.index, "mcse_sd"])
    assert np.abs(spread).max() < Z
