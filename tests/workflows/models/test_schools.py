"""The eight schools: the posterior against quadrature, and the table."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from maxwell import run
from workflows.models.schools.model import EFFECTS, ERRORS

SETTINGS = {
    "model": {"name": "schools"},
    "goals": {"ess": 4000, "shared_ess": 4000, "draws": 100},
    "ensemble": {"replicas": 64},
}


def exact() -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of (mu, theta_1..8) by quadrature over tau: given tau all is normal."""
    y, s2 = np.array(EFFECTS), np.array(ERRORS) ** 2
    tau = np.linspace(1e-4, 400, 400_001)[:, None]
    precision = 1 / (s2 + tau**2)
    variance = 1 / (precision.sum(axis=1) + 1 / 20**2)
    mean = variance * (precision * y).sum(axis=1)
    log_weight = stats.halfcauchy.logpdf(tau[:, 0], scale=10) + 0.5 * np.log(variance) + mean**2 / (2 * variance)
    log_weight += (0.5 * np.log(precision) - 0.5 * precision * y**2).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    shrunk = tau**2 / (s2 + tau**2)
    given = np.column_stack([mean, shrunk * y + (1 - shrunk) * mean[:, None]])
    spread = np.column_stack([variance, shrunk * s2 + (1 - shrunk) ** 2 * variance[:, None]])
    means = weight @ given
    return means, np.sqrt(weight @ (spread + given**2) - means**2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> object:
    return run(SETTINGS, out=tmp_path_factory.mktemp("schools") / "run.zarr", local=True)


def test_the_posterior_is_that_of_quadrature(finished) -> None:
    """Means within 5.5 standard errors at the ESS that the run claims: a false alarm below 1e-6 over nine values."""
    means, sds = exact()
    posterior = finished.data["posterior"]
    draws = np.column_stack([posterior["mu"].values.ravel(), posterior["theta"].values.reshape(-1, 8)])
    ess = min(finished.summary()["ess_online_min"], len(draws) / 4)
    assert np.all(np.abs(draws.mean(axis=0) - means) < 5.5 * sds / np.sqrt(ess))
    assert np.all(np.abs(draws.std(axis=0) / sds - 1) < 0.15)


def test_the_table_has_a_line_for_every_school(finished, tmp_path: Path) -> None:
    table = finished.report_lines()
    assert len(table) == 2 + 8
    assert table[2].split()[0] == "A"
    assert table[2].endswith("28 +- 15")
