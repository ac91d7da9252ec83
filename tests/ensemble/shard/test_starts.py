"""Starts: every kind is finite, dispersed and a function of seed and superchain; given ones are taken as they are."""

import dataclasses
import re
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import maxwell
from ensemble.errors import FleetError
from ensemble.fleet.local import LocalFleet, build_runner
from ensemble.fleet.ray_fleet import RayFleet
from ensemble.protocol.plans import RoundPlan, RunnerSpec
from ensemble.protocol.stages import SCOUT
from ensemble.shard.keys import run_seed
from ensemble.shard.starts.kinds import make_start
from ensemble.shard.starts.starter import StartError
from kernels.target import Site
from maxwell import function_model, run
from tests.support.runs import SETTINGS
from workflows.modelling.errors import ModelError
from workflows.sampling import starts
from workflows.sampling.fleets import runner_spec
from workflows.sampling.problem import named_problem
from workflows.sampling.run_settings import run_settings
from workflows.settings.loading import SettingsError, make_settings

SUPERCHAINS, REPLICAS, GROUPS = 4, 2, 6
DRAWN = ("prior", "uniform", "pathfinder", "variational")
SITES = {"mu": Site("mu", ()), "sd": Site("sd", ()), "x": Site("x", (GROUPS,), ("group",))}
SCALES = np.array([0.1, 1.0, 5.0])
CENTRE = np.array([3.0, -1.0, 10.0])


@cache
def spec(kind, seed=0, radius=2.0):
    """How a runner of the small run with starts of a kind is built."""
    start = {"kind": kind, "radius": radius, "file": "not read here" if kind == "given" else None}
    settings = make_settings({**SETTINGS, "seed": seed, "start": start})
    problem = named_problem(settings)
    return runner_spec(problem, settings, run_settings(settings, problem).shard)


@cache
def drawn(kind, order=(0, 1, 2, 3), seed=0):
    """The initial states of four superchains by a new runner that makes them in this order."""
    runner = build_runner(spec(kind, seed))
    return {shard: runner.initial(shard) for shard in order}


def same_bits(one, other):
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.parametrize("kind", DRAWN)
def test_starts_are_finite_common_to_a_superchain_and_dispersed(kind):
    states = drawn(kind)
    for state in states.values():
        assert all(np.isfinite(values).all() for values in state.values())
        for name in SITES:
            values = state[f"rung/0/position/{name}"]
            assert values.shape == (REPLICAS, *SITES[name].shape)
            assert values.dtype == np.float64
            np.testing.assert_array_equal(values, np.broadcast_to(values[:1], values.shape))
    firsts = np.stack([state["rung/0/position/x"][0] for state in states.values()])
    assert (np.ptp(firsts, axis=0) > 0.1).all()


@pytest.mark.parametrize("kind", DRAWN)
def test_starts_are_the_same_whoever_makes_them_and_in_whatever_order(kind):
    """Another runner, superchains in another order and some left out, as with other workers."""
    expected, found = drawn(kind), drawn(kind, order=(2, 0))
    assert all(same_bits(state, expected[shard]) for shard, state in found.items())
    assert not same_bits(expected[0], expected[1])


def test_starts_depend_on_the_seed():
    assert not same_bits(drawn("prior")[0], drawn("prior", seed=1)[0])


def test_a_local_fleet_stands_at_the_starts():
    fleet = LocalFleet(spec("uniform"), SUPERCHAINS)
    fleet.initialise()
    assert all(same_bits(state, drawn("uniform")[shard]) for shard, state in enumerate(fleet.states()))


def gaussian():
    """Independent normals of very different scales, as one term on one site."""

    def log_terms(position, data):
        return -0.5 * ((position["x"] - data["centre"]) / data["scales"]) ** 2

    return function_model(log_terms, {"x": 3}, {"centre": CENTRE, "scales": SCALES})


def many(kind, count, spread):
    """Starts of the normals from `count` keys, in units of their standard deviations about their means: [count, 3]."""
    model = gaussian()
    found = compiled(kind)(jax.random.split(jax.random.key(7), count), spread, model.data)
    return (np.asarray(found) - CENTRE) / SCALES


@cache
def compiled(kind):
    """(keys, spread, data) -> starts, compiled once for every spread."""

    def one(key, spread, data):
        return make_start(gaussian().target, kind, 2.0, spread)(key, data)["x"]

    return jax.jit(jax.vmap(one, in_axes=(0, None, None)))


def test_uniform_starts_fill_their_box():
    """Of 4,000 numbers on (-5, 5) the extremes come within .05 of the ends, but for a chance of 6 x .995^4000, 2e-8."""
    model = gaussian()
    start = make_start(model.target, "uniform", 5.0, 2.0)
    keys = jax.random.split(jax.random.key(0), 4000)
    x = np.asarray(jax.vmap(lambda key: start(key, model.data)["x"])(keys))
    assert x.dtype == np.float64
    assert (np.abs(x) <= 5).all()
    assert (x.max(axis=0) > 4.95).all()
    assert (x.min(axis=0) < -4.95).all()


@pytest.mark.parametrize("kind", ["pathfinder", "variational"])
def test_approximations_of_normals_have_their_means_and_their_spread(kind):
    """The fits are not exact, so the bounds are wide: of 400 draws the standard error of a mean is .05 spread and of a
    standard deviation .035 spread. Chance alone crosses .3 and .25 of `spread` by 6 and 7 of them: below 1e-8."""
    near, far = (many(kind, 400, spread) for spread in (1.0, 3.0))
    for z, spread in ((near, 1.0), (far, 3.0)):
        assert np.isfinite(z).all()
        assert (np.abs(z.mean(axis=0)) < 0.3 * spread).all()
        assert (np.abs(z.std(axis=0) / spread - 1) < 0.25).all()
    # The same draws, further out: each from a mean of its own, which is near 0.
    assert (np.abs(far - 3 * near).mean(axis=0) < 1.0).all()


def test_approximations_need_a_gradient():
    model = gaussian()
    blind = dataclasses.replace(model, target=dataclasses.replace(model.target, has_gradient=False))
    for kind in ("pathfinder", "variational"):
        starts.require_gradient(kind, model)
        with pytest.raises(ModelError, match=rf"start.kind is {kind}.*has none: choose start.kind=prior"):
            starts.require_gradient(kind, blind)
    for kind in ("prior", "uniform", "given"):
        starts.require_gradient(kind, blind)


# --- given starts


def arrays(**changes):
    """One start for mu, one a superchain for sd, one a chain for x."""
    rng = np.random.default_rng(0)
    made = {"mu": np.array(0.5), "sd": rng.normal(size=SUPERCHAINS), "x": rng.normal(size=(8, GROUPS))}
    return {name: values for name, values in {**made, **changes}.items() if values is not None}


def saved(folder, **changes):
    path = folder / "starts.npz"
    np.savez(path, **arrays(**changes))
    return path


def test_given_starts_are_taken_bit_for_bit(tmp_path):
    """One start goes to all; one a superchain to its replicas; chain c is replica c mod 2 of superchain c div 2."""
    made = arrays()
    fleet = LocalFleet(spec("given"), SUPERCHAINS)
    fleet.initialise(starts.given_starts(saved(tmp_path), SITES, SUPERCHAINS, REPLICAS))
    for superchain, state in enumerate(fleet.states()):
        expected = {
            "mu": np.full(REPLICAS, made["mu"]),
            "sd": np.full(REPLICAS, made["sd"][superchain]),
            "x": made["x"][2 * superchain : 2 * superchain + 2],
        }
        for name, values in expected.items():
            np.testing.assert_array_equal(state[f"rung/0/position/{name}"], values)
        assert np.isfinite(state["rung/0/cells/y"]).all()


def problems(path, **options):
    with pytest.raises(SettingsError) as caught:
        starts.given_starts(path, SITES, **{"superchains": SUPERCHAINS, "replicas": REPLICAS, **options})
    return caught.value.problems


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"x": None},
            r"x: is missing; allowed: \(6,\) \(one start\), \(4, 6\) \(one a superchain\) or \(8, 6\) \(one a c",
        ),
        ({"x": np.zeros((3, GROUPS))}, r"x: has shape \(3, 6\); allowed: \(6,\) \(one start\), \(4, 6\)"),
        (
            {"mu": np.zeros(3)},
            r"mu: has shape \(3,\); allowed: \(\) \(one start\), \(4,\) .* or \(8,\) \(one a chain\)",
        ),
        (
            {"sd": np.array([0, np.nan, np.inf, 1])},
            "sd: 2 of its 4 values are NaN or infinite; allowed: finite numbers",
        ),
        ({"sd": np.array("one")}, "sd: has type <U3; allowed: real numbers"),
        ({"tau": np.zeros(4)}, "tau: is no site; the sites are mu, sd, x"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_site(tmp_path, changes, expected):
    (problem,) = problems(saved(tmp_path, **changes))
    assert re.match(expected, problem), problem


def test_everything_wrong_in_a_file_is_said_at_once(tmp_path):
    found = problems(saved(tmp_path, x=None, mu=np.array(np.nan), tau=np.zeros(2)))
    assert [problem.partition(":")[0] for problem in found] == ["tau", "mu", "x"]


def test_what_is_no_file_of_arrays_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("mu = 3")
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "objects.npz", mu=np.array([None]))
    for name in ("missing.npz", "text.npz", "one.npy", "objects.npz", "."):
        (problem,) = problems(tmp_path / name)
        assert "cannot be read" in problem
        assert "np.savez(file, mu=..., sd=...)" in problem


def test_a_given_start_outside_the_support_is_refused_with_terms_and_sites(tmp_path):
    """The group means' scale overflows; nothing is left of the run."""
    path = saved(tmp_path, sd=np.array([0.0, 0.0, 1e4, 0.0]))
    settings = {**SETTINGS, "start": {"kind": "given", "file": str(path)}}
    with pytest.raises(StartError, match=r"start given for superchain 2: .*infinite: .*sd.* look at their sites, .*sd"):
        run(settings, out=tmp_path / "run.zarr", local=True)
    assert not (tmp_path / "run.zarr").exists()


def test_a_run_from_given_starts(tmp_path):
    """The settings say where it came from; the generation that it descends from no other run."""
    settings = {**SETTINGS, "start": {"kind": "given", "file": str(saved(tmp_path))}, "limits": {"sweeps": 1}}
    found = run(settings, out=tmp_path / "run.zarr", local=True)
    assert found.attributes["settings"]["start"]["kind"] == "given"
    assert found.attributes["generation"] == 0


@pytest.mark.parametrize(
    ("start", "part"),
    [
        ({"kind": "given"}, "start.file"),
        ({"file": "a.npz"}, "start.kind is prior, which reads no file"),
        ({"kind": "laplace"}, "given 'laplace'; allowed: prior, uniform, given, pathfinder or variational"),
        ({"radius": 0}, "a number above 0"),
        ({"spread": -1}, "a number above 0"),
        ({"reuse": "states"}, "there is no start.store"),
        ({"reuse": "all", "store": "a"}, "states, tuning or both"),
        ({"kind": "uniform", "store": "a"}, "states come from start.store or start.kind (uniform)"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(start, part):
    with pytest.raises(SettingsError) as caught:
        make_settings({**SETTINGS, "start": start})
    (problem,) = caught.value.problems
    assert part in problem


@pytest.mark.parametrize(
    "start",
    [{"kind": "uniform", "store": "a", "reuse": "tuning"}, {"kind": "given", "file": "a.npz"}, {"store": "a"}],
)
def test_settings_that_fit_are_taken(start):
    untouched = make_settings(SETTINGS).start.model_dump()
    assert make_settings({**SETTINGS, "start": start}).start.model_dump() == {**untouched, **start}


def test_generations_have_seeds_of_their_own():
    assert run_seed(5, 0) == 5
    found = [run_seed(seed, generation) for seed in range(20) for generation in range(20)]
    assert len(set(found)) == len(found)
    assert all(0 <= seed < 2**63 for seed in found)
    assert len({jax.random.key_data(jax.random.key(seed)).tobytes() for seed in found}) == len(found)


@pytest.mark.ray
@pytest.mark.usefixtures("connected_ray")
def test_starts_on_ray_equal_the_local_ones_and_outlive_a_worker(tmp_path: Path) -> None:
    """A fake runner: a start's x is taken up with .5 added, so that one completed twice would be seen."""
    (tmp_path / "local").mkdir()
    given = [{"x": np.full(3, float(shard))} for shard in range(3)]
    plan = RoundPlan(0, SCOUT, 0, 1, {"scale": np.array(0.1)})
    expected = LocalFleet(
        RunnerSpec("tests.support.fake_runner:build", {"folder": str(tmp_path / "local")}, np.ones(3)), 3
    )
    expected.initialise(given)
    with RayFleet(RunnerSpec("tests.support.fake_runner:build", {"folder": str(tmp_path)}, np.ones(3)), 3, 1) as fleet:
        with pytest.raises(FleetError, match="2 starts were given for 3 shards"):
            fleet.initialise(given[:2])
        (tmp_path / "kill-1-0").touch()
        fleet.initialise(given)
        np.testing.assert_array_equal(fleet.states()[1]["x"], np.full(3, 1.5))
        sums = [report.statistics.term_means["sum"] for report in fleet.run(plan)]
    assert sums == [report.statistics.term_means["sum"] for report in expected.run(plan)]
    assert jnp.unique(jnp.asarray(sums)).size == 3


def test_draws_about_modes_are_refused_where_there_is_no_gradient(tmp_path):
    """Before any work, by the setting's name."""
    model = maxwell.black_box_model(lambda at: -0.5 * np.sum(at["x"] ** 2, axis=-1), {"x": 3}, name="box")
    with pytest.raises(SettingsError, match=r"start\.modes: given true, but the model has no gradient"):
        maxwell.sample(model, out=tmp_path / "run.zarr", local=True, progress=None, start={"modes": True})
    assert not (tmp_path / "run.zarr").exists()
