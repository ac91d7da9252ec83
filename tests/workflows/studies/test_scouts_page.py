"""The page that compares scouts: when an ensemble has arrived, what is counted, what the page says, one short run."""

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.protocol.plans import RoundPlan
from ensemble.protocol.stages import EQUILIBRATE, SCOUT, Stage
from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from kernels.structure.levels import Interweaving
from tests.support.models.ensemble_models import run_settings, shard_settings, small
from workflows.sampling.problem import named_problem
from workflows.sampling.run_settings import scout_kernel
from workflows.settings.loading import make_settings
from workflows.studies.scouts import page as scouts_page
from workflows.studies.scouts import trials as scout_trials
from workflows.studies.scouts.arrival import Arrival, arrived, evaluations, path_cost
from workflows.studies.scouts.page import FOLLOWED, WALKED, findings, line, page, recommendations, recommended
from workflows.studies.scouts.targets import (
    FUNNEL,
    TARGETS,
    Equilibrium,
    ScoutTarget,
    chi_squared,
    diagonal,
    eigenvalues,
    simulated,
)
from workflows.studies.scouts.trials import ONE_BLOCK, SCOUTS, Row, of_run

ROOT = Path(__file__).resolve().parents[3]
UNIT = Equilibrium(0.0, 1.0, 0.0, "exact")
TINY = ScoutTarget("tiny", "workflows.studies.scouts.targets:diagonal", {"dimension": 4}, lambda model: chi_squared(4))


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([-9.0, -0.5, 0.5, 1.0], 1),
        ([0.0, 0.0, -1.1, 0.0, 0.0, 0.0], 3),
        ([0.0, 0.0], None),
        ([0.0, np.nan, 0.0, 0.0], None),
        ([-5.0, -np.inf, -5.0], None),
        ([], None),
    ],
)
def test_an_ensemble_has_arrived_at_the_first_of_three_rounds_within_one_sd(
    means: list[float], expected: int | None
) -> None:
    assert arrived(means, UNIT) == expected


def test_too_high_a_density_is_as_far_as_too_low_a_one() -> None:
    assert arrived([2.0, 2.0, 2.0], UNIT) is None


def _plan(stage: Stage, sweeps: int, schedule: list[int]) -> RoundPlan:
    return RoundPlan(0, stage, 0, sweeps, {"schedule": np.array(schedule)})


def _level(name: str, leaf: bool) -> Any:
    return SimpleNamespace(name=name, leaf=leaf, width=2)


def _counted(
    stage: Stage, levels: list[Any], kernel: str, schedule: list[int], moves: int = 2, **kernels: KernelSpec
) -> float:
    scout = {"kernel": kernel, "trajectory": 10, "directions": 2, "repeats": 16}
    settings = run_settings(shard=shard_settings(scout=scout, repeats=4))
    structure: Any = SimpleNamespace(levels=levels)
    interweavings = (Interweaving("location", "mu", "x", None),) * moves
    spec = SweepSpec(structure, kernels, interweavings)
    return evaluations(_plan(stage, len(schedule), schedule), spec, settings)


def test_momentum_diffusion_is_charged_its_trajectory_the_walks_and_the_terms_computed_anew() -> None:
    levels = [_level("global", leaf=False), _level("g", leaf=True)]
    assert _counted(SCOUT, levels, "momentum_diffusion", [2]) == 10 * 5 + 1 + 16 + 1


def test_a_sweep_of_metropolis_is_one_evaluation_an_update() -> None:
    levels = [_level("global", leaf=False), _level("g", leaf=True)]
    assert _counted(EQUILIBRATE, levels, "momentum_diffusion", [0, 1, 2]) == 3 * (4 + 1) + 2
    assert _counted(EQUILIBRATE, levels, "none", [0, 0], moves=0) == 2 * (4 + 1)


def test_levels_that_follow_the_gradient_have_their_densities_with_it() -> None:
    assert _counted(SCOUT, [_level("g", leaf=True)], "short", [0], moves=0, g=KernelSpec("hmc")) == 0


def test_a_path_is_charged_to_those_who_start_from_it() -> None:
    plain, path = (scout_trials.settings(TINY, scout, 3) for scout in ("short HMC", "Pathfinder, short HMC"))
    assert path_cost(plain, 4) == (0.0, 0.0)
    assert path_cost(path, 4) == (51 * 25, 51)


def test_an_equilibrium_from_a_run_has_the_error_between_superchains() -> None:
    rng = np.random.default_rng(0)
    shift = np.array([0.0, 1.0, 2.0, 3.0])
    found = of_run(rng.standard_normal((500, 4, 50)) + shift[None, :, None], "a run")
    # The mean of 100,000 normals is within .02 of its own but for 1 in 1e9.
    assert found.mean == pytest.approx(1.5, abs=0.02)
    assert found.error == pytest.approx(shift.std(ddof=1) / 2, abs=0.05)


def test_exact_draws_give_the_equilibrium_of_a_gaussian() -> None:
    x = np.sqrt(eigenvalues(6)) * np.random.default_rng(1).standard_normal((4000, 6))
    found, exact = simulated(diagonal(dimension=6), {"x": jnp.asarray(x)}), chi_squared(6)
    # Six standard errors: a false alarm in 5e8.
    assert abs(found.mean - exact.mean) < 6 * found.error
    assert found.sd == pytest.approx(exact.sd, rel=0.15)


def test_the_funnels_equilibrium_is_near_its_closed_form() -> None:
    target = TARGETS["funnel"]
    assert target.exact is not None
    model = named_problem(scout_trials.settings(target, "short HMC", 1)).model
    found, wide = target.exact(model), FUNNEL - 1
    # -(chi^2_1 + chi^2_9 + 9 v) / 2: mean -5; variance 1 / 2 + 9 / 2 + 81 * 9 / 4.
    assert abs(found.mean + 0.5 * FUNNEL) < 6 * found.error
    assert found.sd == pytest.approx(np.sqrt(0.5 * FUNNEL + 0.25 * wide**2 * 9.0), rel=0.1)


ROWS = [
    Row("icg", "short HMC", Arrival(7, 0.0, 1234.4, 0.5, "scout"), 0.2, 9, 0.7),
    Row("icg", "short NUTS", Arrival(5, 0.0, 2000.0, 0.25, "scout"), 0.2, 9, 0.7),
    Row("icg", "Metropolis, by level", None, 812.3, 300, 4.0),
    Row("icg", "Pathfinder, short HMC", None, np.nan, 0, 0.0, "no finite start"),
]


def test_a_row_says_what_it_took_or_how_far_it_came() -> None:
    assert line(ROWS[0]) == "| icg | short HMC | 7 | 0 | 1,234 | 0.50 | scout | 0.2 sd after 9 rounds, 0.7 s |"
    assert line(ROWS[2]).startswith("| icg | Metropolis, by level | - | - | - | - | - | 8.1e+02 sd after 300 rounds")
    assert line(ROWS[3]).endswith("| - | no finite start |")


def test_findings_name_the_soonest_the_cheapest_and_the_misses() -> None:
    (sentence,) = findings(ROWS)
    assert "soonest short NUTS (0.25 kernel s)" in sentence
    assert "fewest evaluations short HMC" in sentence
    assert sentence.endswith("not in the budget: Metropolis, by level; Pathfinder, short HMC.")
    assert "no scout arrived" in findings(ROWS[2:])[0]


def test_the_page_has_every_row_the_command_and_says_when_it_was_cut_short() -> None:
    whole, cut = (page(ROWS, {"icg": UNIT}, (300, 4.0), "`the command`, the machine", planned) for planned in (4, 6))
    assert all(line(row) in whole for row in ROWS)
    assert "Made by `the command`, the machine." in whole
    assert "300 rounds and 4 kernel seconds" in whole
    assert "| icg | 0.00 | 1.00 | 0 | exact |" in whole
    assert "Interrupted" not in whole
    assert "Interrupted: 4 of 6 rows" in cut


def test_one_run_arrives_and_is_counted() -> None:
    found = scout_trials.row(TINY, "Metropolis, by level", chi_squared(4), ("i",), rounds=60, seconds=60.0)
    assert found.arrival is not None
    assert found.arrival.stage == "equilibrate"
    # One leaf level without interweaving: one evaluation a sweep; the run stops two rounds after the arrival.
    assert found.arrival.evaluations == found.arrival.rounds == found.rounds - 2
    assert found.arrival.gradients == 0
    assert 0 < found.arrival.seconds <= found.seconds


def test_the_command_on_the_page_makes_it_again() -> None:
    chosen = argparse.Namespace(targets=["icg"], scouts=["short HMC"], rounds=9, seconds=4.0, out="elsewhere.md")
    made = "python -m workflows.studies.scouts.compare icg --scouts 'short HMC' --rounds 9 --seconds 4"
    assert scouts_page.command(chosen) == made
    chosen.targets, chosen.scouts = list(TARGETS), list(scout_trials.SCOUTS)
    assert scouts_page.command(chosen) == "python -m workflows.studies.scouts.compare --rounds 9 --seconds 4"


def _published() -> list[Row]:
    """The rows of docs/scouts.md, as far as a recommendation reads them."""
    rows = []
    for text in (ROOT / "docs" / "scouts.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if len(cells) == 8 and cells[1] in SCOUTS:
            target, scout, rounds, evaluations, gradients, seconds, stage, end = cells
            arrival = None
            if stage != "-":
                spent = (float(count.replace(",", "")) for count in (evaluations, gradients, seconds))
                arrival = Arrival(int(rounds), *spent, stage)
            rows.append(Row(target, scout, arrival, 0.0, 0, 0.0, ONE_BLOCK if end == ONE_BLOCK else ""))
    return rows


def test_auto_is_what_the_published_page_recommends() -> None:
    rows = _published()
    assert len(rows) == len(TARGETS) * len(SCOUTS)
    page = (ROOT / "docs" / "scouts.md").read_text("utf-8")
    assert all(sentence in page for sentence in recommendations(rows))
    best = {situation: found[0] for situation, found in recommended(rows).items()}
    auto, walked = make_settings({"model": {"name": "scorpio"}}), small().spec
    assert scout_kernel(auto, walked) == best[WALKED.situation]
    followed = walked._replace(kernels={**walked.kernels, "global": KernelSpec("nuts")})
    assert scout_kernel(auto, followed) == best[FOLLOWED.situation]


def test_a_scout_that_never_arrives_is_not_recommended() -> None:
    arrival = Arrival(1, 1.0, 0.0, 5.0, "scout")
    rows = [Row("a", "SPSA, by level", arrival, 0.0, 1, 5.0), Row("a", "Metropolis, by level", None, 9.0, 1, 5.0)]
    best, worst = recommended(rows)[WALKED.situation]
    assert best == "momentum_diffusion"
    assert worst == {"momentum_diffusion": 1.0, "none": np.inf}
