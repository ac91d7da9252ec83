"""The table of compared samplers."""

from typing import Any

from workflows.studies.posteriors.table import table


def line(sampler: str, seed: int, right: bool, rate: float, error: str | None = None) -> dict[str, Any]:
    told = {"name": "banana", "sampler": sampler, "start": "prior", "seed": seed, "core_seconds": 10.0 + seed}
    if error is not None:
        return told | {"error": error}
    judged = {"mean_error": 0.01, "mean_worst": "x[0]", "sd_error": 0.02, "sd_worst": "y[0]", "right": right}
    return told | judged | {"error": None, "goals_met": right, "ess_per_core_second": rate}


def test_a_row_has_shares_medians_and_the_ratio() -> None:
    lines = [line("maxwell", seed, True, 4.0 + seed) for seed in range(3)]
    lines += [line("numpyro", seed, True, 2.5) for seed in range(3)]
    found = list(table(lines))
    assert (
        found[2]
        == "| banana | prior | 3/3 | 3/3 | 11 | 5 | 0.01 (x[0]) | 0.02 (y[0]) | 3/3 | 11 | 2.5 | 2 | - | - | - | - |"
    )
    assert found[-1] == (
        "Median ratio of ESS per core-second to NumPyro's, where both are right: 2, smallest 2 (1 rows)."
    )


def test_every_other_sampler_has_its_columns() -> None:
    lines = [line("maxwell", 0, True, 4.0), line("nutpie", 0, True, 16.0), line("numpyro", 0, False, 2.0)]
    found = list(table(lines))
    assert found[0].count("|") == found[2].count("|")
    assert found[2].endswith("| 0/1 | 10 | - | - | 1/1 | 10 | 16 | 0.25 |")
    assert found[-1].startswith("Median ratio of ESS per core-second to nutpie's, where both are right: 0.25")


def test_the_ess_of_wrong_runs_is_none() -> None:
    lines = [line("maxwell", 0, False, 400.0), line("maxwell", 1, True, 4.0), line("numpyro", 0, True, 2.0)]
    assert list(table(lines))[2].split(" | ")[2:6] == ["1/2", "1/2", "10.5", "-"]


def test_a_run_that_failed_says_why() -> None:
    found = list(table([line("maxwell", 0, False, 0.0, "exit status 1: no finite | density")]))
    assert found[2].split(" | ")[6] == "exit status 1: no finite / density"
    assert found[-1] == "maxwell: 0/1 met their goals, 0/1 right, median 10 core-seconds."
