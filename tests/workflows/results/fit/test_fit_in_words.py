"""The fit in the report and on the command line: rows, pictures, and what is said where there is none."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support import svg
from tests.support.html_checker import Page
from workflows.modelling.checks import Family
from workflows.results.fit import text
from workflows.results.fit.check import Fit, FitError
from workflows.results.fit.replicates import DATA_SETS, Replicated
from workflows.results.fit.verdict import judge
from workflows.results.report import fit as page
from workflows.results.report.drawing import GREY, INK, RED
from workflows.results.report.markup import figure, joined

RNG = np.random.default_rng(0)


def replicated(family: Family, center: np.ndarray, sd: float, off: dict[int, float]) -> Replicated:
    center = np.asarray(center, float)
    observed = center.copy()
    for k, value in off.items():
        observed[k] = value
    return Replicated(family, observed, RNG.normal(center, sd, size=(DATA_SETS, len(center))))


@pytest.fixture(scope="module")
def found() -> Fit:
    small = replicated(Family("centre", ("mean", "<b>sd</b>"), 1.0), np.array([5.0, 2.0]), 0.1, {1: 4.0})
    shares = np.linspace(0.1, 0.3, 12)
    names = tuple(f"group {k}" for k in range(12))
    large = replicated(Family("shares", names, 0.01, share=True, about="Of people."), shares, 0.001, {3: 0.5, 7: 0.11})
    quiet = replicated(Family("quiet", ("one",), 1.0), np.array([0.0]), 1.0, {})
    families = [small, large, quiet]
    return Fit(families, [judge(family) for family in families], DATA_SETS, 150)


def test_the_headline_names_what_is_missed(found: Fit) -> None:
    assert "2 of 3 families of statistics are missed: centre, shares." in page.headline(found)
    fits = found._replace(verdicts=found.verdicts[2:])
    assert "No family of statistics is missed." in page.headline(fits)


def test_rows_have_all_of_small_families_and_of_large_ones_what_is_apart(found: Fit) -> None:
    rows = page.statistic_rows(found)
    assert [row["statistic"] for row in rows] == ["mean", "<b>sd</b>", "group 3", "group 7", "one"]
    assert [row["apart"] for row in rows] == [False, True, True, True, False]
    assert rows[2]["data"] == "50%"
    assert [row["verdict"] for row in page.verdict_rows(found)] == ["misfit", "misfit", "fits"]


def test_pictures_show_data_where_they_are(found: Fit) -> None:
    """The small families together, a row each; the large one alone, its crosses at the observed shares."""
    together, alone = page.pictures(found)
    assert len(svg.lines(together, GREY, 0.7)) == 3
    assert len(svg.markers(together, stroke=INK)) == 2
    assert len(svg.markers(together, stroke=RED)) == 1
    seen = found.verdicts[1]
    crosses = svg.markers(alone, stroke=INK)
    top = crosses[:10]
    svg.scale(seen.observed[~seen.apart], top[:, 1])
    bottom = crosses[10:]
    svg.scale((seen.observed - seen.median)[~seen.apart], bottom[:, 1])
    assert len(svg.markers(alone, stroke=RED)) == 4
    parsed = Page(str(joined(figure(*picture) for picture in (together, alone))))
    assert parsed.problems == []
    assert all(picture.caption.endswith(".") for picture in (together, alone))


def facts(check: Any) -> Any:
    return SimpleNamespace(run=SimpleNamespace(check=check))


def test_what_cannot_be_checked_is_said() -> None:
    def density() -> Fit:
        raise FitError("model 'x' draws nothing")

    def broken() -> Fit:
        raise ZeroDivisionError("no such class")

    assert page.fit_of(facts(density)) == "Not checked: model 'x' draws nothing."
    said = page.fit_of(facts(broken))
    assert said == "The fit could not be checked (ZeroDivisionError: no such class). `maxwell check` tries it again."


def test_lines_for_print(found: Fit) -> None:
    heading, centre, shares, quiet = text.lines(found)
    assert heading == "Does the model fit? 200 data sets drawn from the posterior, beside the data"
    assert centre.startswith("  misfit        centre: predicts 2 for <b>sd</b>, 4 seen")
    assert "50% seen; predicts" in shares
    assert quiet == "  fits          quiet"


def test_a_run_with_many_observations_says_how_to_check() -> None:
    groups = {"observed_data": SimpleNamespace(data_vars={"y": np.zeros(200_000)})}
    reader = SimpleNamespace(groups=lambda: groups, attributes={"summary": {"draws": 3}})
    run: Any = SimpleNamespace(reader=lambda: reader, path="x.zarr")
    assert text.closing(run) == [
        "Does the model fit? Many observations: `maxwell check x.zarr` draws data sets and says."
    ]
    nothing: Any = SimpleNamespace(reader=lambda: SimpleNamespace(groups=dict, attributes={}), path="x.zarr")
    assert text.closing(nothing) == []
