"""The black-box front end: NumPy functions of many positions, and what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.errors import MaxwellError
from kernels.structure.discovery import discover
from maxwell import black_box_model, run
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model

Y = np.array([1.0, -0.5, 2.0, 0.0])
SITES: dict[str, Any] = {"mu": (), "x": ((4,), ("row",))}
TERMS = {"mu": (), "x": (4,), "y": (4,)}
calls: list[int] = []


def rows(position: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """mu ~ N(0, 2), x_i ~ N(mu, 1), y_i ~ N(x_i, 1), in NumPy."""
    mu, x = position["mu"], position["x"]
    calls.append(len(mu))
    return {"mu": -0.125 * mu**2, "x": -0.5 * (x - mu[:, None]) ** 2, "y": -0.5 * (Y - x) ** 2}


def build() -> Model:
    return black_box_model(rows, SITES, TERMS, name="rows", likelihood=["y"])


def test_replicas_share_one_call_whatever_the_axes_in_front() -> None:
    target = build().target
    rng = np.random.default_rng(0)
    position = {"mu": jnp.asarray(rng.normal(size=(3, 5))), "x": jnp.asarray(rng.normal(size=(3, 5, 4)))}
    calls.clear()
    found = jax.jit(jax.vmap(jax.vmap(lambda p: target.log_terms(p, {}))))(position)
    assert calls == [15]
    np.testing.assert_allclose(found["x"], -0.5 * (position["x"] - position["mu"][..., None]) ** 2)
    assert (found["mu"].shape, found["y"].shape) == ((3, 5), (3, 5, 4))
    assert not target.has_gradient


def test_blocks_are_joined_where_nobody_can_see_that_a_term_does_not_touch_them() -> None:
    """mu's prior changes with no row, but a function that cannot be traced might."""
    target = build().target
    structure = discover(target, {}, target.initial(jax.random.key(1), {}), key=jax.random.key(2))
    assert [(level.name, level.n_blocks) for level in structure.levels] == [("global", 1), ("row", 1)]
    assert "'mu'" in structure.joined[0]


def test_it_runs_to_the_posterior(tmp_path: Any) -> None:
    """mu | y ~ N(sum y / 2 / (4 / 2 + 1 / 4), 1 / 2.25): mean .556. 6 standard errors at the ESS reported: one false
    alarm in 5e8."""
    settings = {
        "model": {"name": "tests.workflows.modelling.test_frontend_black_box:build"},
        "ensemble": {"replicas": 16},
        "scout": {"max_rounds": 4},
        "goals": {"ess": 200, "shared_ess": 200, "draws": 100},
        "limits": {"sweeps": 6000},
    }
    found = run(settings, out=tmp_path / "rows.zarr", local=True)
    mu = found.data["posterior"]["mu"].values
    effective = found.attributes["summary"]["ess_online_shared_min"]
    assert abs(mu.mean() - 0.625 / 1.125) < 6 * np.sqrt(1 / 2.25 / min(effective, mu.size))


@pytest.mark.parametrize("level", ["nuts", "hmc"])
def test_kernels_that_follow_a_gradient_are_refused_before_anything_runs(level: str, tmp_path: Any) -> None:
    settings = {
        "model": {"name": "tests.workflows.modelling.test_frontend_black_box:build"},
        "kernels": {"levels": {"global": level}},
    }
    with pytest.raises(MaxwellError, match="gradient"):
        run(settings, out=tmp_path / "never.zarr", local=True)
    assert not (tmp_path / "never.zarr").exists()


def per_position(position: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(-0.5 * (position["x"] ** 2).sum())


def across(position: dict[str, np.ndarray]) -> np.ndarray:
    x = position["x"]
    return -0.5 * ((x - x.mean(axis=0)) ** 2).sum(axis=1)


def random(position: dict[str, np.ndarray]) -> np.ndarray:
    return np.random.default_rng().normal(size=len(position["x"]))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (per_position, r"for 2 positions.*\{'log_density': \(\)\}; expected are \{'log_density': \(2,\)\}"),
        (lambda position: {"prior": position["x"][:, 0]}, r"\{'prior': \(2,\)\}; expected are"),
        (across, "treat each row of the first axis on its own"),
        (random, "use no random numbers"),
    ],
)
def test_functions_that_do_not_fit_are_refused(function: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        black_box_model(function, {"x": 3}, name="wrong")


def test_a_function_may_write_into_its_argument_and_give_the_same_array_again() -> None:
    kept = np.zeros(64)

    def in_place(position: dict[str, np.ndarray]) -> np.ndarray:
        x = position["x"]
        x -= 1.0
        kept[: len(x)] = -0.5 * (x**2).sum(axis=1)
        return kept[: len(x)]

    target = black_box_model(in_place, {"x": 3}, name="in place").target
    position = {"x": jnp.asarray([[1.0, 1.0, 1.0], [1.0, 1.0, 3.0]])}
    for _ in range(2):
        found = jax.jit(jax.vmap(lambda p: target.log_terms(p, {})))(position)
        np.testing.assert_array_equal(found["log_density"], [0.0, -2.0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda x: x + 1j, "values of type complex128 of term 'log_density': a log density is a real number"),
        (lambda x: x.astype(str), "values of type text"),
        (lambda x: [[1.0], [1.0, 2.0]], "of term 'log_density' is no array"),
    ],
)
def test_values_that_are_no_real_numbers_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        black_box_model(lambda position: values(position["x"][:, 0]), {"x": 3}, name="wrong")
