"""Pseudo-marginal kernels as levels of a run: who gets which, what a move calls, goals, storage and resuming."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.adaptation.moments import EnsembleMoments, first_moments
from ensemble.diagnostics import coordinates
from ensemble.diagnostics.convergence import Diagnostics, rhat_limit
from ensemble.fleet.local import LocalFleet
from ensemble.protocol.events import LOG_DENSITY
from ensemble.protocol.statistics import Rate
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.protocol.tuning import TuningState
from ensemble.run import adapt as adaptation
from ensemble.run.coordinator import Coordinator
from ensemble.run.sitting import Sitting
from ensemble.shard.audit import check, staleness
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.level_kernels.base import LevelStep
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.moments import shard_moments
from ensemble.shard.sweeps.rounds import Sweeps
from ensemble.store import opening as stores
from ensemble.store.protocol import RunStore
from kernels.dynamics.metric import Leading
from kernels.dynamics.splitting import Auxiliary
from kernels.state import LevelView, State, evaluate, log_density
from kernels.structure.discovery import discover
from kernels.structure.joining import all_sites
from kernels.structure.levels import Level, Structure
from kernels.transitions.hmc import HmcParameters
from kernels.transitions.nuts.sampler import NutsParameters
from kernels.transitions.pseudo_marginal.metropolis import PseudoMarginalMetropolis, PseudoMarginalMetropolisParameters
from kernels.transitions.pseudo_marginal.target import AUXILIARY, ESTIMATE
from kernels.transitions.pseudo_marginal.trajectories import joint_view, pseudo_marginal_hmc, pseudo_marginal_nuts
from maxwell import open_run, pseudo_marginal_model, resume, run
from tests.support.models.pseudo_marginal_models import SAMPLES, groups, log_prior, log_weights
from tests.support.runs import SETTINGS, draws, parts, same
from tests.support.statistics import one_rung, statistics_of
from workflows.modelling.model import Model
from workflows.results.report.coordinates import sites_of
from workflows.results.run import Run
from workflows.sampling.level_kernels import KernelError, with_kernels
from workflows.settings.loading import SettingsError, make_settings
from workflows.settings.sections.kernels import KernelSettings
from workflows.studies.demos import glmm_trace
from workflows.studies.demos.canvas import save

REPLICAS, SWEEPS, INDIVIDUALS = 3, 2, 6


@cache
def model() -> Model:
    return groups()


@cache
def found(plates: tuple[str, ...] = ()) -> tuple[Model, Structure]:
    """The model, or one whose theta has a site on a plate of its own, and its structure."""
    chosen = model() if not plates else plated()
    target = chosen.target
    position = target.initial(jax.random.key(0), chosen.data)
    return chosen, discover(target, chosen.data, position, key=jax.random.key(1))


def plated() -> Model:
    """mu on a plate of two."""
    y = np.linspace(0.0, 1.0, INDIVIDUALS)

    def weights(theta: Any, u: jax.Array, data: Any) -> jax.Array:
        return log_weights({**theta, "mu": jnp.tile(theta["mu"], 3)[:, None]}, u, data["y"])

    sites: Any = {"mu": ((2,), ("group",)), "log_sd": ()}
    return pseudo_marginal_model(log_prior, weights, sites, (INDIVIDUALS, SAMPLES, 1), {"y": y})


def spec(plates: tuple[str, ...] = (), gradient: bool = True, **settings: Any) -> SweepSpec:
    chosen, bare = found(plates)
    return with_kernels(replace(chosen.target, has_gradient=gradient), bare, KernelSettings(**settings), 64)


def kernels(of: SweepSpec) -> dict[str, str]:
    return {name: told.kernel for name, told in of.kernels.items()}


def test_kernels_by_default() -> None:
    assert kernels(spec()) == {"global": "pm_hmc", "individual": "refresh"}
    assert kernels(spec(levels={"global": "nuts"})) == {"global": "nuts", "individual": "refresh"}
    assert kernels(spec(gradient=False)) == {"global": "metropolis", "individual": "refresh"}
    assert kernels(spec(plates=("group",))) == {
        "global": "metropolis",
        "group": "metropolis",
        "individual": "refresh",
    }


def test_what_the_settings_say_reaches_the_level() -> None:
    of = spec(levels={"global": "pm_nuts"}, correlation=0.9, joint_turning=True, max_depth=5)
    told = of.kernels["global"]
    assert (told.correlation, told.joint_turning, told.max_depth) == (0.9, True, 5)
    assert of.structure.level("global").n_blocks == 1


@pytest.mark.parametrize(
    ("levels", "plates", "message"),
    [
        (
            {"individual": "pm_hmc"},
            (),
            r"individual was given pm_hmc, .* \(individual\): allowed are metropolis, .* and refresh$",
        ),
        (
            {"global": "refresh"},
            (),
            r"global was given refresh, .* allowed are metropolis, .*, pm_hmc, pm_nuts and pm_metropolis$",
        ),
        (
            {"whole": "pm_nuts"},
            (),
            r"whole was given pm_nuts, .* need all of theta on level global .* allowed are .* hmc, nuts",
        ),
        (
            {"global": "pm_metropolis"},
            ("group",),
            r"global was given pm_metropolis, .* \(individual\): allowed are .*, hmc and nuts$",
        ),
    ],
)
def test_kernels_out_of_place_are_refused(levels: Any, plates: tuple[str, ...], message: str) -> None:
    with pytest.raises(KernelError, match=message):
        spec(plates, levels=levels)


@pytest.mark.parametrize("keys", [{"correlation": 1.0}, {"correlation": -0.1}, {"levels": {"global": "pmhmc"}}])
def test_settings_out_of_range_are_refused(keys: Any) -> None:
    with pytest.raises(SettingsError, match=rf"kernels\.{next(iter(keys))}"):
        make_settings({"model": {"name": "glmm"}, "kernels": keys})


def states(count: int = REPLICAS) -> State:
    """Replicas at starts, with a leading axis."""
    chosen, bare = found()
    position = jax.vmap(lambda key: chosen.target.initial(key, chosen.data))(jax.random.split(jax.random.key(3), count))
    return jax.vmap(lambda one: evaluate(chosen.target, bare, one, chosen.data))(position)


def tuning(of: SweepSpec, lengths: int = 3) -> TuningState:
    """With a factor of theta that is neither diagonal nor a unit, and a bound that is felt."""
    start = first_tuning(of, np.ones(1), SWEEPS)
    factor = np.array([[0.4, 0.0], [0.1, 0.3]])[:, :, None]
    of_theta = start.levels["global"][0]._replace(factor=factor, log_scale=np.array([-0.7]))
    scales = np.linspace(-2.0, 1.0, INDIVIDUALS)
    of_u = start.levels["individual"][0]._replace(log_scale=scales)
    return start._replace(
        levels={"global": (of_theta,), "individual": (of_u,)},
        lengths={name: np.full_like(x, lengths) for name, x in start.lengths.items()},
        steepest={name: np.full_like(x, 1.5) for name, x in start.steepest.items()},
    )


def moved(kernel: str, level: str = "global", **settings: Any) -> tuple[State, Any]:
    """The states after the level's move."""
    chosen, of = model(), spec(levels={level: kernel}, **settings)
    kernel = level_kernels(of)[level]
    move = LevelStep(kernel, LevelView(chosen.target, of.structure, kernel.level))
    steering = tuning(of)

    @jax.jit
    def step(keys: jax.Array, start: State) -> Any:
        return move(keys, start, chosen.data, steering, rung=0, sweep=jnp.asarray(1))[:2]

    return step(jax.random.split(jax.random.key(5), REPLICAS), states())


def directly(kernel: Any, chosen: Any) -> tuple[State, Any]:
    """The same by a kernel and its own parameters."""

    @jax.jit
    def step(keys: jax.Array, start: State) -> Any:
        return kernel.step(keys, start, model().data, chosen)

    return step(jax.random.split(jax.random.key(5), REPLICAS), states())


def require_equal(one: State, other: State) -> None:
    start = states()
    for name in ("mu", "u"):
        assert not np.array_equal(one.position[name], start.position[name])
    for name, values in one.position.items():
        np.testing.assert_allclose(values, other.position[name], rtol=1e-12, atol=1e-13)


FACTOR = jnp.array([[0.4, 0.0], [0.1, 0.3]])[:, :, None]


def whole_view() -> LevelView:
    chosen, bare = found()
    return joint_view(chosen.target, bare)


def test_pm_hmc_is_the_kernel_with_the_factor_of_theta() -> None:
    own = HmcParameters(jnp.asarray(1.0), jnp.exp(-0.7), Leading(FACTOR), jnp.asarray(3), 1.5)
    (one, info), (other, expected) = moved("pm_hmc"), directly(pseudo_marginal_hmc(whole_view()), own)
    require_equal(one, other)
    np.testing.assert_allclose(info.walk[0], jnp.sum(expected.acceptance_probability, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(info.gradients, [3.0, 3.0 * REPLICAS])


@pytest.mark.parametrize("joint", [False, True])
def test_pm_nuts_is_the_kernel_with_the_factor_of_theta(joint: bool) -> None:
    own = NutsParameters(jnp.asarray(1.0), jnp.exp(-0.7), Leading(FACTOR), jnp.asarray(3), 1.5)
    kernel = pseudo_marginal_nuts(whole_view(), 10, joint=joint)
    (one, info), (other, expected) = moved("pm_nuts", joint_turning=joint), directly(kernel, own)
    require_equal(one, other)
    assert float(info.gradients[1]) == REPLICAS + float(jnp.sum(expected.n_steps))


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_pm_metropolis_is_the_kernel_with_the_correlation(rho: float) -> None:
    own = PseudoMarginalMetropolisParameters(jnp.asarray(1.0), jnp.array([-0.7]), FACTOR, jnp.asarray(rho))
    kernel = PseudoMarginalMetropolis(whole_view(), Auxiliary(whole_view(), AUXILIARY))
    (one, info), (other, _) = moved("pm_metropolis", correlation=rho), directly(kernel, own)
    require_equal(one, other)
    np.testing.assert_array_equal(info.walk[1], [REPLICAS])
    np.testing.assert_array_equal(info.gradients, 0.0)


def test_a_refresh_is_the_kernel_with_the_correlation_of_its_scale() -> None:
    """rho = (1 + s^2)^(-1/2), of each individual; theta stays."""
    chosen, bare = found()
    view = LevelView(chosen.target, bare, bare.level("individual"))
    rho = jnp.asarray(1.0 / np.sqrt(1.0 + np.exp(np.linspace(-2.0, 1.0, INDIVIDUALS)) ** 2))
    own = PseudoMarginalMetropolisParameters(jnp.asarray(1.0), jnp.zeros(INDIVIDUALS), jnp.ones((1, 1)), rho)
    kernel = PseudoMarginalMetropolis(view, Auxiliary(view, AUXILIARY))
    (one, info), (other, _) = moved("refresh", "individual"), directly(kernel, own)
    np.testing.assert_allclose(one.position["u"], other.position["u"], rtol=1e-12)
    np.testing.assert_array_equal(one.position["mu"], states().position["mu"])
    np.testing.assert_array_equal(info.walk[1], np.full(INDIVIDUALS, REPLICAS))


def test_cells_of_all_levels_are_those_of_the_position_after_a_sweep() -> None:
    """And what is summed for the goals is of theta alone."""
    chosen, of = model(), spec()
    sweeps = Sweeps(chosen.target, of, replicas=REPLICAS, rungs=1, repeats=1)
    keys = jax.random.split(jax.random.key(5), (1, REPLICAS))
    steering = tuning(of)._replace(schedule=np.zeros(SWEEPS, int))
    (after,), tally, _ = jax.jit(sweeps.round)((states(),), keys, chosen.data, steering)
    fresh = jax.vmap(lambda one: evaluate(chosen.target, of.structure, one, chosen.data).cells)(after.position)
    for name, cells in after.cells.items():
        np.testing.assert_allclose(cells, fresh[name], rtol=1e-12)
    events = {"global:below", "global:above"}
    assert set(tally.total) == {"global", LOG_DENSITY, *events}
    assert set(tally.square) == {"global", LOG_DENSITY, *events, "global:positive"}


@pytest.mark.parametrize("tempered", [None, frozenset({"estimate"})])
def test_the_bound_on_forces_counts_those_on_u(tempered: frozenset[str] | None) -> None:
    """|L' g_theta|^2 + |g_u + w u|^2 with w the weight of u's own term: by differences of the log density."""
    chosen, of = model(), spec()
    start, beta = states(), 0.5
    steering = tuning(of)._replace(betas=np.array([beta]))
    kernel = level_kernels(of)["global"]
    view = LevelView(chosen.target, of.structure, kernel.level, tempered)
    (got,) = jax.jit(lambda: shard_moments(((kernel, view),), (start,), steering, chosen.data))()["global"]

    def density(position: Any) -> jax.Array:
        cells = evaluate(chosen.target, of.structure, position, chosen.data).cells
        kept = {name: cells[name] * (beta if tempered is None or name in tempered else 1.0) for name in cells}
        return log_density({name: value for name, value in kept.items() if name != "auxiliary"})

    slopes = jax.vmap(jax.grad(density))(start.position)
    theta = jnp.stack([slopes["mu"], slopes["log_sd"]], axis=1) @ FACTOR[:, :, 0]
    square = jnp.sum(theta**2, axis=1) + jnp.sum(slopes["u"] ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(got.gradients.steepness, jnp.median(square), rtol=1e-10)
    np.testing.assert_allclose(got.gradients.moments.sum.shape, (2, 1))


@pytest.mark.parametrize(
    ("kernel", "seen", "grows"), [("pm_metropolis", 0.1, True), ("pm_metropolis", 0.05, False), ("metropolis", 0.1, 0)]
)
def test_a_noisy_walk_is_steered_to_fewer_acceptances(kernel: str, seen: float, grows: bool) -> None:
    of = spec(levels={"global": kernel})
    start = first_tuning(of, np.ones(1), SWEEPS)
    rates = {}
    for level in of.structure.levels:
        nothing, tried = np.zeros(level.n_blocks), np.full(level.n_blocks, 100.0)
        rates[level.name] = one_rung(walk=Rate(seen * tried, tried), fitted=Rate(nothing, nothing))
    moments = {
        name: tuple(one._replace(weight=np.ones(()), scatter=np.ones_like(one.scatter)) for one in rungs)
        for name, rungs in first_moments(start).states.items()
    }
    after = adaptation.adapt(start, EnsembleMoments(moments, {}), [statistics_of(rates=rates)], of, 3)
    change = after.levels["global"][0].log_scale - start.levels["global"][0].log_scale
    assert (change > 0).all() == bool(grows)
    assert (after.levels["individual"][0].mix == 0).all()


def test_goals_are_of_theta_where_all_is_one_block_too() -> None:
    """Level whole, in which theta and u lie side by side."""
    chosen, bare = found()
    one = all_sites(chosen.target, bare)
    level: Level = one.levels[0]
    values = np.arange(level.width, dtype=float)[:, None]
    diagnostics = Diagnostics(40, 320, *[{"whole": values}] * 8)
    known = coordinates.every_coordinate(one, diagnostics, {"mu"}, {"u"})
    np.testing.assert_array_equal(known.ess, [0.0, 1.0])
    np.testing.assert_array_equal(known.shared, [True, False])
    assert {row["site"] for row in coordinates.worst(one, diagnostics, {"u"})} == {"mu", "log_sd"}


GLMM = {
    **SETTINGS,
    "model": {"name": "glmm", "individuals": 40, "samples": 4},
    "scout": {"kernel": "none"},
    "kernels": {"max_depth": 3},
    "limits": {"sweeps": 22},
}
SHORT = 15
LADDERS = {
    "blocks": SETTINGS["tempering"],
    "whole": {**SETTINGS["tempering"], "swaps": "whole", "tempers": "likelihood"},
}


def glmm(kernel: str, swaps: str) -> dict[str, Any]:
    """Settings with tempering in every stage."""
    return {**GLMM, "kernels": {**GLMM["kernels"], "levels": {"global": kernel}}, "tempering": LADDERS[swaps]}


def check_of_theta(result: Run) -> None:
    """What is stored and has goals is of theta."""
    expected, found = draws(result), result.summary()
    assert len(np.unique(expected["posterior/mu"])) > 8
    assert not any(name.endswith("/u") for name in expected)
    assert set(found["acceptance"]) == {"global", "individual"}
    assert found["nested_rhat_limit"] == pytest.approx(rhat_limit(13, 1e6, 4))
    assert {name.rsplit("_", 1)[0] for name in result.diagnostics()} == {"b", "mu", "log_l", "logit_w"}


@pytest.mark.slow
def test_a_run_stopped_and_resumed_is_one_run(tmp_path: Path) -> None:
    settings, store = glmm("pm_hmc", "blocks"), tmp_path / "short.zarr"
    uninterrupted = run(settings, out=tmp_path / "whole.zarr", local=True)
    short = draws(run(settings, [f"limits.sweeps={SHORT}"], out=store, local=True))
    assert 0 < short["posterior/mu"].shape[1] < draws(uninterrupted)["posterior/mu"].shape[1]
    assert same(draws(uninterrupted), draws(resume(store, settings=["limits.sweeps=22"], local=True)))
    check_of_theta(uninterrupted)
    reported = sites_of(stores.reader(store).attributes["fingerprint"]["sites"], uninterrupted.diagnostics())
    assert {site.name for site in reported} == {"b", "mu", "log_l", "logit_w"}


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["pm_nuts", "pm_metropolis"])
def test_runs_of_other_kernels_are_resumed_too(kernel: str, tmp_path: Path) -> None:
    """On a fleet that is compiled once, with swaps of whole replicas."""
    problem, settings, spec, layout = parts(glmm(kernel, "whole"))
    fleet = LocalFleet(spec, 4)

    def steered(store: RunStore, limit: int) -> Coordinator:
        chosen = settings._replace(limits=settings.limits._replace(sweeps=limit))
        return Coordinator(fleet, store, problem.spec, chosen, Sitting())

    for name, limit in (("whole", 22), ("short", SHORT)):
        with stores.create(tmp_path / f"{name}.zarr", layout, {}) as store:
            fleet.initialise()
            coordinator = steered(store, limit)
            coordinator.start()
            coordinator.run()
    whole_run, short_run = (open_run(tmp_path / f"{name}.zarr") for name in ("whole", "short"))
    assert not same(draws(whole_run), draws(short_run))
    with stores.reopen(tmp_path / "short.zarr") as store:
        coordinator = steered(store, 22)
        coordinator.resume()
        coordinator.run()
    assert same(draws(whole_run), draws(open_run(tmp_path / "short.zarr")))
    check_of_theta(whole_run)


@pytest.mark.slow
def test_traces_of_the_demonstration(tmp_path: Path) -> None:
    """Of a handful of individuals: both chains move from the published start, and the picture is written."""
    estimated, true = glmm_trace.pseudo_marginal(4, 5, 8), glmm_trace.exact(4, 5)
    assert estimated.shape == true.shape == (4, 4)
    assert (np.diff(estimated[:, 0]) != 0).any()
    assert (np.diff(true[:, 0]) != 0).any()
    np.testing.assert_allclose(true[0, 2:], [1.0, 10.0], rtol=0.9)
    save(glmm_trace.picture(estimated, true), tmp_path / "trace.png")
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")
    assert glmm_trace.table(estimated, true).count("\n") == 4


def test_the_audit_allows_what_float32_rounds_differently() -> None:
    """Cells of one compiled program against those of another, whose sums go in another order: 25,621 coordinates."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(64, 20)), rng.normal(size=64)

    def weights(theta: Any, u: jax.Array, data: Any) -> jax.Array:
        return -0.5 * (data["y"] - data["z"] @ theta["b"])[:, None] ** 2 - 0.1 * (u[..., 0] - theta["mu"]) ** 2

    def prior(theta: Any, data: Any) -> jax.Array:
        return -0.5 * jnp.append(theta["b"], theta["mu"]) ** 2

    sites: Any = {"b": (20,), "mu": ()}
    model = pseudo_marginal_model(prior, weights, sites, (64, 400, 1), {"z": z, "y": y}, precision="float32")
    target, arrays = model.target, jax.tree.map(jnp.asarray, model.data)
    positions = jax.vmap(lambda key: target.initial(key, arrays))(jax.random.split(jax.random.key(0), 4))
    structure = discover(target, arrays, jax.tree.map(lambda x: x[0], positions), key=jax.random.key(1))
    cached = jax.jit(jax.vmap(lambda position: evaluate(target, structure, position, arrays)))(positions)
    assert target.single == {ESTIMATE}
    assert target.dimension > 20_000
    check(jax.jit(lambda s: staleness(target, structure, s, arrays))(cached), structure, 0, 0, target.single)
