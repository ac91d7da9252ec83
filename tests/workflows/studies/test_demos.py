"""The demonstrations: the numbers behind the pictures, and that the pictures are written, the same bytes every time."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from workflows.models.rri.curve import NAMES, Curve, log_likelihood_partials
from workflows.models.scorpio.model import WEIGHTS
from workflows.studies.demos import leapfrog, phase_space, rri_curve, rri_views, scorpio, scorpio_runs
from workflows.studies.demos.conditioning import conditioning, factor, information, most_likely
from workflows.studies.demos.leapfrog import Trajectory

PNG = b"\x89PNG\r\n\x1a\n"


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(PNG)


@pytest.fixture(scope="module")
def trajectories() -> tuple[Trajectory, Trajectory]:
    return leapfrog.original(), leapfrog.repaired()


def test_the_likelihood_is_as_badly_scaled_as_published() -> None:
    found = conditioning(information())
    assert found.condition == pytest.approx(2.6e7, rel=0.02)
    assert round(found.scaled) == 973
    assert round(found.stable_step, 4) == 0.0036
    assert round(found.slowest_period, 1) == 57.9
    assert round(found.beta_delta, 2) == 0.98


def test_a_metric_of_the_information_leaves_nothing_to_scale() -> None:
    scale = np.asarray(factor(information()))
    np.testing.assert_allclose(scale.T @ information() @ scale, np.eye(8), atol=1e-6)


def test_the_center_is_where_the_gradient_vanishes() -> None:
    """In units of each parameter's standard deviation."""
    found, recording = most_likely(), rri_views.example(1000, varying=False)
    slope = log_likelihood_partials(Curve(*found[:7]), found[7], jnp.asarray(recording.t), jnp.asarray(recording.y))
    gradient = np.array([*slope.curve, slope.sigma]) @ np.asarray(factor(information()))
    assert np.abs(gradient).max() < 1e-4


def test_leapfrog_is_stable_just_below_its_limit_and_not_above() -> None:
    limit = conditioning(information()).stable_step
    assert np.abs(leapfrog.original(step=0.95 * limit, time=0.5).energy).max() < 20.0
    assert not np.abs(leapfrog.original(step=1.1 * limit, time=0.5).energy).max() < 1e6


def test_the_first_trajectory_is_a_short_arc_and_the_repaired_one_goes_round(
    trajectories: tuple[Trajectory, Trajectory],
) -> None:
    """2.5 time units of a period of 57.9: beta stays where it was. In the metric every parameter turns round several
    times and covers a good part of its range, at a lower cost and a smaller error."""
    first, repaired = trajectories
    slow = leapfrog.share_explored(first)[NAMES.index("beta")]
    assert slow < 0.05
    assert leapfrog.share_explored(repaired).min() > 0.5
    assert len(repaired.time) < len(first.time) / 2
    assert np.abs(repaired.energy).max() < np.abs(first.energy).max() < 1.0
    turns = np.abs(np.diff(np.sign(repaired.velocity), axis=0) / 2).sum(axis=0)
    assert turns.min() >= 4
    assert first.time[-1] == pytest.approx(2.5)


def test_views_of_the_curve() -> None:
    surface = rri_views.surface()
    assert surface.log_likelihood.max() == 0.0
    at = np.unravel_index(surface.log_likelihood.argmax(), surface.log_likelihood.shape)
    assert all(0 < index < rri_views.SURFACE - 1 for index in at)
    t, found = rri_views.derivatives()
    assert tuple(found) == NAMES
    np.testing.assert_allclose(found["alpha"], found["alpha"][0])
    assert t[np.abs(found["delta"]).argmax()] == pytest.approx(9.0, abs=0.1)
    varying = rri_views.band(varying=True)
    assert varying.sd.min() < 12.0 < varying.sd.max()


def test_pictures_of_the_curve_are_written_and_repeat(tmp_path: Path) -> None:
    first, second = rri_curve.draw(tmp_path / "one"), rri_curve.draw(tmp_path / "two")
    assert {path.name for path in first} == {"curve.png", "likelihood.png", "derivatives.png"}
    for one, two in zip(first, second, strict=True):
        assert is_png(one)
        assert one.read_bytes() == two.read_bytes()


def test_the_phase_space_is_drawn_and_described(tmp_path: Path) -> None:
    lines = phase_space.draw(tmp_path / "phase_space.png")
    assert is_png(tmp_path / "phase_space.png")
    assert "condition number 2.6e+07, 973 after diagonal scaling; corr(beta, delta) 0.98" in lines[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The demonstration of scorpio, shortened, and its folder."""
    folder = tmp_path_factory.mktemp("scorpio")
    return scorpio.draw(folder, sweeps=240), folder


def test_scorpio_is_drawn_and_its_masses_told(runs: tuple[list[str], Path]) -> None:
    """The tempered masses of 6,400 scorpios in equilibrium, pooled over three rounds: within .03, five standard errors
    of the body's mass among as many independent draws. Without temperatures the stinger is far from filled."""
    lines, folder = runs
    assert {path.name for path in folder.iterdir()} == {"scatter.png", "quantiles.png", "masses.png", "flow.png"}
    assert all(is_png(path) for path in folder.iterdir())
    rows = {line[:12].strip(): [float(value) for value in line[12:].split()] for line in lines[1:]}
    assert list(rows) == ["weights", "exact draws", *scorpio_runs.RUNS]
    np.testing.assert_allclose(rows["exact draws"], WEIGHTS, atol=0.006)
    np.testing.assert_allclose(rows["tempering"], WEIGHTS, atol=0.03)
    assert rows["metropolis"][3] < 0.2
    assert rows["scout"][0] > 0.6


def test_quantiles_of_the_same_draws_are_equal() -> None:
    draws = scorpio_runs.exact(1000)
    found, wanted = scorpio_runs.quantiles(draws, draws[::-1])
    np.testing.assert_array_equal(found, wanted)
    assert found.shape == (200, 2)
    assert np.all(np.diff(found, axis=0) >= 0)
