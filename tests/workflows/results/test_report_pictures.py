"""Pictures and tables of census, alcohol and rri: what they show is what the draws say, on draws made up for them."""

import re
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import poisson

from tests.support.html_checker import Page
from workflows.models.alcohol import pictures as alcohol
from workflows.models.alcohol.heaping import HALF_DOZENS
from workflows.models.alcohol.model import GROUPS
from workflows.models.census import pictures as census
from workflows.models.rri import pictures as rri
from workflows.models.rri import simulate
from workflows.models.rri import table as rri_table
from workflows.models.rri.curve import NAMES, Curve
from workflows.models.rri.published import EXAMPLE, EXAMPLE_NOISE, EXAMPLE_SIGMA, MEANS, PARAMETERS, SDS
from workflows.results import tables as reports
from workflows.results.report.drawing import Picture, panels
from workflows.results.report.markup import figure, joined
from workflows.results.report.pictures import intervals, own_pictures
from workflows.results.tables.draws import ends, pooled

CHAINS, DRAWS = 4, 50
STATES = ("North Dakota", "Utah", "District of Columbia")
AREAS = ("Utah 1", "Utah 2", "North Dakota 7", "District of Columbia 3")
INTERCEPTS = np.array([6.6, 6.4, 7.0])
"""Of the states; chains and draws lie about them."""


def noisy(center: Any, scale: float, seed: int) -> np.ndarray:
    """Draws [chain, draw, ...] about values."""
    center = np.asarray(center, float)
    return center + scale * np.random.default_rng(seed).normal(size=(CHAINS, DRAWS, *center.shape))


def dataset(values: dict[str, tuple[tuple[str, ...], np.ndarray]], **coords: Any) -> xarray.Dataset:
    """Posterior draws with their dims after chain and draw."""
    return xarray.Dataset({name: (("chain", "draw", *dims), x) for name, (dims, x) in values.items()}, coords=coords)


def facts(model: str, posterior: xarray.Dataset, observed: xarray.Dataset, constant: xarray.Dataset) -> Any:
    """What the pictures know of a run, and, as its run, what the tables know."""
    groups = {"posterior": posterior, "observed_data": observed, "constant_data": constant}
    data = xarray.DataTree.from_dict(groups)
    attributes = {"model": model, "summary": {"draws": DRAWS}}
    run = SimpleNamespace(attributes=attributes, data=lambda: data)
    return SimpleNamespace(data=data, run=run, summary={"model": model}, draws=DRAWS)


def drawn(
    patch: pytest.MonkeyPatch, module: ModuleType, draw: Callable[[], list[Picture]]
) -> tuple[list[Figure], list[Picture]]:
    """The figures of a model's pictures before they become text, and the pictures."""
    figures, finished = [], module.finished

    def kept(made: Figure, alt: str, caption: str) -> Picture:
        figures.append(made)
        return finished(made, alt, caption)

    patch.setattr(module, "finished", kept)
    return figures, draw()


def labels(axis: Axes) -> list[str]:
    return [label.get_text() for label in axis.get_yticklabels()]


def rows(axis: Axes, place: int) -> np.ndarray:
    """The ends [row, 2] of an axis' horizontal lines: of 95% (place 0) or 50% (place 1)."""
    return np.array([segment[:, 0] for segment in axis.collections[place].get_segments()])


def band(axis: Axes, place: int, x: np.ndarray) -> np.ndarray:
    """The ends [2, x] of a band of an axis."""
    points = axis.collections[place].get_paths()[0].vertices
    return np.array([[pick(points[points[:, 0] == at, 1]) for at in x] for pick in (np.min, np.max)])


def quantiles(draws: np.ndarray, *levels: float) -> np.ndarray:
    """One quantile after the other of draws of all chains: [level, ...]."""
    flat = np.reshape(draws, (-1, *draws.shape[2:]))
    return np.array([np.quantile(flat, level, axis=0) for level in levels])


def test_draws_are_pooled_over_chains_and_thinned_evenly() -> None:
    values = np.arange(12.0, dtype=np.float32).reshape(2, 6)
    variable = xarray.DataArray(values, dims=("chain", "draw"))
    assert pooled(variable).dtype == np.float64
    np.testing.assert_array_equal(pooled(variable), np.arange(12.0))
    np.testing.assert_array_equal(pooled(variable, 6), [1, 3, 5, 7, 9, 11])
    np.testing.assert_array_equal(pooled(variable, 5), [2, 5, 8, 11])
    # Every chain has its say.
    np.testing.assert_array_equal(pooled(variable, 1), [5, 11])
    np.testing.assert_array_equal(pooled(variable, 100), np.arange(12.0))


def test_ends_and_rows_are_quantiles() -> None:
    """Of 0 to 1,000 every quantile is known."""
    draws = np.stack([np.arange(1001.0), 2.0 * np.arange(1001.0)], axis=1)
    np.testing.assert_allclose(ends(draws), [[25, 50], [975, 1950]])
    found = intervals.intervals(draws)
    _, ((axis,),) = panels(1, 1, 2.0)
    intervals.draw_rows(axis, found, ("a", "$b$"))
    np.testing.assert_allclose(rows(axis, 0), [[25, 975], [50, 1950]])
    np.testing.assert_allclose(rows(axis, 1), [[250, 750], [500, 1500]])
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [500, 1000])
    assert labels(axis) == ["a", r"\$b\$"]


# ---- census


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


def test_states_stand_in_order_with_their_quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    found = census_facts()
    (states, *_), _ = drawn(monkeypatch, census, lambda: census.pictures(found))
    posterior = found.data["posterior"]
    for axis, order, draws in (
        (states.axes[0], [1, 0, 2], posterior["state_intercept"].values),
        # Per cent of a year: the coefficient is of two.
        (states.axes[1], [0, 2, 1], 100 * (np.exp(posterior["state_education"].values / 2) - 1)),
    ):
        assert labels(axis) == [STATES[state] for state in order]
        np.testing.assert_allclose(rows(axis, 0), quantiles(draws, 0.025, 0.975).T[order])
        np.testing.assert_allclose(rows(axis, 1), quantiles(draws, 0.25, 0.75).T[order])
        np.testing.assert_allclose(axis.lines[0].get_xdata(), quantiles(draws, 0.5)[0, order])
    low, high = states.axes[0].get_xlim()
    (dollars,) = states.axes[0].child_axes
    for tick, label in zip(dollars.get_xticks(), dollars.get_xticklabels(), strict=True):
        assert low <= tick <= high
        assert float(label.get_text().replace(",", "")) == pytest.approx(np.exp(tick))


def test_areas_stand_in_order_and_single_workers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = census_facts()
    constant = found.data["constant_data"]
    (areas,), (picture,) = drawn(
        monkeypatch, census, lambda: [census.areas(census.areas_of(found.data["posterior"], constant))]
    )
    ribbon, pooling = areas.axes
    draws, order = found.data["posterior"]["coefficients"].values[..., 0], [0, 2, 3, 1]
    ranks = 1.0 + np.arange(4)
    np.testing.assert_allclose(band(ribbon, 0, ranks), quantiles(draws, 0.025, 0.975)[:, order])
    np.testing.assert_allclose(band(ribbon, 1, ranks), quantiles(draws, 0.25, 0.75)[:, order])
    median, country, single = ribbon.lines
    np.testing.assert_allclose(median.get_ydata(), quantiles(draws, 0.5)[0, order])
    np.testing.assert_allclose(country.get_ydata(), np.median(found.data["posterior"]["mu_intercept"].values))
    np.testing.assert_array_equal(single.get_xdata(), [1])
    low, high = quantiles(draws, 0.025, 0.975)
    np.testing.assert_array_equal(pooling.lines[0].get_xdata(), [1, 3, 2, 4])
    np.testing.assert_allclose(pooling.lines[0].get_ydata(), high - low)
    said = f"1 of them (triangles) have a single worker: their 95% intervals are {(high - low)[0]:.2f} wide"
    assert said in picture.caption
    assert f"the others' {np.median((high - low)[1:]):.2f}" in picture.caption


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
    title, head, country, *areas = reports.lines(found.run)
    assert "200 draws, 4 areas" in title
    assert head.split() == ["workers", "median", "95%", "interval"]
    mu = found.data["posterior"]["mu_education"].values
    low, middle, high = 100 * (np.exp(quantiles(mu, 0.025, 0.5, 0.975) / 2) - 1)
    assert country.split() == ["country", "10", f"{middle:.2f}", f"[{low:.2f},", f"{high:.2f}]"]
    # exp(.4 / 2) - 1 = 22%, within 0.01 of a coefficient: its sd over the root of 200 draws is 0.0014.
    assert [row.split("  ")[1] for row in areas] == [AREAS[area] for area in (1, 2, 3, 0)]
    assert float(areas[0].split()[3]) == pytest.approx(100 * (np.exp(0.2) - 1), abs=0.7)


# ---- alcohol


def alcohol_facts(propensity: np.ndarray, drinks: list[int], answered: list[int]) -> Any:
    """People 100, 101, ... of whom some have answered; propensity: [person]."""
    people, sizes = len(propensity), dict(zip(GROUPS, (4, 2, 4, 5, 6), strict=True)) | {"age": 14}
    values: dict[str, Any] = {"mu": ((), noisy(0.0, 0.1, 0))}
    values |= {f"effect_{name}": ((name,), noisy(np.zeros(n), 0.3, n)) for name, n in sizes.items()}
    values["reporting"] = (("way",), np.broadcast_to([0.0, 1.0, 0.0], (CHAINS, DRAWS, 3)))
    values["propensity"] = (("person",), np.broadcast_to(propensity, (CHAINS, DRAWS, people)))
    coords = {name: np.array([f"{name} {k}" for k in range(n)]) for name, n in sizes.items()}
    numbers = 100 + np.arange(people)
    observed = xarray.Dataset({"y": ("respondent", drinks)}, coords={"respondent": numbers[answered]})
    constant = xarray.Dataset({f"{name}_of_person": ("person", np.arange(people) % n) for name, n in sizes.items()})
    return facts("alcohol", dataset(values, person=numbers, **coords), observed, constant)


def test_effects_have_a_panel_a_group_with_their_quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    found = alcohol_facts(np.zeros(6), [1, 2, 3, 6, 98], [0, 1, 2, 4, 5])
    groups = alcohol.groups_of(found.data["posterior"])
    (effects,), _ = drawn(monkeypatch, alcohol, lambda: [alcohol.effects(groups)])
    assert [axis.get_title() for axis in effects.axes] == [*GROUPS, "age"]
    for axis, name in zip(effects.axes[:5], GROUPS, strict=True):
        draws = found.data["posterior"][f"effect_{name}"].values
        np.testing.assert_allclose(rows(axis, 0), quantiles(draws, 0.025, 0.975).T)
        assert labels(axis) == [f"{name} {k}" for k in range(draws.shape[-1])]
        assert axis.yaxis_inverted()
    age = found.data["posterior"]["effect_age"].values
    np.testing.assert_allclose(band(effects.axes[5], 0, np.arange(14.0)), quantiles(age, 0.025, 0.975))
    assert len({axis.get_xlim() for axis in effects.axes[:5]} | {effects.axes[5].get_ylim()}) == 1


def test_counts_are_tallied_and_the_last_holds_the_rest() -> None:
    tally = alcohol.tallied(np.array([1, 1, 30, 31, 98]))
    assert tally.shape == (31,)
    assert {1 + place: count for place, count in enumerate(tally) if count} == {1: 2, 30: 1, 31: 2}


def test_predicted_counts_follow_the_law_of_reporting() -> None:
    """All in half dozens: 5 to 8 drinks, 4 to 7 beyond the first, become 6. 6 sd: 2e-9 for each of 2 numbers."""
    people = 20_000
    (tally,) = alcohol.predicted(np.full((1, people), np.log(5.0)), np.array([[0.0, 1.0, 0.0]]))
    assert set(1 + np.flatnonzero(tally)) <= set(HALF_DOZENS)
    for count, share in ((6, poisson.cdf(7, 5) - poisson.cdf(3, 5)), (12, poisson.cdf(13, 5) - poisson.cdf(7, 5))):
        assert abs(tally[count - 1] - people * share) < 6 * np.sqrt(people * share * (1 - share))


def test_only_people_who_answered_are_predicted_beside_what_they_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who did not would report more than 30; the others nothing beyond the first drink."""
    found = alcohol_facts(np.array([-40.0, 6.0, -40.0]), [1, 6], [0, 2])
    counts = alcohol.counts_of(found.data)
    assert counts.draws == CHAINS * DRAWS
    # Every third of 50 draws of 4 chains.
    assert counts.predicted.shape == (64, 31)
    np.testing.assert_array_equal(counts.predicted[:, 0], 2)
    assert counts.seen[0] == counts.seen[5] == 1
    (figure,), (picture,) = drawn(monkeypatch, alcohol, lambda: [alcohol.counts(counts)])
    axis, ways = figure.axes
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), counts.seen)
    segments = np.array([segment[:, 1] for segment in axis.collections[0].get_segments()])
    np.testing.assert_array_equal(segments[0], [2, 2])
    assert "29 of 31 crosses lie within" in picture.caption
    assert labels(ways) == ["exact", "half dozens", "round numbers"]
    np.testing.assert_allclose(rows(ways, 0), [[0, 0], [1, 1], [0, 0]])


def test_the_table_of_alcohol_has_ratios_weights_and_unknown_counts() -> None:
    found = alcohol_facts(np.array([0.0, np.log(4.0), 0.0, 0.0]), [1, 6, 2], [0, 2, 3])
    table = reports.lines(found.run)
    low, middle, high = np.exp(quantiles(found.data["posterior"]["effect_sex"].values[..., 1], 0.025, 0.5, 0.975))
    (women,) = (row for row in table if "sex 1" in row)
    assert women.split() == ["sex", "sex", "1", "2", f"{middle:.3f}", f"[{low:.3f},", f"{high:.3f}]"]
    assert sum(row.split()[0] in (*GROUPS, "age") for row in table) == 35
    assert any(re.fullmatch(r"  half dozens +1\.000 +\[1\.000, 1\.000\]", row) for row in table)
    said = re.fullmatch(
        r"Counts not known: 1 of 4 people; their mean count as imputed (\S+) \[[12]\.00, \S+\], of the others as "
        r"reported 3\.00",
        table[-1],
    )
    assert said is not None
    # 1 + Poisson(4), 200 draws: sd 2 / sqrt(200) = 0.14; 6 sd, 2e-9.
    assert float(said[1]) == pytest.approx(5.0, abs=0.85)
    everybody = alcohol_facts(np.zeros(2), [1, 2], [0, 1])
    assert reports.lines(everybody.run)[-1] == "Everybody's count is known."


# ---- rri


def rri_facts(varying: bool = False, shift: float = 0.0) -> Any:
    """The example subject; alpha alone has a spread, of sd 2. shift: added to the intervals."""
    recording = simulate.example(60, varying=varying)
    values = {name: ((), noisy(x, 2.0 if name == "alpha" else 0.0, 3)) for name, x in recording.truth.items()}
    observed = xarray.Dataset({"y": ("observation", recording.y + shift)})
    return facts("rri", dataset(values), observed, xarray.Dataset({"time": ("observation", recording.t)}))


def many_facts(subjects: int) -> Any:
    """Subjects with draws about the truth: locations half a published sd above, spreads twice the published."""
    recording = simulate.population(subjects, 40)
    values = {
        name: (("subject",), noisy(x, 0.01 * SDS[k], k))
        for k, (name, x) in enumerate(zip(PARAMETERS, recording.truth.values(), strict=True))
    }
    values["location"] = (("parameter",), noisy(MEANS + 0.5 * SDS, 0.0, 0))
    values["spread"] = (("parameter",), noisy(2.0 * SDS, 0.0, 0))
    # The first subject's alpha is off by 10 sd of its draws.
    values["alpha"][1][..., 0] += 0.1 * SDS[0]
    observed = xarray.Dataset({"y": (("observation", "subject"), recording.y)})
    posterior = dataset(values, subject=1 + np.arange(subjects))
    return facts("rri", posterior, observed, xarray.Dataset({"time": ("observation", recording.t)}))


def test_the_band_of_the_curve_is_that_of_its_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """alpha shifts the whole curve: the band is its interval, about the curve of the others."""
    found = rri_facts()
    figures, pictures = drawn(monkeypatch, rri, lambda: rri.pictures(found))
    curve, residuals = figures[0].axes
    t, y = found.data["constant_data"]["time"].values, found.data["observed_data"]["y"].values
    alpha = found.data["posterior"]["alpha"].values
    shape = np.asarray(rri.mean(EXAMPLE, t)) - EXAMPLE.alpha
    for axis, center in ((curve, shape), (residuals, np.full(60, -alpha.mean()))):
        np.testing.assert_allclose(band(axis, 0, t), quantiles(alpha, 0.025, 0.975)[:, None] + center, atol=1e-8)
    center = shape + alpha.mean()
    np.testing.assert_allclose(curve.lines[1].get_ydata(), center)
    np.testing.assert_allclose(curve.lines[3].get_ydata(), center + 2 * EXAMPLE_SIGMA)
    np.testing.assert_allclose(residuals.lines[0].get_ydata(), y - center)
    beyond = (np.abs(y - center) > 2 * EXAMPLE_SIGMA).mean()
    assert f"{beyond:.1%} lie beyond" in pictures[0].caption


def test_noise_that_varies_has_a_panel_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's noise never comes near the floor: its sd is the curve."""
    found = rri_facts(varying=True)
    figures, pictures = drawn(monkeypatch, rri, lambda: rri.pictures(found))
    t = found.data["constant_data"]["time"].values
    sd = np.asarray(rri.mean(EXAMPLE_NOISE, t))
    np.testing.assert_allclose(figures[0].axes[2].lines[0].get_ydata(), sd, rtol=1e-3)
    assert "Last, the standard deviation of the noise" in pictures[0].caption


def test_motion_is_the_curve_and_its_slope_in_time() -> None:
    t = np.linspace(0.0, 15.0, 31)
    place, speed = rri.motion(EXAMPLE, t)
    step = 1e-5
    before, after = (np.asarray(rri.mean(EXAMPLE, t + side * step)) for side in (-1, 1))
    np.testing.assert_allclose(place, np.asarray(rri.mean(EXAMPLE, t)))
    np.testing.assert_allclose(speed, (after - before) / (2 * step), atol=1e-5)
    assert np.abs(speed).max() > 100


def test_phase_space_marks_the_truth_and_tells_the_correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    draws = {name: value + 0.01 * rng.normal(size=200) for name, value in zip(NAMES, EXAMPLE, strict=True)}
    draws["delta"] = 3.0 + 0.01 * (draws["beta"] + 300.0)
    known = {name: float(value) for name, value in zip(NAMES, EXAMPLE, strict=True)}
    (shown,), (picture,) = drawn(monkeypatch, rri, lambda: [rri.phase_space(rri.Phase(draws, 15.0, known))])
    expected = np.corrcoef(draws["alpha"], draws["c"])[0, 1]
    assert f"correlations: {expected:.2f} of alpha and c, 1.00 of beta and delta. Crosses" in picture.caption
    plane, _, joint = shown.axes
    assert f"{rri.TRAJECTORIES} draws" in picture.caption
    assert joint.lines[1].get_xdata() == [-300.0]
    assert joint.lines[1].get_ydata() == [3.0]
    middle = Curve(*(float(values.mean()) for values in draws.values()))
    np.testing.assert_allclose(plane.lines[-2].get_xdata(), rri.motion(middle, np.array([middle.tau]))[0])
    assert "Crosses" not in rri.phase_space(rri.Phase(draws, 15.0, {})).caption


def test_the_truth_is_that_of_simulated_data_alone() -> None:
    assert {name: float(x) for name, x in rri_table.truth(rri_facts().data).items()} == dict(
        zip(PARAMETERS, (*EXAMPLE, EXAMPLE_SIGMA), strict=True)
    )
    assert rri_table.truth(rri_facts(shift=0.5).data) == {}
    many = rri_table.truth(many_facts(3).data)
    np.testing.assert_array_equal(many["beta"], simulate.population_truth()["beta"][:3])


def test_the_population_is_shown_in_published_units(monkeypatch: pytest.MonkeyPatch) -> None:
    (population, subjects), pictures = drawn(monkeypatch, rri, lambda: rri.pictures(many_facts(20)))
    location, spread = population.axes
    assert labels(location) == labels(spread) == list(PARAMETERS)
    np.testing.assert_allclose(location.lines[0].get_xdata(), 0.5, rtol=1e-6)
    np.testing.assert_allclose(spread.lines[0].get_xdata(), 2.0)
    assert [axis.get_title() for axis in subjects.axes] == [f"subject {k}" for k in (1, 5, 9, 12, 16, 20)]
    assert "6 of 20 subjects" in pictures[1].caption


def test_few_subjects_are_all_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = many_facts(4)
    (_, subjects), _ = drawn(monkeypatch, rri, lambda: rri.pictures(found))
    shown = [axis for axis in subjects.axes if axis.axison]
    assert [axis.get_title() for axis in shown] == [f"subject {k}" for k in (1, 2, 3, 4)]
    for subject, axis in enumerate(shown):
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), found.data["observed_data"]["y"].values[:, subject])


def test_the_tables_of_rri_have_the_truth_or_the_published_values_beside_them() -> None:
    single = rri_facts()
    table = reports.lines(single.run)
    assert table[1].split()[-1] == "truth"
    alpha = single.data["posterior"]["alpha"].values
    low, high = quantiles(alpha, 0.025, 0.975)
    row = f"alpha {alpha.mean():#.4g} [{low:#.4g}, {high:#.4g}] 800.0"
    assert " ".join(table[2].split()) == row
    assert [line.split()[0] for line in table[2:]] == list(PARAMETERS)
    assert " ".join(reports.lines(rri_facts(shift=1.0).run)[2].split()) == row.replace("800.0", "-")
    assert [line.split()[0] for line in reports.lines(rri_facts(varying=True).run)[2:]] == [
        *NAMES,
        *(f"sigma_{name}" for name in NAMES),
    ]


def test_the_table_of_a_population_counts_who_was_found() -> None:
    table = reports.lines(many_facts(5).run)
    tau = [" ".join(line.split()) for line in table if line.split()[0] == "tau"]
    assert tau == ["tau 7.190 [7.190, 7.190] 6.710", "tau 1.920 [1.920, 1.920] 0.9600"]
    # Draws about the truth itself hold it, but for the one that was moved.
    assert table[-1] == f"  alpha 4, {', '.join(f'{name} 5' for name in PARAMETERS[1:])}"


# ---- all


def test_no_table_without_draws_or_for_a_model_without_one() -> None:
    run = rri_facts().run
    run.attributes["summary"]["draws"] = 0
    assert reports.lines(run) == []
    assert reports.lines(SimpleNamespace(attributes={"model": "m:f", "summary": {"draws": 9}})) == []


@pytest.mark.parametrize(
    "found", [census_facts(), alcohol_facts(np.zeros(3), [1, 2], [0, 2]), rri_facts(), many_facts(3)]
)
def test_pictures_have_words_and_are_well_formed(found: Any) -> None:
    pictures = own_pictures(found)
    assert all(picture.alt.endswith(".") and picture.caption.endswith(".") for picture in pictures)
    page = Page(str(joined(figure(*picture) for picture in pictures)))
    assert page.problems == []
    assert len(page.images) == len(pictures)


def test_pictures_of_whole_data_sets_are_small() -> None:
    """All states, all areas and all the subjects shown: far below the 5 MB of a page."""
    rng = np.random.default_rng(0)
    state, area = (intervals.intervals(rng.normal(6.5, 0.2, (100, n))) for n in (51, 2024))
    made = [
        census.states(np.array([f"State {k}" for k in range(51)]), state, state),
        census.areas(census.Areas(area, rng.integers(1, 54, 2024), 6.5)),
        *rri.pictures(many_facts(6)),
    ]
    assert sum(len(picture.source) for picture in made) < 1.5e6


def test_a_report_alone_simulates_in_double_precision() -> None:
    """The true values are found by making the data anew, which must not hang on who else was imported."""
    code = "import workflows.models.rri.table, jax; print(jax.config.jax_enable_x64)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "True"
