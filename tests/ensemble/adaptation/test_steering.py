"""Step sizes of trajectories by the energy error: its law on a Gaussian, and how soon the wanted acceptance is met."""

import numpy as np
import pytest
from scipy.special import ndtri

from ensemble.adaptation.steering import MOST, steered_step

WANTED = 0.8


def acceptance(step: float, d: int, rng: np.random.Generator, replicas: int) -> float:
    """Mean acceptance of leapfrog trajectories of about a quarter of a period on a standard normal density."""
    x, v = rng.normal(size=(2, replicas, d))
    before = 0.5 * np.sum(x**2 + v**2, axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(min(64, max(1, round(1.5 / step)))):
            v = v - 0.5 * step * x
            x = x + step * v
            v = v - 0.5 * step * x
        error = 0.5 * np.sum(x**2 + v**2, axis=1) - before
        found = np.exp(np.minimum(0.0, -np.where(np.isnan(error), np.inf, error)))
    return float(found.mean())


@pytest.mark.parametrize("d", [10, 100, 1000])
@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_step_a_hundred_times_off_is_right_within_a_few_rounds(d: int, factor: float) -> None:
    """The right one is about 1.2 d^(-1/4). A round changes it by e^1.5 at most."""
    rng = np.random.default_rng(d)
    log_step = np.log(factor * 1.2 * d**-0.25)
    seen = []
    for round_ in range(20):
        seen.append(acceptance(float(np.exp(log_step)), d, rng, 400 if d == 1000 else 4000))
        log_step = float(steered_step(np.asarray(log_step), np.asarray(seen[-1]), WANTED, round_))
    assert all(abs(value - WANTED) < 0.08 for value in seen[-4:]), seen


def test_the_acceptance_wanted_is_where_it_stays() -> None:
    for round_ in (0, 3, 100):
        assert steered_step(np.asarray(-1.0), np.asarray(WANTED), WANTED, round_) == pytest.approx(-1.0, abs=1e-12)


def test_the_first_step_goes_all_the_way_by_the_law_of_the_energy_error() -> None:
    """a = 2 Phi(-s / 2), s as h^2: from an error of s = 2 to that of .8, s = .5067, h halves (by 1.987)."""
    seen = 2.0 * 0.15865525393145707
    wanted_error = -2.0 * ndtri(0.4)
    found = steered_step(np.asarray(0.0), np.asarray(seen), WANTED, 0)
    assert np.exp(found) == pytest.approx(np.sqrt(wanted_error / 2.0), rel=1e-6)


@pytest.mark.parametrize(("seen", "change"), [(0.0, -MOST), (1e-9, -0.5 * np.log(9.784 / 0.5067)), (1.0, MOST)])
def test_extremes_change_it_by_a_bounded_factor(seen: float, change: float) -> None:
    found = float(steered_step(np.asarray(0.0), np.asarray(seen), WANTED, 0))
    assert abs(found) <= MOST + 1e-12
    assert np.sign(found) == np.sign(change)


def test_later_rounds_go_a_smaller_share() -> None:
    far = [abs(float(steered_step(np.asarray(0.0), np.asarray(0.5), WANTED, round_))) for round_ in range(10)]
    assert far == sorted(far, reverse=True)
    assert far[9] == pytest.approx(far[0] * 10**-0.6)


def test_where_nothing_was_seen_nothing_changes() -> None:
    found = steered_step(np.array([0.3, 0.3, 0.3]), np.array([np.nan, 0.2, 0.99]), WANTED, 1)
    assert found[0] == 0.3
    assert found[1] < 0.3 < found[2]
