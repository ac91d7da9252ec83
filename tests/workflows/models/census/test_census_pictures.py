"""Pictures and the table of census: what they show is what the draws say, on draws made up for them."""

from typing import Any

import numpy as np
import pytest
import xarray

from tests.support import svg
from tests.support.picture_facts import check_pictures, dataset, facts, noisy, quantiles
from workflows.models.census import pictures as census
from workflows.results.report.drawing import INK, RED, style
from workflows.results.report.pictures import intervals
from workflows.results.tables import own

STATES = ("North Dakota", "Utah", "District of Columbia")
AREAS = ("Utah 1", "Utah 2", "North Dakota 7", "District of Columbia 3")
INTERCEPTS = np.array([6.6, 6.4, 7.0])
"""Of the states; chains and draws lie about them."""


def census_facts() -> Any:
    """Four areas of 1, 3, 2 and 4 workers in three states."""
    mean = {"intercept": 6.5, "education": 0.2, "experience": 0.1, "experience2": -0.05}
    values = {f"mu_{name}": ((), noisy(x, 0.02, k)) for k, (name, x) in enumerate(mean.items())}
    of_state = {"intercept": INTERCEPTS, "education": np.array([0.1, 0.3, 0.2])}
    of_state |= {name: np.full(3, mean[name]) for name in ("experience", "experience2")}
    values |= {f"state_{name}": (("state",), noisy(x, 0.02, 10 + k)) for k, (name, x) in enumerate(of_state.items())}
    areas = np.array([[6.0, 0.1, 0, 0], [7.0, 0.4, 0, 0], [6.5, 0.3, 0, 0], [6.8, 0.2, 0, 0]])
    coefficients = noisy(areas, 0.02, 20)
    # Wider where there is but one worker.
    coefficients[:, :, 0] = noisy(areas[0], 0.2, 21)
    values["coefficients"] = (("area", "coefficient"), coefficients)
    posterior = dataset(values, state=np.array(STATES), area=np.array(AREAS))
    workers = np.repeat(np.arange(4), [1, 3, 2, 4])
    constant = xarray.Dataset(
        {
            "area_of_worker": ("worker", workers),
            "education": ("worker", np.full(10, 12.0)),
            "experience": ("worker", np.linspace(4.0, 44.0, 10)),
            "state_of_area": ("area", [1, 1, 0, 2]),
        }
    )
    return facts("census", posterior, xarray.Dataset({"y": ("worker", np.full(10, 6.5))}), constant)


def test_states_stand_in_order_with_their_quantiles() -> None:
    found = census_facts()
    picture, *_ = census.pictures(found)
    posterior = found.data["posterior"]
    shown = [word for word in svg.words(picture) if word in STATES]
    thin, thick = (svg.lines(picture, INK, width) for width in (0.7, 2.2))
    medians = svg.markers(picture, fill="#ffffff", stroke=INK)
    for panel, (order, draws) in enumerate(
        [
            ([1, 0, 2], posterior["state_intercept"].values),
            # Per cent of a year: the coefficient is of two.
            ([0, 2, 1], 100 * (np.exp(posterior["state_education"].values / 2) - 1)),
        ]
    ):
        here = slice(3 * panel, 3 * panel + 3)
        assert shown[here] == [STATES[state] for state in order]
        scale = svg.scale(quantiles(draws, 0.025, 0.975).T[order], np.array(thin[here])[:, :, 0])
        np.testing.assert_allclose(
            np.array(thick[here])[:, :, 0], scale.places(quantiles(draws, 0.25, 0.75).T[order]), atol=0.01
        )
        np.testing.assert_allclose(medians[here, 0], scale.places(quantiles(draws, 0.5)[0, order]), atol=0.01)
        # The lowest at the bottom.
        assert np.all(np.diff([line[0, 1] for line in thin[here]]) < 0)


def test_dollars_are_round_and_within_the_axis() -> None:
    """From 6.3 to 7.1 on the axis below are 545 to 1,212 dollars."""
    assert census.dollar_ticks(6.3, 7.1) == [600.0, 750.0, 900.0, 1050.0, 1200.0]
    picture, *_ = census.pictures(census_facts())
    labels = [word for word in svg.words(picture) if word.replace(",", "").isdigit() and len(word) > 2]
    assert len(labels) >= 3
    assert all(500 < float(label.replace(",", "")) < 1400 for label in labels)


def test_areas_stand_in_order_and_single_workers_are_told() -> None:
    found = census_facts()
    areas = census.areas_of(found.data["posterior"], found.data["constant_data"])
    draws, order = found.data["posterior"]["coefficients"].values[..., 0], [0, 2, 3, 1]
    np.testing.assert_allclose(areas.ordered.intercepts, quantiles(draws, *intervals.LEVELS)[:, order])
    np.testing.assert_array_equal(areas.workers, [1, 3, 2, 4])
    np.testing.assert_array_equal(areas.ordered.workers, [1, 2, 4, 3])
    np.testing.assert_array_equal(areas.ordered.single, [True, False, False, False])
    assert areas.country == pytest.approx(np.median(found.data["posterior"]["mu_intercept"].values))
    low, high = quantiles(draws, 0.025, 0.975)
    np.testing.assert_allclose(areas.widths, high - low)
    said = f"1 of them (triangles) have a single worker: their 95% intervals are {(high - low)[0]:.2f} wide"
    caption = census.areas(areas).caption
    assert said in caption
    assert f"the others' {np.median((high - low)[1:]):.2f}" in caption


def test_the_ribbon_of_areas_is_drawn_as_they_are() -> None:
    found = census_facts()
    areas = census.areas_of(found.data["posterior"], found.data["constant_data"])
    with style():
        picture, ordered = census.areas(areas), areas.ordered.intercepts
    light, dark = (svg.ends_of(svg.bands(picture, opacity)[0]) for opacity in (0.35, 0.7))
    scale = svg.scale([ordered.low, ordered.high], light[:, 1:].T)
    np.testing.assert_allclose(dark[:, 1:].T, scale.places([ordered.lower, ordered.upper]), atol=0.01)
    across = svg.scale(1 + np.arange(4), light[:, 0])
    (median,) = svg.lines(picture, INK, 0.9)
    expected = np.transpose([across.places(1 + np.arange(4)), scale.places(ordered.median)])
    np.testing.assert_allclose(median, expected, atol=0.01)
    (country,) = svg.lines(picture, RED, 0.9, dashed=True)
    np.testing.assert_allclose(country[:, 1], scale.places(areas.country), atol=0.01)
    # The only area of a single worker is the lowest.
    (single,) = svg.markers(picture, fill="#ffffff", stroke=INK)
    np.testing.assert_allclose(single, median[0], atol=0.01)


@pytest.mark.parametrize(("workers", "said"), [([2, 3], "No area has"), ([1, 1], "Every area has")])
def test_areas_are_also_drawn_where_no_worker_or_every_one_is_single(workers: list[int], said: str) -> None:
    found = census.Areas(intervals.intervals(noisy([6.0, 7.0], 0.1, 0)[0]), np.array(workers), 6.5)
    assert f"{said} a single worker" in census.areas(found).caption


def test_profiles_are_the_models_curve() -> None:
    """With draws that are all alike, and at the middle of a worker's life."""
    found = census_facts()
    for name, variable in found.data["posterior"].data_vars.items():
        if name.startswith(("mu_", "state_")):
            found.data["posterior"][name] = xarray.full_like(variable, 0.0) + variable.isel(chain=0, draw=0)
    profiles = census.profiles_of(found)
    assert profiles.years[[0, -1]].tolist() == [4.0, 44.0]
    x = (profiles.years - 24) / 10
    mu = [float(found.data["posterior"][f"mu_{name}"][0, 0]) for name in census.COEFFICIENTS]
    expected = mu[0] + mu[2] * x + mu[3] * (x**2 - 1)
    for end in profiles.country:
        np.testing.assert_allclose(end, expected, rtol=1e-12)
    assert list(profiles.states) == ["District of Columbia", "North Dakota", "Utah"]
    utah = [float(found.data["posterior"][f"state_{name}"][0, 0, 1]) for name in census.COEFFICIENTS]
    np.testing.assert_allclose(profiles.states["Utah"], utah[0] + utah[2] * x + utah[3] * (x**2 - 1), rtol=1e-12)


def test_the_table_of_census_gives_percent_a_year() -> None:
    found = census_facts()
    title, head, country, *areas = own.lines(found.run)
    assert "200 draws, 4 areas" in title
    assert head.split() == ["workers", "median", "95%", "interval"]
    mu = found.data["posterior"]["mu_education"].values
    low, middle, high = 100 * (np.exp(quantiles(mu, 0.025, 0.5, 0.975) / 2) - 1)
    assert country.split() == ["country", "10", f"{middle:.2f}", f"[{low:.2f},", f"{high:.2f}]"]
    # exp(.4 / 2) - 1 = 22%, within 0.01 of a coefficient: its sd over the root of 200 draws is 0.0014.
    assert [row.split("  ")[1] for row in areas] == [AREAS[area] for area in (1, 2, 3, 0)]
    assert float(areas[0].split()[3]) == pytest.approx(100 * (np.exp(0.2) - 1), abs=0.7)


def test_pictures_have_words_and_are_well_formed() -> None:
    check_pictures(census_facts())


def test_pictures_of_all_states_and_areas_are_small() -> None:
    """Far below the 5 MB of a page."""
    rng = np.random.default_rng(0)
    state, area = (intervals.intervals(rng.normal(6.5, 0.2, (100, n))) for n in (51, 2024))
    made = [
        census.states(np.array([f"State {k}" for k in range(51)]), state, state),
        census.areas(census.Areas(area, rng.integers(1, 54, 2024), 6.5)),
    ]
    assert sum(len(picture.source) for picture in made) < 7.5e5
