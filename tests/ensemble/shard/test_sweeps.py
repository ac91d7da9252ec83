"""The sweep: what it counts, which levels move at which temperature, and that the same keys give the same bits.

Counts and conservation are exact, so nothing here is left to chance.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from ensemble.errors import MaxwellError
from ensemble.protocol.events import LOG_DENSITY
from ensemble.protocol.stages import EQUILIBRATE
from ensemble.protocol.sweep_spec import SweepSpec
from ensemble.shard.keys import replica_keys
from ensemble.shard.sweeps.rounds import ApproximateKernelError, Sweeps
from kernels.numerics import batching
from kernels.state import evaluate
from kernels.transitions.metropolis import Metropolis
from kernels.transitions.momentum_diffusion import MomentumDiffusion
from tests.support.models.ensemble_models import GROUPS, REPLICAS, dispersed, evaluated, small, target, tuning

REPEATS, SWEEPS = 2, 4


def build(rungs, replicas=REPLICAS):
    model = small()
    return Sweeps(model.target, model.spec, replicas=replicas, rungs=rungs, repeats=REPEATS)


@cache
def program(rungs):
    """The compiled round for a number of rungs."""
    return jax.jit(build(rungs).round)


def keys(rungs, round_=0):
    return replica_keys(0, EQUILIBRATE, round_, 0, (rungs, REPLICAS))


def with_mix(start, mix):
    """Controls that propose from the fit with probability `mix` at the leaf level, at every rung."""
    leaf = tuple(level._replace(mix=np.full(GROUPS, mix)) for level in start.levels["g"])
    return start._replace(levels={**start.levels, "g": leaf})


def run(rungs, start=None, before=None, round_=0):
    chosen = start or tuning(temperatures=(1.0, 3.0)[:rungs], sweeps=SWEEPS)
    return program(rungs)(before or dispersed(rungs), keys(rungs, round_), small().data, chosen)[:2]


def assert_same_bits(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_structure_of_the_model_under_test():
    """One global block of two joined sites, and a leaf level of blocks (x, b)."""
    levels = small().structure.levels
    assert [(level.name, level.n_blocks, level.width, level.leaf) for level in levels] == [
        ("global", 1, 2, False),
        ("g", GROUPS, 2, True),
    ]
    assert len(small().spec.interweavings) == 2


def test_tally_counts_every_proposal():
    _, tally = run(1)
    np.testing.assert_array_equal(tally.rates["g"][0].walk.tried, SWEEPS * REPLICAS)
    np.testing.assert_array_equal(tally.rates["global"][0].walk.tried, SWEEPS * REPLICAS * REPEATS)
    np.testing.assert_array_equal(tally.rates["g"][0].fitted.tried, 0)
    assert ((tally.rates["g"][0].walk.accepted > 0) & (tally.rates["g"][0].walk.accepted < SWEEPS * REPLICAS)).all()
    assert tally.swaps == {}
    assert int(tally.nonfinite) == 0


def test_fitted_proposals_are_counted_apart():
    chosen = with_mix(tuning(sweeps=SWEEPS), 1.0)
    _, tally = run(1, chosen)
    np.testing.assert_array_equal(tally.rates["g"][0].fitted.tried, SWEEPS * REPLICAS)
    np.testing.assert_array_equal(tally.rates["g"][0].walk.tried, 0)
    _, tally = run(1, with_mix(chosen, 0.5))
    together = tally.rates["g"][0].fitted.tried + tally.rates["g"][0].walk.tried
    np.testing.assert_array_equal(together, SWEEPS * REPLICAS)
    assert 0 < tally.rates["g"][0].fitted.tried.sum() < together.sum()


def test_totals_are_about_the_controls_mean():
    """One sweep: the totals are the last states' coordinates less the mean."""
    mean = np.random.default_rng(0).normal(size=(2, GROUPS))
    chosen = tuning(sweeps=1)
    chosen = chosen._replace(levels={**chosen.levels, "g": (chosen.levels["g"][0]._replace(mean=mean),)})
    (cold,), tally = run(1, chosen)
    offset = jnp.stack([cold.position["x"], cold.position["b"]], axis=1) - mean
    np.testing.assert_allclose(tally.total["g"], offset, rtol=1e-12)
    np.testing.assert_allclose(tally.square["g"], (offset**2).sum(axis=0), rtol=1e-12)
    hyper = jnp.stack([cold.position["mu"], cold.position["log_sd"]], axis=1)[..., None]
    np.testing.assert_allclose(tally.total["global"], hyper, rtol=1e-12)


def test_tails_and_signs_are_counted():
    """Beyond 1.645 of the tuning's standard deviations, in one sweep, of each replica; signs over all of them."""
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(size=(2, GROUPS)), rng.uniform(0.1, 0.5, size=(2, GROUPS))
    chosen = tuning(sweeps=1)
    chosen = chosen._replace(
        levels={**chosen.levels, "g": (chosen.levels["g"][0]._replace(mean=mean),)},
        spread={**chosen.spread, "g": spread},
    )
    (cold,), tally = run(1, chosen)
    x = np.stack([cold.position["x"], cold.position["b"]], axis=1)
    for event, tail in (
        ("g:below", (x - mean) / spread < -norm.isf(0.05)),
        ("g:above", x > mean + norm.isf(0.05) * spread),
    ):
        assert 0 < tail.sum() < tail.size
        np.testing.assert_array_equal(tally.total[event], tail)
        np.testing.assert_array_equal(tally.square[event], tail.sum(axis=0))
    np.testing.assert_array_equal(tally.square["g:positive"], (x > 0).sum(axis=0))


def test_the_log_density_is_summed_about_its_height():
    """Of each replica, in one sweep: what its cells add up to."""
    chosen = tuning(sweeps=1)._replace(height=np.asarray(-7.5))
    (cold,), tally = run(1, chosen)
    above = sum(np.asarray(cells).reshape(len(cells), -1).sum(axis=1) for cells in cold.cells.values()) + 7.5
    np.testing.assert_allclose(tally.total[LOG_DENSITY][:, 0, 0], above, rtol=1e-12)
    np.testing.assert_allclose(tally.square[LOG_DENSITY][0, 0], (above**2).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "expected"), [([0, 1, 2, 0], [2, 1]), ([2, 2, 2, 2], [0, 0]), ([1, 1, 1, 1], [0, 4])]
)
def test_interweaving_follows_the_schedule(schedule, expected):
    """Move 2 of 2 is none."""
    _, tally = run(1, tuning(sweeps=SWEEPS)._replace(schedule=np.asarray(schedule)))
    np.testing.assert_array_equal(tally.interweaving.tried, REPLICAS * np.asarray(expected))
    np.testing.assert_array_equal(tally.interweaving.accepted > 0, np.asarray(expected) > 0)


def still(start):
    """Controls under which no Metropolis proposal goes anywhere and no interweaving is scheduled."""
    levels = {
        name: tuple(level._replace(log_scale=np.full_like(level.log_scale, -np.inf)) for level in rungs)
        for name, rungs in start.levels.items()
    }
    return start._replace(levels=levels, schedule=np.full(SWEEPS, 2))


def test_a_move_without_a_step_changes_nothing():
    chosen = still(tuning(sweeps=SWEEPS))
    (cold,), tally = run(1, chosen)
    assert_same_bits(cold.position, dispersed(1)[0].position)
    np.testing.assert_allclose(tally.rates["g"][0].walk.accepted, tally.rates["g"][0].walk.tried, rtol=1e-12)


def test_hot_replicas_move_their_leaf_blocks_only():
    """Their other levels stay at the auxiliary target's; cold replicas move in every level."""
    before = dispersed(2)
    (cold, hot), tally = run(2, before=before)
    for site in ("mu", "log_sd"):
        assert sorted(np.asarray(hot.position[site])) == sorted(np.asarray(before[1].position[site]))
        assert (cold.position[site] != before[0].position[site]).any()
    for site in ("x", "b"):
        assert not np.isin(np.asarray(hot.position[site]), np.asarray(before[1].position[site])).all()
    assert len(tally.rates["g"]) == 2
    assert len(tally.rates["global"]) == 1


def blocks_of(rungs):
    """The leaf blocks of all replicas of all rungs, [rungs R, 2, GROUPS]."""
    return np.concatenate([np.stack([s.position["x"], s.position["b"]], axis=1) for s in rungs])


def test_swaps_exchange_blocks_and_lose_none():
    """With every other move standing still, both rungs together hold each block's values as often as before."""
    before = dispersed(2)
    chosen = still(tuning(temperatures=(1.0, 3.0), sweeps=SWEEPS))
    (cold, hot), tally = run(2, chosen, before)
    np.testing.assert_array_equal(tally.swaps["g"][0].tried, SWEEPS * REPLICAS)
    blocks = [blocks_of(rungs) for rungs in (before, (cold, hot))]
    for group in range(GROUPS):
        was, now = ([tuple(row) for row in values[:, :, group]] for values in blocks)
        assert sorted(was) == sorted(now)
    assert not np.array_equal(cold.position["x"], before[0].position["x"])
    for site in ("mu", "log_sd"):
        np.testing.assert_array_equal(cold.position[site], before[0].position[site])


def test_cached_terms_belong_to_the_positions():
    """After all kinds of moves at two temperatures: every cell as computed anew."""
    rungs, _ = run(2, with_mix(tuning(temperatures=(1.0, 3.0), sweeps=SWEEPS), 0.3))
    for state in rungs:
        fresh = evaluated(state.position)
        for name, cells in state.cells.items():
            np.testing.assert_allclose(cells, fresh.cells[name], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("rungs", [1, 2])
def test_frozen_controls_give_the_same_bits_twice_and_other_keys_do_not(rungs):
    assert_same_bits(run(rungs), run(rungs))
    with pytest.raises(AssertionError):
        assert_same_bits(run(rungs), run(rungs, round_=1))


def test_replicas_in_turn_do_as_replicas_together(monkeypatch):
    """On processors, large models step one replica after another: the same moves, to rounding, and the same counts."""
    together, tally = run(2)
    monkeypatch.setattr(batching, "CACHED_COORDINATES", 0)
    chosen = tuning(temperatures=(1.0, 3.0), sweeps=SWEEPS)
    in_turn, turns, _ = jax.jit(build(2).round)(dispersed(2), keys(2), small().data, chosen)
    for one, other in zip(jax.tree.leaves((together, tally)), jax.tree.leaves((in_turn, turns)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_replicas_with_equal_states_go_different_ways():
    """Every replica has keys of its own, at every rung."""
    same = tuple(jax.tree.map(lambda x: jnp.repeat(x[:1], REPLICAS, axis=0), state) for state in dispersed(2))
    rungs, _ = run(2, before=same)
    x = np.concatenate([state.position["x"] for state in rungs])
    assert len(np.unique(x, axis=0)) == 2 * REPLICAS


@pytest.mark.parametrize("rungs", [1, 2])
def test_the_kernels_of_a_sweep_are_exact(rungs):
    sweeps = build(rungs)
    kernels = [
        *(step.transition for step in sweeps.steps.values()),
        sweeps.interweave,
        *sweeps.swaps.block_swaps.values(),
    ]
    names = [type(kernel).__name__ for kernel in kernels]
    assert names == ["Metropolis", "Metropolis", "Interweave", "BlockSwap"][: 2 + rungs]
    assert [kernel.exact for kernel in kernels] == [True] * (2 + rungs)
    sweeps.require_exact()


def test_an_approximate_kernel_is_refused_by_name_and_with_a_remedy():
    sweeps = build(1)
    sweeps.steps["g"].transition = MomentumDiffusion(sweeps.views["g"])
    with pytest.raises(
        ApproximateKernelError, match=r"MomentumDiffusion is approximate.*`scout`.*Metropolis"
    ) as caught:
        sweeps.require_exact()
    assert isinstance(caught.value, MaxwellError)


def test_the_refusal_looks_at_swaps_and_interweaving_too():
    for part in ("swaps", "interweave"):
        sweeps = build(2)
        kernel = sweeps.swaps.block_swaps["g"] if part == "swaps" else sweeps.interweave
        kernel.exact = False
        with pytest.raises(ApproximateKernelError):
            sweeps.require_exact()
    assert Metropolis.exact


@cache
def walled():
    """A round of a target whose slopes beyond 0.5 have the density exp(data["wall"]), and its start."""
    model = small()

    def log_terms(position, data):
        terms = model.target.log_terms(position, data)
        return {**terms, "b": jnp.where(jnp.abs(position["b"]) > 0.5, data["wall"], terms["b"])}

    found = target(log_terms)
    position = {name: jnp.zeros((REPLICAS, *site.shape)) for name, site in found.sites.items()}
    data = {**model.data, "wall": 0.0}
    start = jax.vmap(lambda p: evaluate(found, model.structure, p, data))(position)
    return jax.jit(Sweeps(found, SweepSpec(model.structure, {}), replicas=REPLICAS, rungs=1, repeats=1).round), start


@pytest.mark.parametrize("wall", [np.nan, np.inf, -np.inf])
def test_a_nonfinite_density_is_rejected_and_counted(wall):
    """Nothing goes where the density is not finite, not even where it is infinite; the attempts are counted."""
    sweep, start = walled()
    chosen = tuning(sweeps=8)._replace(interweave=np.zeros(0), schedule=np.zeros(8, int))
    (cold,), tally, _ = sweep((start,), keys(1), {**small().data, "wall": wall}, chosen)
    assert int(tally.nonfinite) > 0
    assert float(jnp.abs(cold.position["b"]).max()) <= 0.5
    assert all(bool(jnp.isfinite(cells).all()) for cells in cold.cells.values())
    assert not np.array_equal(cold.position["b"], start.position["b"])


class Spy:
    """A kernel that notes the keys of every step, one a replica."""

    exact = True

    def __init__(self, kernel, seen):
        self.kernel, self.seen = kernel, seen

    def step(self, keys, *rest):
        jax.debug.callback(lambda data: self.seen.extend(map(tuple, data.tolist())), jax.random.key_data(keys))
        return self.kernel.step(keys, *rest)


def test_no_key_is_used_twice_in_a_round():
    """Over sweeps, repeats, levels, rungs, interweaving and swaps."""
    sweeps, seen = build(2), []
    for step in sweeps.steps.values():
        step.transition = Spy(step.transition, seen)
    blocks = sweeps.swaps.block_swaps
    sweeps.swaps.block_swaps = {name: Spy(kernel, seen) for name, kernel in blocks.items()}
    sweeps.interweave = Spy(sweeps.interweave, seen)
    chosen = tuning(temperatures=(1.0, 3.0), sweeps=SWEEPS)._replace(schedule=np.array([0, 1, 0, 1]))
    jax.block_until_ready(jax.jit(sweeps.round)(dispersed(2), keys(2), small().data, chosen))
    jax.effects_barrier()
    leaf, shared, interweaving, swaps = 2 * REPLICAS, REPEATS * REPLICAS, REPLICAS, REPLICAS
    assert len(seen) == SWEEPS * (leaf + shared + interweaving + swaps)
    assert len(set(seen)) == len(seen)
