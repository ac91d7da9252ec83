"""Simulation-based calibration of the shipped models at a reduced size, by the sweeps that their configurations choose.

Parameters from each model's own prior, data from its own likelihood, and posterior draws by its own kernels: census by
Metropolis on all levels and interweaving, alcohol by NUTS on the shared parameters and Metropolis on the people, bond
by NUTS and one subject of rri by HMC on the whole vector, several by HMC on each subject and Metropolis on the
population. Shared parameters are ranked, local ones, and the log likelihood, which ties them to the data (Modrak et al.
2023, Bayesian Analysis 20, 461-488). False alarms are below 1e-6 a test (see tests.support.calibration).

Chains start at prior draws of their own, but for several subjects of rri. Their prior, of locations as uncertain as the
subjects are different, makes curves with several modes or narrow ridges: from starts at the best of random choices,
which were not polished yet, 21 of 96 truths had a log likelihood above all of 15 draws, where 6 are expected. Their
ranks are those of the truth in a chain around it.

Where the residuals of census are a fifth of their prior scale or smaller, its states and areas hold each
other and Metropolis mixes slowly: most of what is left of correlation among its draws.
"""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.types import Data, Position
from tests.support.calibration import (
    Plan,
    Simulated,
    Study,
    calibrated,
    require_nearly_independent,
    require_uniform_ranks,
    shifted,
    shipped,
    simulations,
    widened,
)
from tests.support.models.bond_study import bond_study
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.registry import build
from workflows.models.alcohol import heaping
from workflows.models.alcohol.model import FIRST, GROUPS, alcohol
from workflows.models.census.model import COEFFICIENTS, census, covariates_of
from workflows.models.rri.model import single
from workflows.models.rri.simulate import times

pytestmark = pytest.mark.slow


def replacing(name: str) -> Callable[[Data, Position], Data]:
    """New values of y under that name of the data."""
    return lambda data, outcomes: {**data, name: outcomes["y"]}


def one_subject() -> Study:
    """60 intervals; centre and spread, the standardisation, are given numbers: the prior then knows no data."""
    t = times(60)
    data = {"t": t, "y": np.zeros(t.size), "center": 700.0, "spread": 100.0, "noise": "constant"}

    def quantities(values: Position) -> dict[str, jax.Array]:
        return {name: values[name] for name in ("alpha", "beta", "c", "lambda", "phi", "tau", "delta", "sigma")}

    plan = Plan(sweeps=4, windows=8, rounds=10, kept=7, thin=4, datasets=640, together=64)
    return Study(numpyro_model(single, data), shipped("rri"), replacing("y"), quantities, plan)


def several_subjects() -> Study:
    """Four subjects of 40 intervals, whose chains start where the model's do, at curves fitted to the data."""

    def quantities(values: Position) -> dict[str, jax.Array]:
        found = {f"location {k}": values["location"][k] for k in range(8)}
        found |= {f"spread {k}": values["spread"][k] for k in range(8)}
        return found | {f"{name} {s}": values[name][s] for name in ("alpha", "c", "tau", "sigma") for s in (0, 3)}

    plan = Plan(sweeps=4, windows=8, rounds=12, kept=7, thin=16, datasets=240, together=48)
    model = build("rri", {"subjects": 4, "observations": 40})
    return Study(model, shipped("rri_population"), replacing("y"), quantities, plan, fitted=True, around=True)


def few_areas() -> Study:
    """36 workers in 8 areas of 3 states; two areas have one worker."""
    area = np.repeat(np.arange(8), [1, 9, 6, 1, 5, 7, 3, 4])
    rng = np.random.default_rng(0)
    data = {
        "log_income": np.zeros(area.size),
        "covariates": covariates_of(rng.integers(9, 17, area.size), rng.integers(3, 50, area.size)),
        "area": area.astype(np.int32),
        "state": np.array([0, 0, 0, 1, 1, 1, 2, 2], np.int32),
        "states": 3,
        "correlated": True,
        "student": True,
    }

    def quantities(values: Position) -> dict[str, jax.Array]:
        found = {name: values[name] for name in ("sigma", "nu")}
        for name in COEFFICIENTS[:2]:
            found |= {f"{kind}_{name}": values[f"{kind}_{name}"] for kind in ("mu", "sd_state", "sd_area")}
        found |= {"correlation": values["correlation"][1, 0], "state": values["state_education"][1]}
        alone, many = values["coefficients"][0], values["coefficients"][1]
        return found | {"alone": alone[0], "many": many[1], "z": values["z"][1, 0]}

    plan = Plan(sweeps=12, windows=10, rounds=15, kept=7, thin=20, datasets=384, together=96)
    return Study(numpyro_model(census, data), shipped("census"), replacing("log_income"), quantities, plan)


CATEGORIES = {"region": 2, "sex": 2, "education": 3, "ethnicity": 2, "marital": 3, "age": 4}
EVERY = heaping.tables(np.arange(1, heaping.LARGEST + 2))
"""Tables of every count up to the grids' end and of one beyond, which stands for all beyond."""


def looked_up(counts: jax.Array) -> heaping.Tables:
    """heaping.tables of counts [N] inside a compiled function: a wide column for every count, whatever is behind it."""
    index = jnp.minimum(counts, heaping.LARGEST + 1) - 1
    step, ratio, ways = (jnp.asarray(part)[..., index] for part in sources_of_every())
    size, everyone = counts.size, jnp.arange(counts.size)
    return heaping.Tables(
        further=counts - 1.0,
        constant=-jax.scipy.special.gammaln(counts.astype(jnp.float64)),
        near=heaping.Near(jnp.zeros(size), jnp.zeros(size), jnp.ones((4, size)), jnp.zeros((4, size))),
        wide=heaping.Sources(everyone, step, ratio, ways),
    )


def sources_of_every() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """step, ratio [T, count] and ways [4, T, count] of every count of EVERY, near and wide alike."""
    near, wide = EVERY.near, EVERY.wide
    rows, size = len(wide.step), near.step.size
    step, ratio, ways = np.zeros((rows, size)), np.full((rows, size), -np.inf), np.zeros((4, rows, size))
    step[1], ratio[0], ratio[1] = near.step, 0.0, near.ratio
    ways[:, 0], ways[:, 1] = near.own, near.other
    step[:, wide.heaped], ratio[:, wide.heaped], ways[:, :, wide.heaped] = wide.step, wide.ratio, wide.ways
    return step, ratio, ways


def few_people() -> Study:
    """50 people in six groups of fewer categories, two of them with unknown answers."""
    people, unknown = 50, [7, 31]
    rng = np.random.default_rng(0)
    names = (*GROUPS, "age")
    groups = {name: np.arange(people) % size for name, size in CATEGORIES.items()}
    for index in groups.values():
        rng.shuffle(index)
    answered = np.delete(np.arange(people), unknown)
    data = {
        "drinks": np.ones(answered.size, np.int32),
        "known": jax.tree.map(np.asarray, looked_up(jnp.ones(answered.size, int))),
        "answered": answered.astype(np.int32),
        "combinations": tuple(
            np.ravel_multi_index(tuple(groups[n] for n in part), tuple(CATEGORIES[n] for n in part)).astype(np.int32)
            for part in (names[:FIRST], names[FIRST:])
        ),
    }

    def observed(data: Data, outcomes: Position) -> Data:
        return {**data, "drinks": outcomes["y"].astype(np.int32), "known": looked_up(outcomes["y"])}

    def quantities(values: Position) -> dict[str, jax.Array]:
        found = {name: values[name] for name in ("mu", "sd_person", "sd_sex", "sd_education", "sd_age")}
        found |= {f"effect_{name}": values[f"effect_{name}"][0] for name in ("region", "sex", "marital", "age")}
        found |= {f"reporting {k}": values["reporting"][k] for k in (0, 1)}
        return found | {"deviation": values["deviation"][0]} | {f"x {k}": values["propensity"][k] for k in (1, 7)}

    plan = Plan(sweeps=4, windows=7, rounds=12, kept=7, thin=5, datasets=480, together=32)
    model = numpyro_model(alcohol, data | CATEGORIES)
    return Study(model, shipped("alcohol_small"), observed, quantities, plan)


def two_years() -> Study:
    """104 weeks of the bond model."""
    plan = Plan(sweeps=4, windows=8, rounds=10, kept=7, thin=2, datasets=480, together=48)
    return bond_study(plan, shipped("bond"))


STUDIES = {
    "rri": one_subject,
    "rri of several": several_subjects,
    "census": few_areas,
    "alcohol": few_people,
    "bond": two_years,
}


@cache
def simulated(name: str) -> Simulated:
    return simulations(STUDIES[name](), seed=2)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", STUDIES)
def test_ranks_are_uniform(name: str) -> None:
    require_uniform_ranks(simulated(name))


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("by", [-1 / 3, 1 / 3])
def test_posteriors_shifted_by_a_third_of_their_sd_fail(name: str, by: float) -> None:
    found = simulated(name)
    assert not calibrated(found.truths, shifted(found.draws, by))


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("by", [2 / 3, 4 / 3])
def test_posteriors_too_narrow_or_too_wide_by_a_third_fail(name: str, by: float) -> None:
    found = simulated(name)
    assert not calibrated(found.truths, widened(found.draws, by))


@pytest.mark.parametrize("name", STUDIES)
def test_the_draws_that_are_ranked_are_nearly_independent(name: str) -> None:
    require_nearly_independent(simulated(name))


@pytest.mark.parametrize("name", STUDIES)
def test_the_structure_found_on_one_data_set_is_that_of_all(name: str) -> None:
    """The cells that a chain has kept through all its moves are those of its last position computed anew."""
    assert simulated(name).drift < 1e-9


def test_looked_up_tables_give_the_shipped_likelihood() -> None:
    """All counts to the end of the grids and two beyond, against heaping.tables of the same counts."""
    counts = np.array([*range(1, heaping.LARGEST + 3), 2, 12, 12])
    propensity = jnp.linspace(-2.0, 7.0, counts.size)
    weights = jnp.asarray([0.5, 0.3, 0.2])
    expected = heaping.log_probability(propensity, weights, heaping.tables(counts))
    found = heaping.log_probability(propensity, weights, looked_up(jnp.asarray(counts)))
    np.testing.assert_allclose(found, expected, rtol=1e-11)
