"""The parts of the report: verdicts in words, stages from the books, settings that differ, groups of chains, markup."""

from typing import Any

import numpy as np
import pytest
import xarray

from tests.support.html_checker import Page
from tests.workflows.results.test_inspect import SUMMARY, full
from workflows.results.inspect import summarise
from workflows.results.report import sections
from workflows.results.report.changes import changes
from workflows.results.report.coordinates import by_site, drawn, furthest, sites_of
from workflows.results.report.drawing import axis_label
from workflows.results.report.markup import bullets, element, figure, joined, table
from workflows.results.report.plots import course_picture, histograms
from workflows.results.report.pooling import groups, rank_counts
from workflows.results.report.timeline import Course
from workflows.results.report.verdicts import headline, next_command, next_steps, verdicts
from workflows.settings.loading import make_settings


def judged(summary: dict[str, Any], **known: int) -> dict[str, tuple[str, str]]:
    """Subject -> judgement and text."""
    return {verdict.subject: (verdict.judgement, verdict.text) for verdict in verdicts(summary, **known)}


def test_goals_met_and_missed_say_by_how_much() -> None:
    found = judged(full())
    assert found["ESS of every coordinate"] == (
        "missed",
        "The lowest is 312, wanted 400: about 1.28 times the sweeps sampled so far should do.",
    )
    assert found["Nested R-hat of every coordinate"] == (
        "met",
        "The highest is 1.0534, the limit 1.0623: 85% of the variance between superchains that is allowed.",
    )
    assert found["ESS of the shared parameters"] == ("met", "The lowest is 1,204, wanted 1,000: 1.2 times as much.")
    judgement, text = found["Nested R-hat of the shared parameters"]
    assert judgement == "missed"
    assert "1.0310, the limit 1.0200: 1.56 times the variance" in text
    assert found["Stored draws a chain"] == ("met", "There are 50, wanted 50.")
    assert found["Non-finite proposals"] == ("note", "There were none.")


def test_the_headline_names_what_is_missed() -> None:
    assert headline(full()) == ("2 of 5 goals not met: ESS of every coordinate, Nested R-hat of the shared parameters.")


def test_a_run_that_is_done_is_told_how_to_get_more() -> None:
    done = {**full(), "goals_met": dict.fromkeys(SUMMARY["goals_met"], True)}
    assert headline(done) == "Every goal is met."
    assert next_steps(done) == ["Use the draws. More of them, to twice the ESS:"]
    assert next_command(done) == "maxwell resume 'runs/my run.zarr' goals.ess=625"


def test_a_run_that_is_not_done_is_told_what_to_do() -> None:
    summary = full()
    steps = " ".join(next_steps(summary))
    assert "ESS grows with the number of sweeps" in steps
    assert "Chains from different starts differ" in steps
    assert "Limits that were reached are doubled" in steps
    assert next_command(summary) == summary["resume_command"]


def test_nothing_is_judged_before_there_is_anything() -> None:
    empty = summarise({"stage": "scout"}, full()["path"], 10)
    assert verdicts(empty) == []
    assert headline(empty) == "No draws yet: the run stands in stage scout, and no goal has been looked at."
    early = {**full(), "draws": 0, "ess_stored_min": None, "goals_met": {"ess": False, "draws": False}}
    assert judged(early)["ESS of every coordinate"][0] == "not known yet"
    assert headline(early).startswith("No draws yet")
    assert not any("differ" in step for step in next_steps(early))


def test_what_stands_out_is_said() -> None:
    summary = {
        **full(),
        "nonfinite": 22370 * 1000 * 32,
        "relocated": 7,
        "acceptance": {"gene": 0.01, "global": 0.99, "other": 0.4},
        "swap_rates": {"gene/0-1": 0.02, "gene/1-2": 0.4},
        "draws": 12,
    }
    found = judged(summary, stuck=3, generation=1)
    assert "about 1 for each update of a block" in found["Non-finite proposals"][1]
    assert found["Stragglers"][1].startswith("7 were given the place")
    assert "most proposals are wasted" in found["Acceptance of level gene"][1]
    assert "too small" in found["Acceptance of level global"][1]
    assert "Acceptance of level other" not in found
    assert "Only 2.0%" in found["Swaps gene/0-1"][1]
    assert "Swaps gene/1-2" not in found
    assert found["Coordinates that never moved"] == ("missed", "3: their values stayed as they were.")
    assert "ArviZ" in found["Few stored draws"][1]
    assert "not apart from each other" in found["Starts"][1]
    assert any("never moved" in step for step in next_steps(summary, stuck=3))


def test_settings_that_differ_are_listed_with_their_defaults() -> None:
    overrides = ["goals.ess=200", "kernels.levels.gene=nuts", "tempering.temperatures=[1.0,3.5]"]
    settings = make_settings({"model": {"name": "airway", "genes": 7}}, overrides).model_dump(mode="json")
    settings["sample"]["forgotten"] = None
    assert changes(settings) == [
        {"setting": "model.genes", "value": "7", "default": ""},
        {"setting": "kernels.levels.gene", "value": "nuts", "default": "not known here"},
        {"setting": "tempering.temperatures", "value": "[1, 3.5]", "default": "[1]"},
        {"setting": "sample.forgotten", "value": "null", "default": "not known here"},
        {"setting": "goals.ess", "value": "200", "default": "400"},
    ]


@pytest.mark.parametrize(
    ("chains", "superchains", "expected"),
    [(24, 8, 8), (32, 16, 16), (64, 32, 16), (33, 33, 11), (16, 2, 8), (20, 5, 10), (4, 2, 4), (8, 4, 8)],
)
def test_chains_are_pooled_into_groups_that_an_eye_compares(chains: int, superchains: int, expected: int) -> None:
    members = groups(chains, superchains)
    assert len(members) == expected
    np.testing.assert_array_equal(np.concatenate(members), np.arange(chains))
    if superchains <= 16:
        of = np.repeat(np.arange(superchains), chains // superchains)
        assert all(len(set(of[group])) == 1 for group in members)


def test_ranks_are_level_for_equal_groups_and_not_for_others() -> None:
    draws = np.random.default_rng(0).normal(size=(16, 250))
    members = groups(16, 8)
    level = rank_counts(draws, members)
    assert level.shape == (8, 20)
    np.testing.assert_allclose(level.mean(axis=1), 1.0)
    # 500 draws a group in 20 bins: 25 a bin, sd 5, so 0.2 as a share; 160 cells within 6 sd.
    assert np.abs(level - 1).max() < 1.2
    draws[:2] += 3.0
    assert rank_counts(draws, members)[0, -1] > 4.0


def sites() -> list:
    """Two sites, one shared, the other with labels."""
    diagnostics = xarray.Dataset(
        {
            "x_ess": ("gene", [5.0, 100.0, np.nan]),
            "x_rhat": ("gene", [1.2, 1.001, np.nan]),
            "mu_ess": ((), 50.0),
            "mu_rhat": ((), 1.3),
        },
        coords={"gene": ["A", "B", "C"]},
    )
    return sites_of({"x": {"shape": [3], "plates": ["gene"]}, "mu": {"shape": [], "plates": []}}, diagnostics)


def test_coordinates_are_counted_by_site_the_slowest_first() -> None:
    found = sites()
    assert [site.name for site in found] == ["mu", "x"]
    assert found[1].label((2,)) == "x[C]"
    rows = by_site(found, 60.0, 1.1)
    assert [row["site"] for row in rows] == ["x", "mu"]
    assert rows[0] == {
        "site": "x",
        "coordinates": 3,
        "ESS min": 5.0,
        "ESS median": 52.5,
        "ESS below goal": 1,
        "R-hat max": "1.2000",
        "R-hat above limit": 1,
    }


def test_the_worst_are_drawn_first() -> None:
    assert furthest(sites(), 2) == [("mu", ()), ("x", (0,))]
    assert drawn({"worst": [{"site": "x", "index": [0]}]}, sites()) == [("x", (0,)), ("mu", ()), ("x", (1,))]
    unknown = sites_of(
        {"mu": {"shape": [], "plates": []}, "x": {"shape": [2, 2], "plates": ["gene"]}}, xarray.Dataset()
    )
    assert drawn({"worst": []}, unknown) == [("mu", ()), ("x", (0, 0))]


def test_markup_escapes_all_but_itself() -> None:
    evil = "<script>\"&'"
    source = joined(
        [
            element("p", evil, element("b", evil), title=evil),
            bullets([evil]),
            table([{evil: evil, "n": 1234.5}, {evil: None, "n": None}], evil),
            figure("data:image/svg+xml;base64,PHN2Zy8+", evil, evil),
        ]
    )
    parsed = Page(source)
    assert parsed.problems == []
    assert "script" not in parsed.tags
    assert parsed.text.count(evil) == 7
    assert '<td class="number">1,234</td>' in source
    assert '<td class="number">-</td>' in source


def rung(number: int, energy: float | None, swap: float | None) -> dict[str, Any]:
    return {"rung": number, "temperature": 1.0 + number, "beta": 1 / (1.0 + number), "swap": swap, "energy": energy}


@pytest.mark.parametrize("energy", [None, -3.0, -1e9])
def test_a_ladder_is_shown_with_what_is_known_of_it(energy: float | None) -> None:
    """Also at the begin of a stage, when nothing is; and its log evidence where there is one."""
    ladder = {
        "rungs": [rung(0, energy, 0.4), rung(1, None if energy is None else -2.0, None)],
        "barrier": 0.6,
        "round_trips": None,
        "round_trips_expected": None,
        "log_evidence_by": {"stepping_stone": [-812.5, 0.25]},
        "rounds": [],
    }
    parsed = Page(sections.ladder_section(ladder))
    assert parsed.problems == []
    assert "stepping stone -812.5000 ± 0.25" in parsed.text
    assert len(parsed.images) == 1


def test_one_temperature_is_said_to_be_one() -> None:
    assert "One temperature" in sections.ladder_section(None)


@pytest.mark.parametrize("far", [0.0, 300.0, 1e7, 1e300])
def test_the_course_shows_dispersed_starts_and_the_end_alike(far: float) -> None:
    lines = -np.outer(np.ones(8), [far, 3.0, 2.0]) + np.arange(8.0)[:, None]
    course = Course(lines, np.arange(1, 4), np.empty((8, 0)), np.empty(0), (1,))
    assert ("logarithmic" in course_picture(course).caption) == (far > 0.0)


def test_every_coordinate_is_in_the_histograms() -> None:
    """Rounding of logarithms must not drop the ends, nor a coordinate that never moved the rest."""
    ess = (np.array([1e3 / 3]), np.array([2.0 / 3, 70.1, np.nan]))
    rhat = (np.array([1.01]), np.array([1.0, 1.0, np.nan]))
    assert histograms(ess, rhat, 400.0, None).caption.startswith("ess_online and nested R-hat of all 4 coordinates")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a[ENSG1]", "a[ENSG1]"), ("$x$\n y", r"\$x\$ y"), ("w" * 40, "w" * 31 + "…")],
)
def test_labels_of_axes_are_short_and_plain(name: str, shown: str) -> None:
    assert axis_label(name) == shown


def test_divergences_in_sample_are_judged() -> None:
    def verdict(diverging: int, trajectories: int) -> tuple[str, str] | None:
        counted = {
            "equilibrate": {"diverging": 5, "trajectories": 9},
            "sample": {"diverging": diverging, "trajectories": trajectories},
        }
        return judged({**full(), "divergences": counted}).get("Divergences")

    assert verdict(0, 0) is None
    assert verdict(0, 1200) == ("note", "None of the 1,200 trajectories in stage sample diverged.")
    judgement, text = verdict(3, 1200)
    assert judgement == "missed"
    assert text.startswith("3 of 1,200 trajectories in stage sample diverged (0.0025 of them)")
    assert "draws may miss it" in text
