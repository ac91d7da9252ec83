"""What flattens the curve of the bond model, and its table."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import xarray

from tests.support.models.bond_equations import OTHER, TRUE
from workflows.models.bond import simulate
from workflows.models.bond import table as report
from workflows.models.bond.dynamics import Theta
from workflows.models.bond.explanations import EXPLANATIONS, NONE, explained, shares, slope, without
from workflows.models.bond.published import MATURITIES, TRUTH, WIDTHS


def draws_of(theta: Theta, number: int = 3) -> Theta:
    return Theta(*(np.broadcast_to(part, (number, *np.shape(part))).astype(float) for part in theta))


def test_the_slope_against_integrals_along_the_expected_paths() -> None:
    theta, rate, wealth = OTHER._replace(omega=np.array(0.04)), 0.07, 1.7
    load = theta.gamma * np.sum(theta.sigma * WIDTHS) / 35

    def expected(k: int) -> float:
        def return_at(s: float) -> float:
            short = theta.rbar + (rate - theta.rbar) * np.exp(-theta.kappa * s)
            return float(short + load * theta.sigma[k] / (wealth + theta.omega * s))

        return scipy.integrate.quad(return_at, 0.0, MATURITIES[k])[0] / MATURITIES[k]

    assert slope(draws_of(theta), rate, wealth)[0] == pytest.approx(expected(8) - expected(0), rel=1e-8)


def test_shares_sum_to_the_slope_and_absent_explanations_have_none() -> None:
    rng = np.random.default_rng(10)
    spread = [np.exp(0.5 * rng.standard_normal((50, *np.shape(part)))) for part in TRUE]
    theta = Theta(*(part * by for part, by in zip(draws_of(TRUE, 50), spread, strict=True)))
    found = explained(theta, 0.05, 2.0)
    total = sum(found.parts.values())
    np.testing.assert_allclose(total, found.slope - found.neutral, atol=1e-14)
    assert sum(found.support.values()) == pytest.approx(1.0)
    for name in EXPLANATIONS:
        alone = without(theta, frozenset(EXPLANATIONS) - {name})
        parts = shares(alone, 0.05, 2.0)
        for other, part in parts.items():
            expected = slope(alone, 0.05, 2.0) - found.neutral if other == name else 0.0
            np.testing.assert_allclose(part, expected, atol=1e-15)


FLAT = {
    "kappa and rbar": {"kappa": 0.5, "rbar": -0.05},
    "low sigma": {"sigma": 0.3 * TRUTH["sigma"]},
    "omega": {"omega": 0.5},
    "gamma": {"gamma": 0.2},
}


@pytest.mark.parametrize("name", FLAT)
def test_what_flattens_a_curve_is_found(name: str) -> None:
    changed = TRUE._replace(**{field: np.asarray(value) for field, value in FLAT[name].items()})
    found = explained(draws_of(changed), 0.03, 1.0)
    assert found.support[name] == 1.0
    assert np.all(found.slope < 0.75 * found.neutral)


def test_the_published_curve_is_flattened_by_growing_wealth_alone() -> None:
    """At W = 1 the slope with none is (sigma^30y - sigma^3m) sum X sigma Delta; omega divides by log(2.5) / 1.5."""
    found = explained(draws_of(TRUE), 0.03, 1.0)
    load = np.sum(TRUTH["sigma"] * WIDTHS) / 35
    assert found.neutral == pytest.approx((TRUTH["sigma"][-1] - TRUTH["sigma"][0]) * load, rel=1e-12)
    long, short = TRUTH["sigma"][-1] * np.log(2.5) / 1.5, TRUTH["sigma"][0] * np.log(1.0125) / 0.0125
    np.testing.assert_allclose(found.slope, (long - short) * load, rtol=1e-12)
    assert found.support["omega"] == 1.0
    still = explained(draws_of(TRUE._replace(omega=np.zeros(()))), 0.03, 1.0)
    assert still.support[NONE] == 1.0


def test_draws_whose_wealth_runs_out_are_left_out() -> None:
    theta = draws_of(TRUE)._replace(omega=np.array([0.05, -0.04, 0.0]))
    found = explained(theta, 0.03, 1.0)
    assert (found.slope.size, found.left_out) == (2, 1)
    for wealth in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="wealth is"):
            explained(theta, 0.03, wealth)
    with pytest.raises(ValueError, match="stay above 0 for 30 years"):
        explained(theta._replace(omega=np.full(3, -1.0)), 0.03, 1.0)


@pytest.mark.parametrize("known", [True, False])
def test_the_report_of_a_run(known: bool) -> None:
    series = simulate.simulate(104)
    rng = np.random.default_rng(11)
    posterior = {
        name: (
            ("chain", "draw", "maturity")[: value.ndim + 2],
            value * np.exp(0.1 * rng.standard_normal((4, 25, *value.shape))),
        )
        for name, value in TRUTH.items()
    }
    rate = series.rate[4::4] + (0.0 if known else 0.001)
    observed = {"short_rate": ("interval", rate), "wealth": ("interval", series.wealth[4::4])}
    data = {
        "posterior": xarray.Dataset(posterior),
        "observed_data": xarray.Dataset(observed, coords={"interval": np.arange(4, 105, 4)}),
    }
    written = report.lines(SimpleNamespace(data=data))
    assert written[0] == "Bonds, the short rate and wealth (100 draws)"
    row = next(line for line in written if line.startswith("  sigma 30y"))
    assert row.endswith("0.214" if known else "-")
    assert sum(line.startswith(tuple(f"  {name} " for name in EXPLANATIONS)) for line in written) >= 4
    assert f"wealth {series.wealth[-1]:.2f}" in "\n".join(written)
    assert written[-1].startswith("  What flattens it most is ")


def test_the_report_without_a_curve() -> None:
    written = list(report.explanations(draws_of(TRUE), 0.03, -0.5))
    assert written == [
        "Why is the curve flat? There is no curve: wealth is -0.5, and must be and stay above 0 for 30 years."
    ]
