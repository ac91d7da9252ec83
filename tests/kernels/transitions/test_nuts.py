"""NUTS: draw for draw the recursion, one chain at a time or in a batch; exact on a hierarchy; parameters and info."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.dynamics.integrators import LEAPFROG, SCHEMES, STRANG, Scheme
from kernels.dynamics.metric import LowRank
from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.structure.joining import level_of_all_sites
from kernels.target import Site, Target
from kernels.transitions.nuts.sampler import Nuts, NutsParameters, TrajectoryRandomness, together, trajectory
from kernels.transitions.nuts.tree import NOISE
from kernels.transitions.nuts.turning import Turning, inner, merge_turns, u_turn
from tests.support import recursive_nuts
from tests.support.harness import LOG_SD, Report, Sample, check_kernel, draw_joint, hierarchy, view
from tests.support.recursive_nuts import RecursiveNuts

Potential = Callable[[jax.Array], jax.Array]
CHAINS, DEEPEST = 16, 7
PRECISION = np.linalg.inv(0.8 ** np.abs(np.subtract.outer(np.arange(11), np.arange(11))))


def gaussian(q: jax.Array) -> jax.Array:
    return 0.5 * q @ (jnp.asarray(PRECISION) @ q)


def banana(q: jax.Array) -> jax.Array:
    return 0.5 * q[0] ** 2 + 2.0 * (q[1] - 0.5 * q[0] ** 2) ** 2


def funnel(q: jax.Array) -> jax.Array:
    return q[0] ** 2 / 18.0 + 0.5 * jnp.sum(q[1:] ** 2) * jnp.exp(-q[0]) + 0.5 * (q.size - 1) * q[0]


def box(q: jax.Array) -> jax.Array:
    """Not a number outside (-1, 1)^d."""
    return -jnp.sum(jnp.log1p(-(q**2)))


CASES = {
    # potential, coordinates, scale of the starts, step, depth, how some of the trajectories must end
    "gaussian": (gaussian, 11, 1.0, 0.25, DEEPEST, {"turn", "subtree"}),
    "gaussian, big steps": (gaussian, 11, 1.0, 0.6, DEEPEST, {"turn"}),
    "gaussian, short": (gaussian, 11, 1.0, 0.05, 4, {"cap"}),
    "banana": (banana, 2, 1.0, 0.15, DEEPEST, {"turn", "subtree"}),
    "funnel": (funnel, 5, 2.0, 0.5, DEEPEST, {"turn", "subtree", "divergence"}),
    "box": (box, 20, 0.5, 0.4, DEEPEST, {"divergence"}),
}


def random_draws(rng: np.random.Generator, d: int) -> tuple[np.ndarray, ...]:
    """Of CHAINS chains: momentum, directions, Gumbel noise by number of the leaf, uniform."""
    directions = rng.choice([-1.0, 1.0], (CHAINS, DEEPEST))
    return rng.normal(size=(CHAINS, d)), directions, rng.gumbel(size=(CHAINS, 2**DEEPEST)), rng.random(directions.shape)


def injected(arrays: Any) -> TrajectoryRandomness:
    momentum, directions, gumbel, uniform = (jnp.asarray(values) for values in arrays)

    def noise(n: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(gumbel.T, n * NOISE, NOISE)

    return TrajectoryRandomness(momentum, directions, noise, uniform)


@cache
def batch(potential: Potential, scheme: Scheme) -> Any:
    """Compiled: (offsets, draws with the Gumbel noise as an array [R, leaves], step, depth) -> (offsets, info)."""

    @jax.jit
    def run(offset: Any, arrays: Any, step: Any, depth: Any) -> Any:
        return trajectory(jax.vmap(jax.value_and_grad(potential)), scheme, offset, injected(arrays), step, depth)

    return run


@cache
def gradient_of(potential: Potential) -> recursive_nuts.Gradient:
    compiled = jax.jit(jax.value_and_grad(potential))

    def both(q: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = compiled(q)
        return float(value), np.asarray(gradient)

    return both


def start_of(case: str) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    _, d, spread, *_ = CASES[case]
    rng = np.random.default_rng(list(CASES).index(case))
    offset = rng.normal(size=(CHAINS, d))
    return spread * (np.tanh(offset) if case == "box" else offset), random_draws(rng, d)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("case", CASES)
def test_the_loop_is_the_recursion_draw_for_draw(case: str, scheme: Scheme) -> None:
    potential, _, _, step, depth, endings = CASES[case]
    step = step * scheme.gradients
    offset, arrays = start_of(case)
    chosen, info = batch(potential, scheme)(offset, arrays, step, depth)
    seen, nonfinite = set(), 0
    for chain in range(CHAINS):
        draws = recursive_nuts.Draws(*(values[chain] for values in arrays))
        slow = RecursiveNuts(gradient_of(potential), scheme.name, offset[chain], draws, step, depth)
        np.testing.assert_allclose(chosen[chain], slow.q, rtol=0, atol=1e-10)
        np.testing.assert_allclose(info.energy[chain], slow.energy, rtol=1e-10, atol=1e-10)
        assert (info.n_steps[chain], info.tree_depth[chain]) == (slow.leapfrogs, slow.depth)
        assert bool(info.diverging[chain]) == (slow.ended == "divergence")
        np.testing.assert_allclose(info.acceptance_probability[chain], np.mean(slow.accepted), atol=1e-10)
        seen.add(slow.ended)
        nonfinite += slow.nonfinite
    if scheme == LEAPFROG:
        assert seen >= endings, seen
    assert (int(info.nonfinite.sum()) > 0) == (case == "box")
    assert int(info.nonfinite.sum()) == nonfinite
    assert (np.asarray(info.n_steps_lockstep) == int(info.n_steps.max())).all()


@pytest.mark.parametrize("case", ["gaussian", "funnel"])
def test_a_batch_is_its_chains_one_by_one(case: str) -> None:
    potential, _, _, step, depth, _ = CASES[case]
    offset, arrays = start_of(case)
    steps = step * np.linspace(0.5, 1.5, CHAINS)
    chosen, info = batch(potential, LEAPFROG)(offset, arrays, steps, depth)
    alone = [
        batch(potential, LEAPFROG)(offset[i : i + 1], [a[i : i + 1] for a in arrays], steps[i : i + 1], depth)
        for i in range(CHAINS)
    ]
    np.testing.assert_allclose(chosen, np.concatenate([one for one, _ in alone]), rtol=0, atol=1e-10)
    for name in ("n_steps", "tree_depth", "diverging"):
        np.testing.assert_array_equal(getattr(info, name), np.concatenate([getattr(i, name) for _, i in alone]))
    longest = [int(one.n_steps_lockstep[0]) for _, one in alone]
    assert (np.asarray(info.n_steps_lockstep) == max(longest)).all()
    assert len(set(longest)) > 1


def test_another_rule_of_turning_and_the_depth_limit() -> None:
    offset, arrays = start_of("gaussian")
    draws = injected(arrays)
    gradient = jax.vmap(jax.value_and_grad(gaussian))

    def never(start: jax.Array, end: jax.Array, total: jax.Array) -> jax.Array:
        return jnp.zeros(start.shape[0], bool)

    _, info = trajectory(gradient, LEAPFROG, jnp.asarray(offset), draws, 0.25, 5, turning=Turning(never))
    assert (np.asarray(info.n_steps) == 31).all()
    assert (np.asarray(info.tree_depth) == 5).all()


def test_flows_of_the_callers_own() -> None:
    """Strang with the exact rotation of a standard normal: H is kept to the last digits whatever the step."""
    offset, arrays = start_of("gaussian")
    draws = injected(arrays)

    def rotate(time: Any, phase: Any) -> Any:
        turned = phase.offset * jnp.cos(time) + phase.momentum * jnp.sin(time)
        momentum = phase.momentum * jnp.cos(time) - phase.offset * jnp.sin(time)
        return phase._replace(offset=turned, momentum=momentum, potential=0.5 * inner(turned, turned))

    flows = {"kick": lambda time, phase: phase, "rotate": rotate}
    chosen, info = trajectory(
        lambda q: (0.5 * inner(q, q), jnp.zeros_like(q)), STRANG, jnp.asarray(offset), draws, 1.0, 5, flows=flows
    )
    np.testing.assert_allclose(info.acceptance_probability, 1.0, atol=1e-12)
    assert (np.asarray(info.n_steps) <= 7).all()
    assert np.abs(np.asarray(chosen) - offset).max() > 0.1


@pytest.mark.parametrize("d", [1, 5, 16, 25, 100])
def test_inner_products(d: int) -> None:
    left, right = np.random.default_rng(d).normal(size=(2, 7, d))
    np.testing.assert_allclose(inner(jnp.asarray(left), jnp.asarray(right)), (left * right).sum(axis=1), atol=1e-13)


def test_a_turn_that_only_the_checks_across_the_halves_see() -> None:
    """Once round the circle and a little further, the ends look alike: half the circle had turned long before."""
    angles = np.array([[0.0, 0.25], [0.55, 1.1]]) * 2.0 * np.pi
    momenta = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    (p1, p2), (p3, p4) = (jnp.asarray(half)[:, None, :] for half in momenta)
    halves = 0.2 * (p1 + p2), 0.2 * (p3 + p4) + 0.5 * p1
    assert not u_turn(p1, p4, sum(halves))[0]
    assert merge_turns(u_turn, (p1, p4), (p2, p3), halves)[0]


def plain_target() -> tuple[LevelView, list[None]]:
    """A correlated normal of 11 coordinates, and a list that grows by one with every trace of it."""
    traces: list[None] = []

    def log_terms(position: Any, data: Any) -> Any:
        traces.append(None)
        return {"x": -data * gaussian(position["x"])}

    position = {"x": jnp.ones(11)}
    target = Target({"x": Site("x", (11,))}, {"x": "prior"}, log_terms, lambda p, d: p, lambda k, d: position)
    structure = discover(target, jnp.asarray(1.0), position, key=jax.random.key(0))
    return LevelView(target, structure, structure.level("global")), traces


def parameters(step: Any, depth: int = DEEPEST, beta: Any = 1.0, scale: float = 1.0) -> NutsParameters:
    return NutsParameters(jnp.asarray(beta), jnp.asarray(step), jnp.full((11, 1), scale), jnp.asarray(depth))


def states_of(own: LevelView, positions: Any) -> State:
    return jax.vmap(lambda x: evaluate(own.target, own.structure, {"x": x}, jnp.asarray(1.0)))(jnp.asarray(positions))


def test_new_controls_do_not_retrace() -> None:
    own, traces = plain_target()
    step = jax.jit(Nuts(own, DEEPEST).step)
    states = states_of(own, np.random.default_rng(0).normal(size=(8, 11)))
    keys = jax.random.split(jax.random.key(1), 8)
    executed = [int(step(keys, states, jnp.asarray(1.0), parameters(0.05))[1].n_steps_lockstep.max())]
    count = len(traces)
    for depth, size, beta in ((1, 0.05, 1.0), (3, 0.05, 1.0), (3, 0.05, 0.5), (DEEPEST, 0.2, 1.0)):
        executed.append(
            int(step(keys, states, jnp.asarray(1.0), parameters(size, depth, beta))[1].n_steps_lockstep.max())
        )
    assert len(traces) == count
    assert executed[1:4] == [1, 7, 7]
    assert executed[0] > executed[4] > 7


@pytest.mark.parametrize(("width", "expected"), [(1, 512), (10, 32), (51, 8), (512, 8), (513, 8), (100_000, 8)])
def test_groups_are_large_where_replicas_are_small(width: int, expected: int) -> None:
    assert together(width) == expected


def test_a_replica_moves_the_same_in_a_group_and_alone() -> None:
    """70 replicas of 11 coordinates: two groups of 32 and a rest of 6, with step sizes of their own."""
    own, _ = plain_target()
    step = jax.jit(Nuts(own, 5).step)
    states = states_of(own, np.random.default_rng(0).normal(size=(70, 11)))
    keys, one = jax.random.split(jax.random.key(1), 70), jnp.asarray(1.0)
    sizes = jnp.linspace(0.05, 0.6, 70)
    found, info = step(keys, states, one, parameters(sizes, 5))
    executed = np.asarray(info.n_steps_lockstep)
    for first, last in ((0, 32), (32, 64), (64, 70)):
        assert (executed[first:last] == int(info.n_steps[first:last].max())).all()
    for replica in (0, 40, 69):
        alone = jax.tree.map(lambda x, r=replica: x[r : r + 1], states)
        moved, _ = step(keys[replica : replica + 1], alone, one, parameters(sizes[replica : replica + 1], 5))
        np.testing.assert_allclose(found.position["x"][replica], moved.position["x"][0], rtol=0, atol=1e-10)


def test_units_of_the_factor_and_temperatures_by_replica() -> None:
    """Each replica has its beta; a factor counts by what it multiplies to; a temperature is a smaller precision."""
    own, _ = plain_target()
    step = jax.jit(Nuts(own, DEEPEST).step)
    states = states_of(own, np.random.default_rng(0).normal(size=(8, 11)))
    keys, one = jax.random.split(jax.random.key(1), 8), jnp.asarray(1.0)
    mixed, cold, hot = jnp.where(np.arange(8) < 4, 1.0, 0.25), jnp.ones(8), jnp.full(8, 0.25)

    def drawn(parameters: NutsParameters, precision: float = 1.0) -> Any:
        return np.asarray(step(keys, states, precision * one, parameters)[0].position["x"])

    both, at_cold, at_hot = (drawn(parameters(0.2, beta=beta)) for beta in (mixed, cold, hot))
    np.testing.assert_array_equal(both, np.concatenate([at_cold[:4], at_hot[4:]]))
    assert not np.array_equal(at_cold[4:], at_hot[4:])
    low_rank = LowRank(jnp.full((11, 1), 0.5), jnp.eye(11), jnp.full(11, 2.0))
    np.testing.assert_allclose(drawn(parameters(0.2, beta=cold)._replace(factor=low_rank)), at_cold, atol=1e-10)
    wide = drawn(parameters(0.1, beta=hot, scale=2.0))
    np.testing.assert_allclose(wide, drawn(parameters(0.1, beta=cold, scale=2.0), precision=0.25), atol=1e-10)


def test_cells_follow_the_position_and_stay_with_who_stays() -> None:
    own, _ = plain_target()
    states = states_of(own, np.random.default_rng(0).normal(size=(8, 11)))
    marked = State(states.position, {"x": states.cells["x"] + 7.0})
    keys, one = jax.random.split(jax.random.key(1), 8), jnp.asarray(1.0)
    sizes = jnp.where(np.arange(8) < 4, 0.2, 1e4)
    after, info = jax.jit(Nuts(own, DEEPEST).step)(keys, marked, one, parameters(sizes))
    np.testing.assert_array_equal(info.diverging, np.arange(8) >= 4)
    np.testing.assert_array_equal(after.position["x"][4:], states.position["x"][4:])
    np.testing.assert_array_equal(after.cells["x"][4:], marked.cells["x"][4:])
    anew = states_of(own, after.position["x"])
    moved = (np.asarray(after.position["x"]) != np.asarray(states.position["x"])).any(axis=1)
    assert moved[:4].any()
    np.testing.assert_allclose(after.cells["x"][moved], anew.cells["x"][moved], rtol=1e-12)


def test_what_nuts_refuses() -> None:
    with pytest.raises(ValueError, match=r"'group' has 5 blocks.*blockwise HMC"):
        Nuts(view("group"), 5)
    with pytest.raises(ValueError, match="max_depth = 0 was given; allowed are 1 to 30"):
        Nuts(whole_view(), 0)
    with pytest.raises(ValueError, match="palindromic"):
        Nuts(whole_view(), 5, Scheme("euler", (("kick", 1.0), ("drift", 1.0))))


@cache
def whole_view() -> LevelView:
    target, structure = hierarchy()
    return LevelView(target, structure, level_of_all_sites(target, structure))


class LastLeaf(Nuts):
    """Wrong: takes the last leaf of each subtree, whatever its weight."""

    def randomness(self, keys: jax.Array) -> TrajectoryRandomness:
        def increasing(n: jax.Array) -> jax.Array:
            numbers = n * NOISE + jnp.arange(NOISE, dtype=jnp.float64)
            return jnp.broadcast_to(1e3 * numbers[:, None], (NOISE, *keys.shape))

        return super().randomness(keys)._replace(gumbel=increasing)


def draw_powered(name: str, beta: float) -> Sample:
    """Exact draws of the law with the whole joint density to the power beta: all variances are 1 / beta of before,
    and the 10 sds in front of exp((1 - beta) ...) shift the mean of log sd."""
    position, y = draw_joint(name)
    mu, log_sd = position["mu"] / beta**0.5, position["log_sd"] / beta**0.5
    shifted = log_sd + LOG_SD**2 / beta * 10 * (1.0 - beta)
    x = (position["x"] - position["mu"][:, None, None]) * np.exp(-position["log_sd"])[:, None, None] / beta**0.5
    x = mu[:, None, None] + np.exp(shifted)[:, None, None] * x
    return {"mu": mu, "log_sd": shifted, "x": x}, x + (y - position["x"]) / beta**0.5


def check(name: str, nuts: Nuts, beta: float, step: float) -> Report:
    factor = jnp.full((nuts.view.level.width, 1), 0.8)
    parameters = NutsParameters(jnp.asarray(beta), jnp.asarray(step), factor, jnp.asarray(3))
    samples = draw_powered(name, beta), draw_powered(f"{name} still", beta)
    return check_kernel(name, nuts, parameters, *samples)


@pytest.mark.parametrize(("scheme", "beta", "step"), [("leapfrog", 1.0, 0.8), ("two_stage", 0.8, 1.3)])
def test_exact_on_the_hierarchy(scheme: str, beta: float, step: float) -> None:
    report = check(f"nuts {scheme}", Nuts(whole_view(), 3, SCHEMES[scheme]), beta, step)
    assert report.passed, report


def test_the_wrong_choice_of_a_point_fails() -> None:
    assert not check("last leaf", LastLeaf(whole_view(), 3), 1.0, 0.8).passed
