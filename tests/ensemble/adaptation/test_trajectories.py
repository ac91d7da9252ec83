"""How long trajectories are, how steep their forces may be, and what steers their steps."""

import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.adaptation.moments import FORGET_FAST, absorb_moments, first_moments
from ensemble.protocol.sweep_spec import KernelSpec, SweepSpec
from ensemble.run import adapt as adaptation
from ensemble.shard.first_tuning import first_tuning
from ensemble.shard.level_kernels.registry import level_kernels
from ensemble.shard.moments import STEEP, shard_moments
from kernels.state import LevelView, evaluate
from kernels.structure.joining import all_sites
from tests.support.models.ensemble_models import evaluated, small
from tests.support.statistics import statistics_of, steep

SWEEPS = 4
HALF = float(np.log(0.5))


def spec(kernel="hmc", **changes):
    model = small()
    one = all_sites(model.target, model.structure)
    return SweepSpec(one, {"whole": KernelSpec(kernel, metric="dense", **changes)})


def tuning(found, log_scale=HALF):
    start = first_tuning(found, np.ones(1), SWEEPS)
    return start._replace(levels={"whole": (start.levels["whole"][0]._replace(log_scale=np.array([log_scale])),)})


def lengths(found, depth_limit=10, length_range=(1.0, 1.0), first=False, round_=3, log_scale=HALF):
    chosen = tuning(found, log_scale)
    limits = {"depth_limit": depth_limit, "length_range": length_range}
    return adaptation.trajectory_lengths(chosen, found, SWEEPS, round_, **limits, first=first)["whole"]


def test_hmc_runs_for_a_quarter_of_a_period():
    """pi / 2 / 0.5 = 3.14 steps."""
    np.testing.assert_array_equal(lengths(spec()), [[3, 3, 3, 3]])


@pytest.mark.parametrize("length_range", [(0.5, 1.5), (1.0, 3.0)])
def test_factors_fill_their_range_evenly(length_range):
    options = {"length_range": length_range, "log_scale": np.log(0.01)}
    found = np.concatenate([lengths(spec(), round_=r, **options)[0] for r in range(100)])
    full = 0.5 * np.pi / 0.01
    np.testing.assert_allclose(np.sort(found), full * np.linspace(*length_range, found.size), rtol=0.02)


@pytest.mark.parametrize(("depth_limit", "expected"), [(4, 16), (20, 64)])
def test_trajectories_are_no_longer_than_the_stage_and_the_level_allow(depth_limit, expected):
    assert (lengths(spec(max_depth=6), depth_limit=depth_limit, log_scale=-9.0) == expected).all()


@pytest.mark.parametrize(("depth_limit", "expected"), [(4, 4), (20, 6)])
def test_nuts_is_given_its_doublings(depth_limit, expected):
    assert (lengths(spec("nuts", max_depth=6), depth_limit=depth_limit) == expected).all()


def test_nothing_moves_in_the_first_round_of_a_run():
    assert (lengths(spec(), first=True) == 0).all()


def test_metropolis_has_no_trajectories():
    model = small()
    chosen, limits = first_tuning(model.spec, np.ones(1), SWEEPS), {"depth_limit": 5, "length_range": (1.0, 1.0)}
    found = adaptation.trajectory_lengths(chosen, model.spec, SWEEPS, 0, **limits, first=False)
    assert found == {}


def test_the_bound_is_far_out_in_equilibrium_and_follows_an_ensemble_that_is_far_away():
    found = spec()
    width = found.structure.levels[0].width
    before = {"whole": np.array([np.inf])}
    statistics = [statistics_of(moments={"whole": steep(value)}) for value in (0.5 * width, 0.7 * width)]
    assert adaptation.bounds(level_kernels(found), statistics, before)["whole"] == pytest.approx(3 + 2 * np.sqrt(width))
    far = [statistics_of(moments={"whole": steep(1e6)})] * 2
    assert adaptation.bounds(level_kernels(found), far, before)["whole"] == pytest.approx(3 + 2e3)


def moments_of(states, found, chosen):
    (kernel,) = level_kernels(found).values()
    view = LevelView(small().target, found.structure, kernel.level)
    together = {name: jnp.stack([state[name] for state in states]) for name in states[0]}
    return shard_moments(((kernel, view),), (evaluated(together, found.structure),), chosen, small().data)


def positions(count, scale=1.0):
    rng = np.random.default_rng(5)
    sites = small().target.sites
    return [
        {name: jnp.asarray(scale * rng.normal(size=site.shape)) for name, site in sites.items()} for _ in range(count)
    ]


def test_a_straggler_counts_for_less_in_coordinates_and_gradients_alike():
    found = spec()
    chosen = tuning(found)
    ordinary = positions(7, 0.5)
    straggler = {name: x + 40.0 for name, x in ordinary[0].items()}
    (with_it,) = moments_of([*ordinary, straggler], found, chosen)["whole"]
    weight = float(with_it.states.weight[0])
    assert 7 * 0.3 < weight < 7.5
    assert weight == float(with_it.gradients.moments.weight[0])
    assert STEEP > 1.0


def test_the_virial_is_that_of_the_states():
    found = spec()
    chosen = tuning(found)
    states = positions(3)
    level = found.structure.levels[0]
    x = np.stack([np.asarray(level.gather(position))[:, 0] for position in states])
    h = 1e-6
    slopes = np.zeros_like(x)
    for row, position in enumerate(states):
        for i in range(level.width):
            values = []
            for sign in (1, -1):
                blocks = x[row].copy()
                blocks[i] += sign * h
                moved = level.scatter(position, jnp.asarray(blocks[:, None]))
                cells = evaluate(small().target, found.structure, moved, small().data).cells
                values.append(sum(float(c.sum()) for c in cells.values()))
            slopes[row, i] = (values[0] - values[1]) / (2 * h)
    (got,) = moments_of(states, found, chosen)["whole"]
    np.testing.assert_allclose(got.gradients.virial, -(x * slopes).sum(axis=1).mean() / level.width, rtol=1e-6)
    weights = got.gradients.moments.weight[0]
    assert 0 < weights <= 3


def test_moments_forget_faster_on_the_way():
    """Weights of 10 rounds of 8: keep = 1 - f / (r + f)."""
    found = spec()
    chosen = tuning(found)
    one = statistics_of(moments=moments_of(positions(8), found, chosen))
    slow = fast = first_moments(chosen)
    for round_ in range(10):
        slow = absorb_moments(slow, chosen, [one], 8, round_)
        fast = absorb_moments(fast, chosen, [one], 8, round_, FORGET_FAST)
    assert float(fast.states["whole"][0].weight[0]) < 0.6 * float(slow.states["whole"][0].weight[0])
    np.testing.assert_allclose(fast.states["whole"][0].mean, slow.states["whole"][0].mean, rtol=1e-9, atol=1e-12)
