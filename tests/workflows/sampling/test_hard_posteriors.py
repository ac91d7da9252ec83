"""Posteriors of other people's kinds under the default settings: goals that are met are met with the right answer.

Truth: formulas, conjugacy, or the references of tests/references/posteriors (workflows.studies.posteriors.reference).
Seeds are fixed. A verdict allows a tenth of a standard deviation beside noise that is exceeded once in 10,000 times.
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from maxwell import function_model, sample
from workflows.studies.posteriors.judging import judge, read
from workflows.studies.posteriors.suite import posterior

REFERENCES = Path(__file__).resolve().parents[2] / "references" / "posteriors"
LIMIT = 40_000
"""Sweeps after which a run is called hopeless."""


class Found:
    """A finished run: draws by variable, [chains, draws, ...], and its summary."""

    def __init__(self, name: str, start: str, folder: Path, **settings: Any) -> None:
        self.entry = posterior(name)
        run = sample(
            *self.entry.build(),
            out=folder / f"{name}.zarr",
            local=True,
            progress=False,
            seed=0,
            start={"kind": start},
            limits={"sweeps": LIMIT},
            **settings,
        )
        self.summary = run.summary()
        self.draws = {str(name): values.to_numpy() for name, values in run.data["posterior"].data_vars.items()}

    def arrived(self) -> bool:
        """Whether all goals are met."""
        goals = self.summary["goals_met"]
        return bool(goals) and all(goals.values())

    def verdict(self) -> dict[str, Any]:
        """Against the reference."""
        return judge(self.entry, self.draws, read(REFERENCES / f"{self.entry.name}.npz"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("start", ["prior", "uniform"])
@pytest.mark.parametrize(
    "name", ["avoidance", "earnings", "hmm_gaussian", "hmm_drives", "mixture", "poisson_vague", "radon_centred"]
)
def test_goals_are_met_with_the_right_answer(name: str, start: str, tmp_path: Path) -> None:
    found = Found(name, start, tmp_path)
    assert found.arrived(), found.summary["goals_met"]
    verdict = found.verdict()
    assert verdict["right"], verdict


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("start", ["prior", "uniform"])
def test_neals_funnel_has_its_standard_deviation_and_its_tails(start: str, tmp_path: Path) -> None:
    """y ~ N(0, 3): with an effective size of 400 the error of log sd is some 1 / sqrt(2 n) = .035, of a share of .05
    some .011; allowed are five times as much."""
    found = Found("funnel", start, tmp_path)
    assert found.arrived(), found.summary["goals_met"]
    y = found.draws["y"].ravel()
    assert abs(y.mean()) < 5 * 3.0 / np.sqrt(400)
    assert abs(np.log(y.std() / 3.0)) < 5 * 0.035
    for share in ((y < -1.645 * 3.0).mean(), (y > 1.645 * 3.0).mean()):
        assert abs(share - 0.05) < 5 * 0.011


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_draw_of_a_mixture_is_beyond_what_is_possible(seed: int, tmp_path: Path) -> None:
    """1,000 values at -2.75 and 2.75 with 620 and 380 of them: each mean is known to some .05, so that at .5 off it is
    ten standard deviations out; with all values in one part, as from a far start, there is a mean of -.66, sd 2.8."""
    entry = posterior("mixture")
    run = sample(
        *entry.build(),
        out=tmp_path / "run.zarr",
        local=True,
        progress=False,
        seed=seed,
        start={"kind": "uniform", "radius": 10.0},
        limits={"sweeps": LIMIT},
    )
    assert all(run.summary()["goals_met"].values()), run.summary()["goals_met"]
    draws = run.data["posterior"]
    assert np.abs(draws["mu"].to_numpy() - [-2.75, 2.75]).max() < 0.5
    assert np.abs(draws["theta"].to_numpy() - 0.62).max() < 0.15
    assert np.abs(np.log(draws["sigma"].to_numpy())).max() < 0.3


def test_a_regression_far_from_its_box_of_starts_has_its_closed_form(tmp_path: Path) -> None:
    """y = -61,000 + 1,260 x with noise of 19,000 and flat priors of a, b and log s,: t with n - 2
    degrees of freedom about the least-squares line."""
    rng = np.random.default_rng(101)
    x = rng.normal(66.6, 3.8, 200).round(1)
    y = -61_000 + 1_260 * x + rng.normal(0, 19_000, 200)

    def log_terms(position: Any, data: Any) -> Any:
        residual = data["y"] - position["a"] - position["b"] * data["x"]
        return {"y": -0.5 * (residual * jnp.exp(-position["log_s"])) ** 2 - position["log_s"]}

    model = function_model(log_terms, {"a": (), "b": (), "log_s": ()}, {"x": x, "y": y}, likelihood=("y",))
    run = sample(
        model,
        out=tmp_path / "run.zarr",
        local=True,
        progress=False,
        seed=0,
        start={"kind": "uniform"},
        limits={"sweeps": LIMIT},
    )
    assert all(run.summary()["goals_met"].values()), run.summary()["goals_met"]
    design = np.stack([np.ones(200), x], axis=1)
    fit, squares, *_ = np.linalg.lstsq(design, y)
    # Flat in log s: s^2 is inverse chi-square with n - 2 degrees of freedom, b has n - 2 degrees, variance 198 / 196.
    covariance = squares[0] / 198 * np.linalg.inv(design.T @ design) * 198 / 196
    log_s = np.random.default_rng(0).chisquare(198, 1_000_000)
    log_s = 0.5 * np.log(squares[0] / log_s)
    for name, mean, sd in (
        ("a", fit[0], np.sqrt(covariance[0, 0])),
        ("b", fit[1], np.sqrt(covariance[1, 1])),
        ("log_s", log_s.mean(), log_s.std()),
    ):
        draws = run.data["posterior"][name].to_numpy().astype(float).ravel()
        assert abs(draws.mean() - mean) < 5.5 * sd / np.sqrt(400)
        assert abs(np.log(draws.std() / sd)) < 5.5 / np.sqrt(800)
