"""The summary of a store: always the same keys, valid JSON, and readable text even when little is known."""

import json
import math
import shlex
from pathlib import Path

import pytest

from workflows.results import inspect
from workflows.results.inspect import SUMMARY_KEYS, number, resume_command, summarise, to_json, unmet_goals
from workflows.results.inspect_text import closing_lines, render
from workflows.settings.loading import make_settings, resume_settings

SETTINGS = make_settings({"model": {"name": "airway"}}, ["limits.sweeps=1000"]).model_dump(mode="json")
SUMMARY = {
    "model": "airway",
    "stage": "sample",
    "seed": 0,
    "chains": 32,
    "draws": 50,
    "sweeps": 1000,
    "d": 67112,
    "goals_met": {"ess": False, "rhat": True, "shared_ess": True, "shared_rhat": False, "draws": True},
    "nested_rhat_max": 1.0534,
    "nested_rhat_limit": 1.0623,
    "nested_rhat_shared_max": 1.031,
    "ess_online_min": 312.4,
    "ess_online_median": 900.0,
    "ess_stored_min": 312.4,
    "ess_stored_shared_min": 1204.0,
    "ess_online_shared_min": 1204.0,
    "acceptance": {"gene": 0.314, "global": math.nan},
    "swap_rates": {},
    "nonfinite": 0,
    "wall_seconds": 125.0,
    "core_seconds": 250.0,
    "kernel_seconds": 200.0,
    "compile_seconds": 20.0,
    "structure": [
        {"level": "global", "blocks": 1, "coordinates": 5, "sites": ["mu_a", "sd_a"]},
        {"level": "gene", "blocks": 22369, "coordinates": 67107, "sites": ["a", "d", "phi"]},
    ],
    "joined": ["area: 3 and 4, tied by the term y"],
    "worst": [{"site": "d", "index": [4711], "ess": 312.4, "rhat": 1.0534}],
    "versions": {"maxwell": "0.1.0", "jax": "0.10.2"},
    "scales": {"gene": 0.7},
}


def full() -> dict:
    return summarise({"summary": SUMMARY, "settings": SETTINGS}, Path("runs/my run.zarr"), 12_300_000)


def test_the_keys_are_always_there():
    empty = summarise({}, Path("x.zarr"), 10)
    assert set(SUMMARY_KEYS) < set(empty)
    assert all(empty[key] is None for key in SUMMARY_KEYS)
    assert set(full()) == {*empty, "scales", "ess_stored_min", "ess_stored_shared_min"}
    assert (empty["path"], empty["bytes"], empty["resume_command"]) == ("x.zarr", 10, "maxwell resume x.zarr")


def test_root_attributes_stand_in_until_there_is_a_summary():
    early = summarise({"stage": "scout", "seed": 3, "model": "airway"}, Path("x.zarr"), 10)
    assert (early["stage"], early["seed"], early["model"]) == ("scout", 3, "airway")


def test_json_is_valid_without_nan():
    summary = full()
    text = to_json(summary)
    assert json.loads(text) == summary
    assert json.loads(text)["acceptance"] == {"gene": 0.314, "global": None}
    assert inspect.plain({"a": [math.inf, (1.5, {"b": -math.inf})], 3: True}) == {
        "a": [None, [1.5, {"b": None}]],
        "3": True,
    }


def test_the_text_holds_what_a_person_looks_for():
    text = render(full())
    for part in (
        "runs/my run.zarr (12.3 MB)",
        "67,112 parameters, seed 0",
        "min 312, median 900, shared parameters min 1,204",
        "max 1.053 (limit 1.062), shared parameters max 1.031",
        "50 a chain, 32 chains",
        "2:05",
        "4:10, in kernels 3:20, compiling 0:20",
        "gene 0.31",
        "22,369",
        "area: 3 and 4, tied by the term y",
        "a, d, phi",
        "4711",
        "goals.ess: 312, wanted 400",
        "goals.shared_rhat: 1.031, wanted 1.02",
        "maxwell resume 'runs/my run.zarr' limits.sweeps=2000",
    ):
        assert part in text, part
    assert "\x1b" not in text
    assert "goals.draws" not in text


def test_the_verdict_comes_first():
    first, *then = render(full()).splitlines()
    assert first == "2 of 5 goals not met: ESS of every coordinate, Nested R-hat of the shared parameters."
    assert [line.strip() for line in then[:3]] == [
        "goals.ess: 312, wanted 400",
        "goals.shared_rhat: 1.031, wanted 1.02",
        "Go on with: maxwell resume 'runs/my run.zarr' limits.sweeps=2000",
    ]
    done = {**full(), "goals_met": dict.fromkeys(SUMMARY["goals_met"], True)}
    assert render(done).splitlines()[0] == "Every goal is met."
    early = render(summarise({"stage": "scout"}, Path("x.zarr"), 10))
    assert early.splitlines()[0] == "No draws yet: the run stands in stage scout, and no goal has been looked at."


def test_a_run_that_has_just_begun_can_be_shown():
    text = render(summarise({}, Path("x.zarr"), 10))
    assert "x.zarr" in text
    assert "Slowest" not in text
    assert "not met" not in text


def test_unmet_goals_compare_with_the_resolved_limit():
    summary = {**full(), "goals_met": {"rhat": False}}
    assert unmet_goals(summary) == ["goals.rhat: 1.053, wanted 1.062"]
    summary["settings"] = {"goals": {"rhat": 1.01}}
    assert unmet_goals(summary) == ["goals.rhat: 1.053, wanted 1.01"]


def test_the_end_of_a_run_says_how_to_go_on():
    lines = closing_lines(full(), ["strongest effects", "CRISPLD2 2.6"], local=True)
    text = "\n".join(lines)
    assert "CRISPLD2 2.6" in lines
    assert "Stopped at a limit. Goals not met:" in lines
    assert "  maxwell resume 'runs/my run.zarr' limits.sweeps=2000 --local" in lines
    assert "maxwell inspect 'runs/my run.zarr'" in text
    assert "  import maxwell" in lines
    assert "  data = maxwell.open_run('runs/my run.zarr').data" in lines


def test_a_finished_run_is_not_told_to_go_on():
    done = {**full(), "goals_met": dict.fromkeys(SUMMARY["goals_met"], True)}
    assert not any("resume" in line or "limit." in line for line in closing_lines(done, []))


@pytest.mark.parametrize(
    ("sweeps", "minutes", "met", "expected"),
    [
        (500, None, False, []),
        (1000, None, False, ["limits.sweeps=2000"]),
        (500, 2.0, False, ["limits.minutes=4"]),
        (1000, 0.75, False, ["limits.sweeps=2000", "limits.minutes=1.5"]),
        (500, 3.0, False, []),
        (1000, 2.0, True, []),
    ],
)
def test_the_resume_command_doubles_the_limits_that_were_reached(sweeps, minutes, met, expected):
    settings = {**SETTINGS, "limits": {"sweeps": 1000, "minutes": minutes}}
    summary = {**SUMMARY, "sweeps": sweeps, "goals_met": {"ess": met}}
    found = summarise({"summary": summary, "settings": settings}, Path("x.zarr"), 10)
    assert found["resume_command"].split() == ["maxwell", "resume", "x.zarr", *expected]
    assert any("limits." in line for line in closing_lines(found, [])) == bool(expected)
    resume_settings(SETTINGS, expected)


def test_resume_commands_survive_the_shell():
    assert shlex.split(resume_command("a b;c", local=True)) == ["maxwell", "resume", "a b;c", "--local"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (1234, "1,234"),
        (1234.6, "1,235"),
        (1.0534, "1.053"),
        ("x", "x"),
        ([4711, 3], "4711, 3"),
        (-1e5, "-100,000"),
    ],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_divergences_are_told_by_stage_the_draws_first() -> None:
    counted = {"scout": {"diverging": 9, "trajectories": 10}, "sample": {"diverging": 3, "trajectories": 1200}}
    told = {**full(), "divergences": counted}
    assert "3 of 1,200 trajectories in sample, 9 of 10 trajectories in scout" in render(told)
    assert json.loads(to_json(told))["divergences"] == counted
    assert "divergences" not in render(full())
