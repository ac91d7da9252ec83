"""The study of hard posteriors: its truths, its judge, the old rule, and its tables.

Truths are held against independent draws by other formulas, and these against the density that is sampled, by Stein's
identities; numbers right by construction are judged wrong less than once in 100,000 times, and all seeds are fixed.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from workflows.studies.lines import add, missing
from workflows.studies.posteriors.hard import laws, table
from workflows.studies.posteriors.hard.hard import Hard, element
from workflows.studies.posteriors.hard.judging import Stated, judge, share_z, stated
from workflows.studies.posteriors.hard.modes import Normals
from workflows.studies.posteriors.hard.running import Case, cases, run
from workflows.studies.posteriors.hard.suite import SUITE, hard
from workflows.studies.posteriors.hard.watching import NEW, old_rule, unmet

NAMES = [entry.name for entry in SUITE]
DRAWS = 4000
Z_LIMIT = 6.0
"""Standard errors that a mean of so many draws stays within: exceeded less than once in 100 million times."""


def sized(entry: Hard, draws: int) -> Stated:
    """What a run of so many independent draws would state."""
    sizes = {name: np.full(site.shape, float(draws)) for name, site in entry.build().target.sites.items()}
    return Stated(sizes, sizes, draws)


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 20
    with pytest.raises(ValueError, match="no hard posterior 'nobody'; there are funnel_event"):
        hard("nobody")


@pytest.mark.parametrize("name", NAMES)
def test_independent_draws_agree_with_the_truth(name: str) -> None:
    entry = hard(name)
    draws = entry.simulate(np.random.default_rng(1), DRAWS)
    verdict = judge(entry.aspects(), draws, sized(entry, DRAWS))
    assert verdict["right"], verdict


@pytest.mark.parametrize("name", NAMES)
def test_independent_draws_are_those_of_the_density(name: str) -> None:
    """For draws of a density with score s, E s_i = 0 and E x_i s_i = -1 in every coordinate (Stein)."""
    entry = hard(name)
    draws = dict(entry.simulate(np.random.default_rng(2), DRAWS))
    if name == "edge":
        draws = {"z": np.log(draws["p"]) - np.log1p(-draws["p"])}
    model = entry.build()

    def log_density(position: dict[str, jax.Array]) -> jax.Array:
        return sum(jnp.sum(term) for term in model.target.log_terms(position, model.data).values())

    score = jax.jit(jax.vmap(jax.grad(log_density)))({site: jnp.asarray(x) for site, x in draws.items()})
    for site, x in draws.items():
        s = np.asarray(score[site]).reshape(DRAWS, -1)
        for values in (s, x.reshape(DRAWS, -1) * s + 1.0):
            z = values.mean(axis=0) / (values.std(axis=0) / np.sqrt(DRAWS))
            assert np.abs(z).max() < Z_LIMIT, (site, z)


def test_the_density_of_a_mixture_is_scipys() -> None:
    normals = Normals(3, (0.7, 0.2, 0.1), ((0, 1), (5, 0), (-4, 2)), (1, 0.2, 3))
    x = np.random.default_rng(3).normal(0, 4, size=(20, 3))
    parts = [
        weight * stats.multivariate_normal(mean, sd**2).pdf(x)
        for weight, mean, sd in zip(normals.weights, normals.centres, normals.sds, strict=True)
    ]
    ours = np.asarray(jax.vmap(normals.log_density)(jnp.asarray(x)))
    expected = np.log(np.sum(parts, axis=0))
    np.testing.assert_allclose(ours - ours[0], expected - expected[0], rtol=1e-9)


def test_separated_modes_are_cut_between_them() -> None:
    law = laws.normal_mixture((0.8, 0.2), (-10, 10), (1, 1))
    between = [cut for cut in law.cuts if cut.point == 0]
    assert [cut.probability for cut in between] == pytest.approx([0.8])


def test_a_planted_ensemble_has_its_last_chain_alone_in_the_minor_mode() -> None:
    entry = hard("stray_percent")
    assert entry.planted is not None
    x = entry.planted(np.random.default_rng(4), 32)["x"]
    assert x.shape == (32, 10)
    assert np.flatnonzero(x[:, 0] > 5).tolist() == [31]


@pytest.mark.parametrize(("count", "probability", "size"), [(30, 0.05, 400), (12, 0.05, 400), (200, 0.5, 400)])
def test_the_deviation_of_a_share_is_the_binomial_one(count: int, probability: float, size: int) -> None:
    law = stats.binom(size, probability)
    above, below = law.sf(count - 1), law.cdf(count)
    expected = stats.norm.isf(min(above, 0.5)) if above < below else -stats.norm.isf(min(below, 0.5))
    assert share_z(count / size, probability, size) == pytest.approx(expected, rel=1e-9)


def test_shares_at_the_ends_and_without_a_size() -> None:
    assert share_z(0.0, 0.01, 400) == pytest.approx(-stats.norm.isf(0.99**400))
    assert share_z(1.0, 0.9, 400) == pytest.approx(stats.norm.isf(0.9**400))
    assert np.isnan(share_z(0.5, 0.5, float("nan")))


@pytest.mark.parametrize(
    ("spoilt", "worst"),
    [
        (lambda x: x + 0.3, "mean x[0]"),
        (lambda x: 1.3 * x, "sd x[0]"),
        (lambda x: np.where(np.arange(len(x)) < 125, 40.0, x), "x[0]"),
        (lambda x: np.full_like(x, np.nan), "x[0]"),
    ],
)
def test_what_is_planted_wrong_is_found(spoilt: Any, worst: str) -> None:
    x = np.random.default_rng(5).normal(size=DRAWS)
    aspects, size = [element("x", 0, laws.normal(1.0))], {"x": np.array([400.0])}
    good, bad = (judge(aspects, {"x": values[:, None]}, Stated(size, size, DRAWS)) for values in (x, spoilt(x)))
    assert good["right"]
    assert not bad["right"]
    assert worst in bad["worst"]


def test_an_error_that_is_not_stated_is_wrong() -> None:
    x = np.random.default_rng(6).normal(size=(DRAWS, 1))
    none = {"x": np.array([np.nan])}
    assert not judge([element("x", 0, laws.normal(1.0))], {"x": x}, Stated(none, none, DRAWS))["right"]


def test_deviations_of_right_numbers_have_the_size_that_is_stated() -> None:
    """1,000 runs of 400 draws: .0455 of normal deviates are beyond 2, within six standard errors; those of a mean, and
    nearly those of an sd, are normal."""
    rng, size = np.random.default_rng(7), {"x": np.array([400.0])}
    for law, tails in ((laws.Law((), laws.Moments(0, 1, 3)), 800.0), (laws.Law(laws.normal(1.0).cuts[:1]), 400.0)):
        errors = Stated(size, {"x": np.array([tails])}, 800)
        z = [judge([element("x", 0, law)], {"x": rng.normal(size=(400, 1))}, errors)["z"] for _ in range(1000)]
        beyond, each = np.mean(np.array(z) > 2), 2 if law.moments else 1
        expected = 1 - 0.9545**each
        assert abs(beyond - expected) < 6 * np.sqrt(expected / 1000)


def test_the_stated_sizes_are_those_of_the_stored_draws() -> None:
    """Of 1,000 states worth 100, every tenth stored: rho = 9/11, and 100 draws of correlation rho^10 are worth 76."""
    arrays = {
        "diagnostics/states": np.array(1000),
        "diagnostics/ess/x": np.array([100.0]),
        "diagnostics/tail_ess/x": np.array([np.nan]),
        "moments/ess/x": np.array([1.0]),
    }
    found = stated(arrays, 100)
    left = (9 / 11) ** 10
    assert found.ess["x"] == pytest.approx([100 * (1 - left) / (1 + left)])
    assert np.isnan(found.tail_ess["x"]).all()
    assert list(found.ess) == ["x"]


GOALS = ("ess", "rhat", *NEW[:4], "draws", *NEW[4:], "shared_ess", "shared_rhat")


def summary(*missed: str, furthest: float = 0.0, strays: tuple[str, ...] = ()) -> dict[str, Any]:
    met = {goal: goal not in missed for goal in GOALS}
    limits = {"furthest_chain": furthest, "furthest_chain_limit": 5.0}
    return {"goals_met": met, "strays": dict.fromkeys(strays, -1.0), **limits}


def test_single_chains_and_strays_are_told_apart() -> None:
    assert unmet(summary()) == []
    assert unmet(summary("chains", furthest=9.0)) == ["chains"]
    assert unmet(summary("chains", strays=("3",))) == ["strays"]
    assert unmet(summary("drift", "chains", furthest=9.0, strays=("3",))) == ["drift", "chains", "strays"]


def test_the_old_rule_knows_r_hat_ess_and_draws_only() -> None:
    assert old_rule([])
    assert old_rule(["tail_ess", "tail_rhat", "chains", "strays", "drift"])
    for goal in ("ess", "rhat", "draws", "shared_ess", "shared_rhat"):
        assert not old_rule([goal, "drift"])


def test_both_kinds_of_starts_take_turns() -> None:
    assert [case.start for case in cases(hard("student"), range(4))] == ["dispersed", "box"] * 2
    assert [case.start for case in cases(hard("stray_little"), range(4))] == ["drawn", "given"] * 2


def test_a_run_is_judged_at_its_end_and_where_the_old_rule_stops() -> None:
    entry = hard("student")
    line = run(entry, entry.build(), entry.aspects(), Case("student", "box", 1), minutes=5.0)
    assert line["error"] is None
    assert (line["met"], line["old_at_end"]) == (True, True)
    assert line["verdict"]["right"]
    assert 50 <= line["first"]["stored"] <= line["stored"] <= line["draws"]
    assert set(line["first"]["unmet"]) <= set(table.GOALS)
    json.dumps(line, allow_nan=False)


def line(name: str, met: bool, right: bool, first: tuple[bool, list[str]] | None = None) -> dict[str, Any]:
    verdict = {"right": right, "z": 9.0, "worst": "mean x[0]", "found": 1.0, "truth": 0.0}
    looked = None if first is None else {"verdict": {**verdict, "right": first[0]}, "unmet": first[1]}
    case = {"name": name, "start": "box", "seed": 1}
    return {**case, "error": None, "met": met, "verdict": verdict, "first": looked}


LINES = [
    line("student", True, True, (True, [])),
    line("student", True, True, (False, ["drift"])),
    line("student", False, False, (False, ["chains", "drift"])),
    line("student", True, False, (False, [])),
    line("student", False, True),
    {**line("student", False, True), "error": "AuditError: no", "first": None, "verdict": None},
]


def test_a_row_counts_what_was_met_and_what_the_old_rule_would_have_stopped() -> None:
    assert table.row("student", LINES) == "| student | 6 | 3 | 2 | 1 | 3 | 4 | 1 | 3 |"
    assert list(table.runs(LINES))[-1] == "| all | 6 | 3 | 2 | 1 | 3 | 4 | 1 | 3 |"


def test_goals_are_counted_where_they_held_a_wrong_run_back() -> None:
    found = {text.split(" | ")[0].strip("| "): text for text in table.goals(LINES)}
    assert found["drift"] == "| drift | 2 | 1 | 0 | 0 |"
    assert found["chains"] == "| chains | 1 | 0 | 0 | 0 |"
    assert found["any"] == "| any | 2 of 3 | | 0 of 1 | |"


def test_wrong_runs_are_named() -> None:
    told = list(table.fates(LINES))
    assert "3 runs" in told[0]
    assert "1 met their goals and were right, 1 met their goals and were wrong, 1 did not meet their goals" in told[0]
    assert told[1].startswith("1 runs ended with an error: student, box, seed 1 (AuditError: no)")
    assert told[-1] == "- student, box, seed 1: mean x[0] is 0, found 1, 9 errors off"


def test_lines_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    wanted = [Case("student", "box", 1), Case("student", "box", 2), Case("student", "prior", 1)]
    assert missing(wanted, path) == wanted
    add(LINES[0], path)
    assert missing(wanted, path) == wanted[1:]
