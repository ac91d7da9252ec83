"""Pictures and tables of rri: what they show is what the draws say, on draws made up for them."""

import subprocess
import sys
from typing import Any

import numpy as np
import xarray

from tests.support import svg
from tests.support.picture_facts import check_pictures, dataset, facts, noisy, quantiles
from workflows.models.rri import pictures as rri
from workflows.models.rri import simulate
from workflows.models.rri import table as rri_table
from workflows.models.rri.curve import NAMES, Curve
from workflows.models.rri.published import EXAMPLE, EXAMPLE_NOISE, EXAMPLE_SIGMA, MEANS, PARAMETERS, SDS
from workflows.results.report.drawing import INK, RED
from workflows.results.report.pictures import intervals
from workflows.results.tables import own


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


def fit_of(found: Any) -> rri.Fit:
    """The fit of the only subject."""
    time, y = found.data["constant_data"]["time"].values, found.data["observed_data"]["y"].values
    return rri.fit(found.data["posterior"], time, y)


def test_the_band_of_the_curve_is_that_of_its_draws() -> None:
    """alpha shifts the whole curve: the band is its interval, about the curve of the others."""
    found = rri_facts()
    fit, y = fit_of(found), found.data["observed_data"]["y"].values
    alpha = found.data["posterior"]["alpha"].values
    shape = np.asarray(rri.mean(EXAMPLE, fit.t)) - EXAMPLE.alpha
    ends = quantiles(alpha, 0.025, 0.975)[:, None] + shape
    np.testing.assert_allclose(rri.middle_95(fit.curve), ends, atol=1e-8)
    np.testing.assert_allclose(fit.center, shape + alpha.mean())
    np.testing.assert_allclose(fit.noise, EXAMPLE_SIGMA)
    np.testing.assert_allclose(fit.residuals, y - fit.center)
    beyond = (np.abs(y - fit.center) > 2 * EXAMPLE_SIGMA).mean()
    picture, _ = rri.pictures(found)
    assert f"{beyond:.1%} lie beyond" in picture.caption


def test_the_curve_and_the_residuals_are_drawn_with_their_bands() -> None:
    found = rri_facts()
    picture, fit = rri.pictures(found)[0], fit_of(found)
    curve = svg.ends_of(svg.bands(picture, 0.5)[0])
    scale = svg.scale(rri.middle_95(fit.curve), curve[:, 1:].T)
    across = svg.scale(fit.t, curve[:, 0])
    below, above, *_ = svg.lines(picture, INK, 0.6, dashed=True)
    center, side = svg.lines(picture, INK, 0.8)[0], 2 * fit.noise
    for line, values in ((center, fit.center), (below, fit.center - side), (above, fit.center + side)):
        # What is straight is drawn with fewer points.
        at = np.interp(line[:, 0], across.places(fit.t), scale.places(values))
        np.testing.assert_allclose(line[:, 1], at, atol=0.2)


def test_noise_that_varies_has_a_panel_of_its_own() -> None:
    """The example's noise never comes near the floor: its sd is the curve."""
    found = rri_facts(varying=True)
    fit = fit_of(found)
    np.testing.assert_allclose(fit.noise, np.asarray(rri.mean(EXAMPLE_NOISE, fit.t)), rtol=1e-3)
    picture, _ = rri.pictures(found)
    assert len(svg.frames(picture)) == 3
    assert len(svg.frames(rri.pictures(rri_facts())[0])) == 2
    assert "noise sd (ms)" in svg.words(picture)
    assert "Last, the standard deviation of the noise" in picture.caption


def test_motion_is_the_curve_and_its_slope_in_time() -> None:
    t = np.linspace(0.0, 15.0, 31)
    place, speed = rri.motion(EXAMPLE, t)
    step = 1e-5
    before, after = (np.asarray(rri.mean(EXAMPLE, t + side * step)) for side in (-1, 1))
    np.testing.assert_allclose(place, np.asarray(rri.mean(EXAMPLE, t)))
    np.testing.assert_allclose(speed, (after - before) / (2 * step), atol=1e-5)
    assert np.abs(speed).max() > 100


def test_phase_space_marks_the_truth_and_tells_the_correlation() -> None:
    rng = np.random.default_rng(0)
    draws = {name: value + 0.01 * rng.normal(size=200) for name, value in zip(NAMES, EXAMPLE, strict=True)}
    draws["delta"] = 3.0 + 0.01 * (draws["beta"] + 300.0)
    known = {name: float(value) for name, value in zip(NAMES, EXAMPLE, strict=True)}
    found = rri.Phase(draws, 15.0, known)
    np.testing.assert_allclose(found.middle, Curve(*(values.mean() for values in draws.values())))
    assert {values.size for values in found.shown.values()} == {rri.TRAJECTORIES}
    picture, expected = rri.phase_space(found), np.corrcoef(draws["alpha"], draws["c"])[0, 1]
    assert f"correlations: {expected:.2f} of alpha and c, 1.00 of beta and delta. Crosses" in picture.caption
    assert f"{rri.TRAJECTORIES} draws" in picture.caption
    unknown = rri.phase_space(rri.Phase(draws, 15.0, {}))
    assert "Crosses" not in unknown.caption
    # A cross in each of two panels.
    assert len(svg.markers(picture, fill=RED, stroke="#ffffff")) == 2
    assert len(svg.markers(unknown, fill=RED, stroke="#ffffff")) == 0


def test_phase_space_marks_when_half_the_work_is_done() -> None:
    """The circle and the square lie on the trajectory of the mean, where the curve is at tau and at tau + delta."""
    draws = {name: np.full(50, float(value)) for name, value in zip(NAMES, EXAMPLE, strict=True)}
    picture = rri.phase_space(rri.Phase(draws, 15.0, {}))
    (path,) = svg.lines(picture, INK, 0.9)
    place, speed = rri.motion(EXAMPLE, np.linspace(0.0, 15.0, rri.FINE))
    across = svg.scale([place.min(), place.max()], [path[:, 0].min(), path[:, 0].max()])
    up = svg.scale([speed.min(), speed.max()], [path[:, 1].max(), path[:, 1].min()])
    times = np.array([EXAMPLE.tau, EXAMPLE.tau + EXAMPLE.delta], float)
    places, speeds = rri.motion(EXAMPLE, times)
    marks = svg.markers(picture, fill=RED, stroke=RED)
    np.testing.assert_allclose(marks, np.transpose([across.places(places), up.places(speeds)]), atol=0.2)


def test_the_truth_is_that_of_simulated_data_alone() -> None:
    assert {name: float(x) for name, x in rri_table.truth(rri_facts().data).items()} == dict(
        zip(PARAMETERS, (*EXAMPLE, EXAMPLE_SIGMA), strict=True)
    )
    assert rri_table.truth(rri_facts(shift=0.5).data) == {}
    many = rri_table.truth(many_facts(3).data)
    np.testing.assert_array_equal(many["beta"], simulate.population_truth()["beta"][:3])


def test_the_population_is_shown_in_published_units() -> None:
    found = many_facts(20)
    posterior = found.data["posterior"]
    parts = [intervals.intervals(posterior[name].values.reshape(-1, 8)) for name in ("location", "spread")]
    location, spread = rri.in_published_units(*parts)
    np.testing.assert_allclose(location, np.full((5, 8), 0.5), rtol=1e-6)
    np.testing.assert_allclose(spread, np.full((5, 8), 2.0))
    population, subjects = rri.pictures(found)
    assert [word for word in svg.words(population) if word in PARAMETERS] == 2 * list(PARAMETERS)
    # The spread's axis begins at 0 and has the dashed line at 1: its rings are twice as far from its left end.
    rings, (_, one) = svg.markers(population, fill="#ffffff", stroke=INK), svg.lines(population, RED, 0.7, dashed=True)
    assert len(rings) == 16
    assert np.ptp(rings[8:, 0]) == 0.0
    left = svg.frames(population)[1].left
    np.testing.assert_allclose(rings[8:, 0] - left, 2.0 * (one[0, 0] - left), atol=0.02)
    titles = [word for word in svg.words(subjects) if word.startswith("subject ")]
    assert titles == [f"subject {k}" for k in (1, 5, 9, 12, 16, 20)]
    assert "6 of 20 subjects" in subjects.caption


def test_few_subjects_are_all_shown() -> None:
    found = many_facts(4)
    np.testing.assert_array_equal(rri.chosen(4), np.arange(4))
    _, subjects = rri.pictures(found)
    titles = [word for word in svg.words(subjects) if word.startswith("subject ")]
    assert titles == [f"subject {k}" for k in (1, 2, 3, 4)]
    # A band a subject, each about its own curve.
    bands = svg.bands(subjects, 0.5)
    assert len(bands) == 4
    time, y = found.data["constant_data"]["time"].values, found.data["observed_data"]["y"].values
    for subject, band in enumerate(bands):
        fit = rri.fit(found.data["posterior"], time, y[:, subject], subject)
        np.testing.assert_array_equal(fit.y, y[:, subject])
        svg.scale(rri.middle_95(fit.curve), svg.ends_of(band)[:, 1:].T)


def test_the_tables_of_rri_have_the_truth_or_the_published_values_beside_them() -> None:
    single = rri_facts()
    table = own.lines(single.run)
    assert table[1].split()[-1] == "truth"
    alpha = single.data["posterior"]["alpha"].values
    low, high = quantiles(alpha, 0.025, 0.975)
    row = f"alpha {alpha.mean():#.4g} [{low:#.4g}, {high:#.4g}] 800.0"
    assert " ".join(table[2].split()) == row
    assert [line.split()[0] for line in table[2:]] == list(PARAMETERS)
    assert " ".join(own.lines(rri_facts(shift=1.0).run)[2].split()) == row.replace("800.0", "-")
    assert [line.split()[0] for line in own.lines(rri_facts(varying=True).run)[2:]] == [
        *NAMES,
        *(f"sigma_{name}" for name in NAMES),
    ]


def test_the_table_of_a_population_counts_who_was_found() -> None:
    table = own.lines(many_facts(5).run)
    tau = [" ".join(line.split()) for line in table if line.split()[0] == "tau"]
    assert tau == ["tau 7.190 [7.190, 7.190] 6.710", "tau 1.920 [1.920, 1.920] 0.9600"]
    # Draws about the truth itself hold it, but for the one that was moved.
    assert table[-1] == f"  alpha 4, {', '.join(f'{name} 5' for name in PARAMETERS[1:])}"


def test_pictures_have_words_and_are_well_formed() -> None:
    for found in (rri_facts(), many_facts(3)):
        check_pictures(found)


def test_pictures_of_many_subjects_are_small() -> None:
    """Far below the 5 MB of a page."""
    assert sum(len(picture.source) for picture in rri.pictures(many_facts(6))) < 7.5e5


def test_a_report_alone_simulates_in_double_precision() -> None:
    """The true values are found by making the data anew, which must not hang on who else was imported."""
    code = "import workflows.models.rri.table, jax; print(jax.config.jax_enable_x64)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "True"
