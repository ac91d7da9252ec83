"""The tables of the study."""

from typing import Any

from workflows.studies.surrogates import formulations
from workflows.studies.surrogates.one_run import spent
from workflows.studies.surrogates.table import table


def line(sampler: str, seed: int, error: str | None = None) -> dict[str, Any]:
    told = {"name": "funnel_2", "sampler": sampler, "goal": 2000.0, "seed": seed, "core_seconds": 10.0 + seed}
    if error is not None:
        return told | {"error": error}
    judged = {"mean_error": 0.01 * (1 + seed), "sd_error": 0.02, "right": seed < 2, "ess": 100.0 * (1 + seed)}
    counted = {"gradients": 1000.0, "gradients_by_stage": {"sample": 400.0}, "densities": 50}
    return told | judged | counted | {"error": None, "ess_online_min": 90.0}


def test_a_row_has_medians_shares_and_the_worst_errors() -> None:
    found = list(table([line("nuts", seed) for seed in range(3)]))
    assert len(found) == 3
    cells = [cell.strip() for cell in found[2].strip("|").split("|")]
    # 200 effective draws of 1,000 gradients and 11 core-seconds in the middle one.
    assert cells[:6] == ["funnel_2", "2000", "nuts", "2/3", "200", "90"]
    assert cells[6:] == ["1,000", "400", "50", "200", "11", "18.2", "0.03", "0.02"]


def test_an_approximate_sampler_is_called_one_and_an_error_is_told() -> None:
    found = list(table([line("published", 0), line("nuts", 0, "exit status 1: no | memory")]))
    assert "published (approximate)" in found[2]
    assert "exit status 1: no / memory" in found[3]


def test_gradients_are_those_of_all_chains() -> None:
    """The summary has means a replica."""
    stage = {"gradients": 5.0, "sweeps": 3}
    summary = {
        "goals_met": {"ess": True, "rhat": False},
        "chains": 32,
        "gradients": {"lockstep": 12.0, "own": 10.0},
        "stages": {"scout": stage, "sample": stage},
        "divergences": {"scout": {"trajectories": 96}, "sample": {"trajectories": 96}},
        "acceptance": {"whole": 0.9},
    }
    found = spent(summary)
    assert found["gradients"] == 320
    assert found["gradients_by_stage"]["sample"] == 160
    assert found["densities"] == 192
    assert found["unmet"] == ["rhat"]


def test_a_formulation_that_is_not_exact_has_no_ess() -> None:
    facts = {"name": "glmm", "target": 0.1, "force": 0.2, "accepted": 0.9, "gradients": 1000}
    lines = [{**facts, "formulation": "3", "exact": True, "ess": 50.0}, {**facts, "formulation": "4", "exact": False}]
    lines[1]["ess"] = None
    found = list(formulations.table(lines))
    assert found[2] == "| glmm | 3 | yes | 0.1 | 0.2 | 0.9 | 50 | 1,000 | 50 |"
    assert found[3] == "| glmm | 4 | no | 0.1 | 0.2 | 0.9 | - | 1,000 | - |"
