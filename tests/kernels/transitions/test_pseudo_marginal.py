"""Pseudo-marginal targets, the splitting and the joint U-turn rule, by measurement; and what is refused."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.dynamics import metric, splitting
from kernels.dynamics.integrators import LEAPFROG, ROTATION_OUTSIDE, STRANG, Phase, Scheme, hamiltonian_flows, stepper
from kernels.dynamics.metric import Leading, LowRank
from kernels.dynamics.splitting import Auxiliary, Harmonic, harmonic_flows
from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.target import Site, Target
from kernels.transitions.hmc import HmcParameters
from kernels.transitions.nuts.sampler import JOINT_CAP, Nuts, trajectory
from kernels.transitions.nuts.turning import Turning, capped, u_turn
from kernels.transitions.pseudo_marginal.metropolis import PseudoMarginalMetropolis
from kernels.transitions.pseudo_marginal.target import AUXILIARY, auxiliary_site, estimated_terms, log_estimate
from kernels.transitions.pseudo_marginal.trajectories import joint_view, pseudo_marginal_hmc, pseudo_marginal_nuts
from maxwell import run
from tests.kernels.transitions.test_nuts import CHAINS, DEEPEST, gaussian, injected, start_of
from tests.kernels.transitions.test_pseudo_marginal_exact import proposals, wrong_flows
from tests.support.models.pseudo_marginal_models import (
    INDIVIDUALS,
    SAMPLES,
    log_prior,
    log_weights,
    one_draw,
    small,
    view,
)
from tests.support.one_replica import OneReplica
from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.pseudo_marginal import pseudo_marginal_model

MASS = 10.0
WIDTH = 2 + INDIVIDUALS * SAMPLES
BOTH = pytest.mark.parametrize("scheme", [ROTATION_OUTSIDE, STRANG], ids=lambda scheme: scheme.name)


def parameters(h: float, steps: int, beta: float = 1.0) -> HmcParameters:
    """With mass 10 for theta, as a factor."""
    factor = Leading(jnp.full((2, 1), MASS**-0.5))
    return HmcParameters(jnp.asarray(beta), jnp.asarray(h), factor, jnp.asarray(steps, jnp.int32))


def flow_of(scheme: Scheme, h: float, steps: int) -> tuple[Any, jax.Array]:
    """(theta, u, rho, p) -> the same after a trajectory, all in one vector; and a start."""
    position, y = one_draw()
    own, hmc = view("whole"), pseudo_marginal_hmc(view("whole"), scheme)
    state = evaluate(own.target, own.structure, position, y)
    scale = jnp.where(jnp.arange(WIDTH) < 2, MASS**0.5, 1.0)[:, None]

    @jax.jit
    def flow(phase: jax.Array) -> jax.Array:
        coordinates, momentum = jnp.reshape(phase, (2, WIDTH, 1))
        moved = State(own.level.scatter(position, coordinates), state.cells)
        end = hmc.flow(momentum / scale, moved, y, parameters(h, steps))
        return jnp.concatenate([(coordinates + end.offset / scale).ravel(), (end.momentum * scale).ravel()])

    momentum = scale[:, 0] * jax.random.normal(jax.random.key(1), (WIDTH,))
    return flow, jnp.concatenate([own.blocks(position)[:, 0], momentum])


def published(phase: np.ndarray, h: float, steps: int) -> np.ndarray:
    """The published scheme, written out: A(h/2) B(h) A(h/2) with rho ~ N(0, m I), p ~ N(0, I)."""
    _, y = one_draw()
    theta, u, rho, p = np.split(np.asarray(phase), [2, WIDTH, WIDTH + 2])

    def log_density(theta: jax.Array, u: jax.Array) -> jax.Array:
        found = {"mu": theta[0], "log_sd": theta[1]}
        weights = log_weights(found, u.reshape(INDIVIDUALS, SAMPLES, 1), y)
        prior = sum(jnp.sum(term) for term in log_prior(found, y).values())
        return prior + jnp.sum(jnp.log(jnp.mean(jnp.exp(weights), axis=1)))

    gradient = jax.jit(jax.grad(log_density, argnums=(0, 1)))
    cos, sin = np.cos(h / 2), np.sin(h / 2)
    for _ in range(steps):
        theta, u, p = theta + h / 2 * rho / MASS, u * cos + p * sin, p * cos - u * sin
        by_theta, by_u = gradient(theta, u)
        rho, p = rho + h * by_theta, p + h * by_u
        theta, u, p = theta + h / 2 * rho / MASS, u * cos + p * sin, p * cos - u * sin
    return np.concatenate([theta, u, rho, p])


def test_the_trajectory_is_the_published_one() -> None:
    flow, start = flow_of(ROTATION_OUTSIDE, 0.3, 7)
    np.testing.assert_allclose(flow(start), published(np.asarray(start), 0.3, 7), rtol=0.0, atol=1e-12)


def turned_back(flow: Any, start: jax.Array) -> float:
    """Largest error after there, all momenta turned round, and back."""
    turn = jnp.where(jnp.arange(2 * WIDTH) < WIDTH, 1.0, -1.0)
    return float(jnp.max(jnp.abs(turn * flow(turn * flow(start)) - start)))


def log_volume(flow: Any, start: jax.Array) -> float:
    return float(np.linalg.slogdet(np.asarray(jax.jacfwd(flow)(start)))[1])


@BOTH
def test_reversible_and_volume_preserving(scheme: Scheme) -> None:
    """The whole state: theta, rho, u and p."""
    flow, start = flow_of(scheme, 0.4, 20)
    assert float(jnp.max(jnp.abs(flow(start) - start))) > 0.5
    assert turned_back(flow, start) < 1e-12
    assert abs(log_volume(flow, start)) < 1e-11


def test_a_rotation_by_the_updated_u_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shrinks volume by cos^2(h / 2) for each of the two half rotations of a step and each coordinate of u."""
    monkeypatch.setattr(splitting, "harmonic_flows", wrong_flows)
    flow, start = flow_of(ROTATION_OUTSIDE, 0.4, 20)
    assert turned_back(flow, start) > 1e-3
    lost = 2 * 20 * INDIVIDUALS * SAMPLES * 2.0 * np.log(np.cos(0.2))
    np.testing.assert_allclose(log_volume(flow, start), lost, rtol=1e-9)


@cache
def energy_error(scheme: Scheme) -> Any:
    """Compiled: parameters -> |H - H0| at the end of a trajectory."""
    position, y = one_draw()
    own, hmc = view("whole"), pseudo_marginal_hmc(view("whole"), scheme)
    state = evaluate(own.target, own.structure, position, y)
    momentum = jax.random.normal(jax.random.key(2), (WIDTH, 1))
    theta = jnp.where(jnp.arange(WIDTH) < 2, MASS**-0.5, 1.0)[:, None]

    def error(used: HmcParameters) -> jax.Array:
        end = hmc.flow(momentum, state, y, used)
        moved = own.level.scatter(position, own.blocks(position) + theta * end.offset)
        change = own.change(state.cells, own.cells_at(moved, y))[0]
        return jnp.abs(change + 0.5 * jnp.sum(momentum**2) - 0.5 * jnp.sum(end.momentum**2))

    return jax.jit(error)


@BOTH
def test_energy_error_is_of_second_order(scheme: Scheme) -> None:
    """Over 2.4 units of time."""
    steps = np.array([0.1, 0.05, 0.025, 0.0125])
    errors = [float(energy_error(scheme)(parameters(h, round(2.4 / h)))) for h in steps]
    assert abs(np.polyfit(np.log(steps), np.log(errors), 1)[0] - 2.0) < 0.1
    assert errors[-1] > 1e-8, "errors of rounding would say nothing"


def test_gradients_a_step() -> None:
    calls: list[jax.Array] = []

    def force(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        calls.append(offset)
        return jnp.sum(offset**2), 2.0 * offset

    q = jnp.ones(3)
    flows = harmonic_flows(force, Harmonic(q, jnp.asarray(1.0), q > 0.0, 0))
    for scheme in (STRANG, ROTATION_OUTSIDE):
        calls.clear()
        stepper(scheme, flows)(jnp.asarray(0.1), Phase(q, q, jnp.zeros(()), q))
        assert len(calls) == scheme.gradients == 1
    assert ROTATION_OUTSIDE.palindromic
    assert ROTATION_OUTSIDE.stale
    assert not STRANG.stale


@BOTH
def test_gradients_a_trajectory(scheme: Scheme) -> None:
    """As many as it has steps; one more where a step begins with a kick."""
    calls: list[None] = []
    (target, structure), (position, y) = small(), one_draw()

    def counted(*arguments: Any) -> Any:
        jax.debug.callback(lambda: calls.append(None))
        return target.log_terms(*arguments)

    own = joint_view(replace(target, log_terms=counted), structure)
    state = evaluate(target, structure, position, y)
    end = pseudo_marginal_hmc(own, scheme).flow(jnp.ones((WIDTH, 1)), state, y, parameters(0.1, 5))
    jax.block_until_ready(end)
    jax.effects_barrier()
    assert len(calls) == (5 if scheme.stale else 6)


def test_without_rotating_coordinates_it_is_leapfrog() -> None:
    force = jax.value_and_grad(lambda q: jnp.sum(q**4))
    q, p = jnp.asarray([0.3, -0.6]), jnp.asarray([1.0, 0.2])
    plain = hamiltonian_flows(force)
    none = harmonic_flows(force, Harmonic(q, jnp.asarray(1.0), jnp.zeros(2, bool), 0))
    phase = Phase(q, p, *force(q))
    ends = [stepper(scheme, flows)(jnp.asarray(0.2), phase) for scheme, flows in ((LEAPFROG, plain), (STRANG, none))]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-15), *ends)


def test_hundred_thousand_coordinates_rotate_without_energy_error() -> None:
    """D = 10^5 under their prior alone: five steps, after which leapfrog is off by more than 1."""
    rng = np.random.default_rng(0)
    origin, momentum = jnp.asarray(rng.normal(size=(2, 100_000)))
    errors = {}
    for scheme, name in ((STRANG, "rotation"), (LEAPFROG, "leapfrog")):

        def whole(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
            return 0.5 * jnp.sum((origin + offset) ** 2), origin + offset

        harmonic = Harmonic(origin, jnp.asarray(1.0), jnp.ones(origin.size, bool), 0)
        force, flows = splitting.split(whole, harmonic) if name == "rotation" else (whole, hamiltonian_flows(whole))
        phase = Phase(jnp.zeros_like(origin), momentum, *force(jnp.zeros_like(origin)))
        step = jax.jit(partial(stepper(scheme, flows), jnp.asarray(0.3)))
        end = phase
        for _ in range(5):
            end = step(end)
        rise = end.potential - phase.potential + 0.5 * jnp.sum(end.momentum**2 - phase.momentum**2)
        errors[name] = abs(float(rise))
    assert errors["rotation"] < 1e-8
    assert errors["leapfrog"] > 1.0


def test_the_structure_is_found() -> None:
    """Levels global and individual; each u_k touches its own two terms only, theta all estimates."""
    _, structure = small()
    names = [(level.name, level.n_blocks, level.width) for level in structure.levels]
    assert names == [("global", 1, 2), ("individual", INDIVIDUALS, SAMPLES)]
    individual = structure.level("individual")
    assert set(individual.terms) == {"auxiliary", "estimate"}
    for owned in individual.owners.values():
        np.testing.assert_array_equal(owned.owner, np.arange(INDIVIDUALS))
    assert set(structure.level("global").terms) == {"mu", "log_sd", "estimate"}


def test_terms_by_hand() -> None:
    target, _ = small()
    position, y = one_draw()
    terms = target.log_terms(position, y)
    u, x = np.asarray(position["u"])[..., 0], np.exp(position["log_sd"]) * np.asarray(position["u"])[..., 0]
    weights = np.exp(-0.5 * (np.asarray(y)[:, None] - x - float(position["mu"])) ** 2)
    np.testing.assert_allclose(terms["estimate"], np.log(weights.mean(axis=1)), rtol=1e-13)
    np.testing.assert_allclose(terms["auxiliary"], np.sum(-0.5 * u**2 - 0.5 * np.log(2 * np.pi), axis=1), rtol=1e-13)


def test_weights_overflow_and_logarithms_do_not() -> None:
    """The first false turn of every implementation: a mean of weights, then its logarithm."""
    logs = jnp.asarray([[1000.0, 1000.0], [-2000.0, -2001.0], [0.0, -jnp.inf], [-jnp.inf, -jnp.inf]])
    naive = np.asarray(jnp.log(jnp.mean(jnp.exp(logs), axis=1)))
    assert naive[0] == np.inf
    assert naive[1] == -np.inf
    expected = [1000.0, -2000.0 + np.log1p(np.exp(-1.0)) - np.log(2.0), -np.log(2.0), -np.inf]
    np.testing.assert_allclose(log_estimate(logs), expected, rtol=1e-14)
    assert np.isnan(log_estimate(jnp.asarray([[0.0, jnp.nan]]))[0])


def failing(theta: Any, u: jax.Array, y: jax.Array) -> jax.Array:
    """Log weights that are NaN where mu > 1.2."""
    return jnp.where(theta["mu"] > 1.2, jnp.nan, log_weights(theta, u, y))


def nan_view() -> LevelView:
    own = small()[0]
    position, y = one_draw()
    target = Target(
        own.sites, own.term_kinds, estimated_terms(log_prior, failing, own.sites["u"]), own.constrain, own.initial
    )
    start = {**position, "mu": jnp.asarray(0.0)}
    return joint_view(target, discover(target, y, start, key=jax.random.key(0)))


def test_nan_on_the_way_is_rejected_and_counted() -> None:
    own, (position, y) = nan_view(), one_draw()
    state = evaluate(own.target, own.structure, {**position, "mu": jnp.asarray(1.1)}, y)
    auxiliary = Auxiliary(own, AUXILIARY)
    keys = jax.random.split(jax.random.key(0), 200)
    walk, hmc = PseudoMarginalMetropolis(own, auxiliary), pseudo_marginal_hmc(own)
    moves = [
        lambda key: OneReplica(walk).step(key, state, y, proposals(0.5)),
        lambda key: OneReplica(hmc).step(key, state, y, parameters(0.5, 2)),
    ]
    for move in moves:
        after, info = jax.jit(jax.vmap(move))(keys)
        assert 10 < int(info.nonfinite.sum()) < 190
        assert not (np.asarray(info.acceptance_probability)[np.asarray(info.nonfinite) > 0] > 0.0).any()
        assert float(after.position["mu"].max()) <= 1.2
        assert all(np.isfinite(cells).all() for cells in after.cells.values())


def rotation_momenta(step: float, count: int, d: int) -> jax.Array:
    """Momenta of a rotation at times 0, h, 2 h, ... of d coordinates from N(0, I), [count, 1, d]."""
    u, p = jnp.asarray(np.random.default_rng(5).normal(size=(2, d)))
    times = step * jnp.arange(count)[:, None]
    return (p * jnp.cos(times) - u * jnp.sin(times))[:, None, :]


@pytest.mark.parametrize(("limit", "expected"), [(JOINT_CAP, 0.896), (np.inf, np.pi)], ids=["cap", "no cap"])
def test_the_joint_rule_says_nothing_of_theta(limit: float, expected: float) -> None:
    """D = 64,000: the way's product with the end momentum is D sin t, whatever theta does."""
    step = 0.02
    momenta = rotation_momenta(step, 200, 64_000)
    rule = capped(jnp.asarray([step]), limit)
    sums = jnp.cumsum(momenta, axis=0)
    turned = [bool(rule(momenta[0], momenta[n], sums[n])[0]) for n in range(1, 200)]
    assert abs(step * (1 + turned.index(True)) - expected) < 0.04


def test_a_rule_that_watches_the_first_coordinates() -> None:
    """Watching the first three is a rule of them, though all coordinates move."""
    offset, arrays = start_of("gaussian")
    gradient = jax.vmap(jax.value_and_grad(gaussian))
    trajectory_of = partial(trajectory, gradient, LEAPFROG, jnp.asarray(offset), injected(arrays), 0.25, DEEPEST)

    def of_three(start: jax.Array, end: jax.Array, total: jax.Array) -> jax.Array:
        return u_turn(start[:, :3], end[:, :3], total[:, :3])

    watched, by_rule = trajectory_of(turning=Turning(watched=3)), trajectory_of(turning=Turning(of_three))
    plain = trajectory_of()
    jax.tree.map(np.testing.assert_array_equal, watched, by_rule)
    assert (np.asarray(watched[1].n_steps) != np.asarray(plain[1].n_steps)).sum() > CHAINS // 4


def test_nuts_looks_at_theta_unless_told() -> None:
    own = view("whole")
    assert pseudo_marginal_nuts(own, 3)._turning(jnp.ones(1))[1] == 2
    assert pseudo_marginal_nuts(own, 3, joint=True)._turning(jnp.ones(1))[1] is None
    with pytest.raises(ValueError, match=r"'rotation_outside' was given.*ends with a kick, such as strang"):
        Nuts(own, 3, ROTATION_OUTSIDE, Auxiliary(own, AUXILIARY))


def test_a_leading_factor() -> None:
    rng = np.random.default_rng(0)
    vectors = jnp.asarray(rng.normal(size=(5, 3)))
    inner = jnp.asarray(np.tril(rng.normal(size=(2, 2)))[:, :, None] * np.ones(3))
    whole = np.zeros((5, 5))
    whole[:2, :2], whole[2:, 2:] = inner[:, :, 0], np.eye(3)
    np.testing.assert_allclose(metric.multiply(Leading(inner), vectors), whole @ vectors, rtol=1e-14)
    np.testing.assert_allclose(metric.multiply_transposed(Leading(inner), vectors), whole.T @ vectors, rtol=1e-14)
    low = LowRank(jnp.full((2, 1), 0.5), jnp.eye(2), jnp.asarray([2.0, 3.0]))
    expected = np.concatenate([np.diag([1.0, 1.5]) @ vectors[:2, :1], vectors[2:, :1]])
    np.testing.assert_allclose(metric.multiply(Leading(low), vectors[:, :1]), expected, rtol=1e-14)


def model(weights: Any, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "sites": {"mu": (), "log_sd": ()},
        "auxiliary": (6, SAMPLES, 1),
        "data": {"y": np.zeros(6)},
        "precision": "float64",
    }
    given |= changes
    return pseudo_marginal_model(log_prior, weights, name="m", **given)


def usual(theta: Any, u: jax.Array, data: Any) -> jax.Array:
    return log_weights(theta, u, data["y"])


BAD = {
    "no samples": (usual, {"auxiliary": (6, 0, 1)}, r"shape \(6, 0, 1\) were given; needed are three lengths of 1"),
    "name": (usual, {"sites": {"mu": (), "log_sd": (), "u": ()}}, "site 'u' is taken"),
    "averaged": (
        lambda t, u, d: usual(t, u, d).mean(axis=1),
        {},
        r"shape \(6,\).*for each individual and sample, \(6, 3\)",
    ),
    "complex": (lambda t, u, d: usual(t, u, d) + 1j, {}, "complex128"),
    "transposed": (lambda t, u, d: usual(t, u, d).T, {}, r"shape \(3, 6\)"),
    "negative": (lambda t, u, d: jnp.log(-jnp.exp(usual(t, u, d))), {}, r"18 of 18 log weights are NaN.*w >= 0"),
    "infinite": (lambda t, u, d: usual(t, u, d) + jnp.exp(800.0 + u[..., 0]), {}, r"\+inf at a start: the proposal's"),
    "double": (
        lambda t, u, d: usual(t, u, d) + np.zeros(SAMPLES),
        {"precision": "float32"},
        r"type float64 from real arguments of type float32.*Take Python numbers",
    ),
    "count": (
        lambda t, u, d: usual(t, u, d) - jax.scipy.special.gammaln(jnp.arange(6) + 1)[:, None],
        {"precision": "float32"},
        r"data\['count'\].astype\(u.dtype\)",
    ),
    "precision": (usual, {"precision": "single"}, "precision = 'single'; allowed are float32, float64"),
    "zero": (lambda t, u, d: usual(t, u, d).at[2].set(-jnp.inf), {}, r"individual 2 are 0 at a start \(1 such of 6\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_estimators_are_refused(case: str) -> None:
    weights, changes, message = BAD[case]
    with pytest.raises(ModelError, match=message):
        model(weights, **changes)


def test_a_good_model() -> None:
    found = model(usual)
    assert list(found.target.sites) == ["mu", "log_sd", "u"]
    assert found.target.term_kinds["estimate"] == "likelihood"
    start = found.target.initial(jax.random.key(0), found.data)
    assert set(found.target.constrain(start, found.data)) == {"mu", "log_sd"}
    starts = jax.jit(jax.vmap(lambda key: found.target.initial(key, found.data)["u"]))
    u = starts(jax.random.split(jax.random.key(0), 500))
    assert abs(float(u.std()) - 1.0) < 0.05


def test_estimators_in_float32() -> None:
    """They are given numbers of that type, but for integers; terms and positions are float64."""
    seen: list[Any] = []

    def weights(theta: Any, u: jax.Array, data: Any) -> jax.Array:
        seen.append((theta["mu"].dtype, u.dtype, data["y"].dtype, data["count"].dtype, data["kind"]))
        return usual(theta, u, data)

    given = {"y": np.linspace(-2.0, 2.0, 6), "count": np.arange(6), "kind": "a"}
    single, double = (model(weights, data=given, precision=precision) for precision in ("float32", "float64"))
    everything = {name: jnp.asarray(given[name]) for name in ("y", "count")} | {"kind": "a"}
    position = single.target.initial(jax.random.key(0), everything)
    assert {x.dtype for x in position.values()} == {np.dtype("float64")}
    seen.clear()
    found, expected = (one.target.log_terms(position, everything) for one in (single, double))
    assert seen == [(*[np.dtype(name)] * 3, np.dtype("int64"), "a") for name in ("float32", "float64")]
    assert all(values.dtype == np.dtype("float64") for values in found.values())
    np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=2e-6)
    assert not np.array_equal(found["estimate"], expected["estimate"])
    np.testing.assert_array_equal(found["auxiliary"], expected["auxiliary"])


def test_names_of_terms_are_taken() -> None:
    terms = estimated_terms(lambda t, y: {"estimate": t["mu"]}, log_weights, auxiliary_site((INDIVIDUALS, SAMPLES, 1)))
    with pytest.raises(ValueError, match="'estimate', a name that is taken"):
        terms(*one_draw())


def test_levels_without_auxiliary_coordinates_are_refused() -> None:
    with pytest.raises(ValueError, match="'auxiliary' does not depend on level 'global'"):
        Auxiliary(view("global"), AUXILIARY)


def test_auxiliary_coordinates_come_last() -> None:
    own = small()[0]
    position, y = one_draw()
    sites = {"u": own.sites["u"], "mu": Site("mu", ()), "log_sd": Site("log_sd", ())}
    target = Target(sites, own.term_kinds, own.log_terms, own.constrain, own.initial)
    with pytest.raises(ValueError, match=r"not the last coordinates.*declare them after all others"):
        Auxiliary(joint_view(target, discover(target, y, position, key=jax.random.key(0))), AUXILIARY)


def test_new_controls_do_not_retrace() -> None:
    own, (position, y) = view("whole"), one_draw()
    state, traces = evaluate(own.target, own.structure, position, y), []

    @jax.jit
    def step(key: jax.Array, used: HmcParameters) -> jax.Array:
        traces.append(used)
        return OneReplica(pseudo_marginal_hmc(own)).step(key, state, y, used)[1].acceptance_probability

    key = jax.random.key(1)
    found = {
        float(step(key, used)[0]) for used in (parameters(0.2, 3), parameters(0.9, 3), parameters(0.9, 9, beta=0.5))
    }
    assert len(found) == 3
    assert len(traces) == 1


def test_a_run_with_tempering(tmp_path: Any) -> None:
    """The usual kernels, swaps of individuals between temperatures, storage: nothing is special."""
    from tests.support.runs import SETTINGS

    short = {
        "scout": {"kernel": "none"},
        "equilibrate": {"max_rounds": 2, "refine_rounds": 1},
        "limits": {"sweeps": 20},
    }
    settings = {**SETTINGS, "model": {"name": "tests.support.models.pseudo_marginal_models:groups"}, **short}
    result = run(settings, out=tmp_path / "run.zarr", local=True)
    posterior = result.data["posterior"]
    assert set(posterior.data_vars) == {"mu", "log_sd"}
    assert np.isfinite(posterior["mu"].values).all()
    assert float(posterior["mu"].std()) > 0.05
