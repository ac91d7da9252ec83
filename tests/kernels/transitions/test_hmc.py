"""HMC on blocks: exact for every scheme, metric and temperature; overflow harms no other block; nothing retraces."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.dynamics.forces import bounded, normals, scaled_potential, value_and_gradient
from kernels.dynamics.integrators import LEAPFROG, TWO_STAGE, Scheme, hamiltonian_flows, phase_at, stepper
from kernels.dynamics.metric import Factor, LowRank, multiply
from kernels.state import Info, LevelView, State, evaluate, log_density
from kernels.structure.discovery import discover
from kernels.structure.joining import level_of_all_sites
from kernels.target import Site, Target
from kernels.transitions import hmc
from kernels.transitions.hmc import Hmc, HmcParameters
from tests.support.harness import GROUPS, WIDTH, check_kernel, draw_tempered, hierarchy, one_draw, view
from tests.support.one_replica import OneReplica

BOTH = pytest.mark.parametrize("scheme", [LEAPFROG, TWO_STAGE], ids=lambda scheme: scheme.name)


@cache
def kernel(level: str, scheme: Scheme = LEAPFROG) -> Hmc:
    return Hmc(view_of(level), scheme)


def view_of(level: str) -> LevelView:
    target, structure = hierarchy()
    return LevelView(target, structure, level_of_all_sites(target, structure)) if level == "whole" else view(level)


def dense() -> jax.Array:
    """A triangle for every group, none like another and none like the target's."""
    factor = jnp.zeros((WIDTH, WIDTH, GROUPS)).at[0, 0].set(0.9).at[1, 1].set(0.6).at[1, 0].set(0.4)
    return factor * (1.0 + 0.05 * jnp.arange(GROUPS))


def low_rank(width: int) -> LowRank:
    """A metric for the whole vector that stretches one direction and shrinks another."""
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(width, 2)))[0]
    return LowRank(jnp.full((width, 1), 0.7), jnp.asarray(basis), jnp.asarray([1.5, 0.6]))


def parameters(h: Any, factor: Factor, steps: int = 3, beta: float = 1.0) -> HmcParameters:
    """With dtypes given: an array made from a Python number alone is weakly typed and would be traced anew."""
    return HmcParameters(
        jnp.asarray(beta, jnp.float64), jnp.asarray(h, jnp.float64), factor, jnp.asarray(steps, jnp.int32)
    )


GROUP_PARAMETERS = parameters([0.5, 0.7, 0.9, 1.1, 1.3], dense())


@BOTH
def test_exact_on_blocks(scheme: Scheme) -> None:
    """A dense factor and a step for every block."""
    report = check_kernel(f"blocks {scheme.name}", kernel("group", scheme), GROUP_PARAMETERS)
    assert report.passed, report


@BOTH
def test_exact_on_the_whole_vector(scheme: Scheme) -> None:
    h = 0.25 * scheme.gradients
    width = kernel("whole", scheme).view.level.width
    factor = jnp.linspace(0.6, 1.2, width)[:, None]
    report = check_kernel(f"whole {scheme.name}", kernel("whole", scheme), parameters(h, factor, 4))
    assert report.passed, report


def test_exact_with_bounded_forces() -> None:
    """A bound that cuts most forces: the dynamics are wrong, the draws are right."""
    chosen = GROUP_PARAMETERS._replace(steepest=jnp.asarray(0.7))
    report = check_kernel("bounded forces", kernel("group"), chosen)
    assert report.passed, report


def test_a_bounded_force_keeps_its_direction() -> None:
    gradient = jnp.asarray([[3.0, 0.3, 0.0, jnp.inf], [4.0, 0.4, 0.0, 1.0]])
    found = bounded(gradient, 1.0, axis=0)
    np.testing.assert_allclose(found, [[0.6, 0.3, 0.0, 0.0], [0.8, 0.4, 0.0, 0.0]], rtol=1e-15)


def test_bounded_forces_bring_stragglers_down_where_exact_ones_overshoot() -> None:
    """U = cosh x: one step size that suits its middle, from far out on its slope."""
    x = jnp.full((1, 1), 12.0)
    moved = {}
    for limit in (jnp.inf, 2.0):
        evaluate = value_and_gradient(lambda offset: jnp.sum(jnp.cosh(x + offset), axis=0), limit)
        advance = stepper(LEAPFROG, hamiltonian_flows(evaluate))
        start = phase_at(evaluate, jnp.zeros((1, 1)), jnp.zeros((1, 1)))
        end = jax.lax.fori_loop(0, 5, lambda _, phase: advance(jnp.asarray(0.5), phase), start)  # noqa: B023
        moved[limit] = float(end.potential[0] - start.potential[0])
    assert moved[2.0] < 0.0
    assert not moved[jnp.inf] < 0.0


def test_exact_with_a_low_rank_factor() -> None:
    report = check_kernel("low rank", kernel("whole"), parameters(0.3, low_rank(2 + GROUPS * WIDTH), 4))
    assert report.passed, report


@BOTH
def test_exact_when_tempered(scheme: Scheme) -> None:
    name = f"tempered {scheme.name}"
    samples = draw_tempered(name, 0.5), draw_tempered(f"{name} still", 0.5)
    report = check_kernel(name, kernel("group", scheme), parameters(1.1, dense(), 3, beta=0.5), *samples)
    assert report.passed, report
    assert not check_kernel(f"{name} as cold", kernel("group", scheme), parameters(1.1, dense()), *samples).passed


def accept_always(key: jax.Array, log_ratio: jax.Array) -> tuple[jax.Array, Info]:
    return jnp.ones_like(log_ratio, bool), Info(jnp.ones_like(log_ratio), jnp.zeros((), int))


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("decide", accept_always), ("kinetic", lambda momentum: jnp.zeros(momentum.shape[1]))],
    ids=["accepts always", "forgets the kinetic energy"],
)
def test_wrong_kernels_fail(monkeypatch: pytest.MonkeyPatch, part: str, wrong: Any) -> None:
    monkeypatch.setattr(hmc, part, wrong)
    assert not check_kernel(f"wrong {part}", Hmc(view("group")), GROUP_PARAMETERS).passed


def test_lopsided_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'euler' was given.*not reversible.*give a palindromic scheme"):
        Hmc(view("group"), Scheme("euler", (("kick", 1.0), ("drift", 1.0))))


def phase_map(level: str, scheme: Scheme) -> tuple[Callable[[jax.Array], jax.Array], jax.Array]:
    """A trajectory of 5 steps as a map of (coordinates, momenta) in one vector, and a start for it."""
    own, (position, y) = kernel(level, scheme), one_draw()
    state, width = evaluate(own.view.target, own.view.structure, position, y), own.view.level.width
    factor = dense() if level == "group" else low_rank(width)

    @jax.jit
    def flow(phase: jax.Array) -> jax.Array:
        blocks, momentum = jnp.reshape(phase, (2, width, -1))
        moved = State(own.view.level.scatter(position, blocks), state.cells)
        end = own.flow(momentum, moved, y, parameters(0.4, factor, 5))
        return jnp.concatenate([(blocks + multiply(factor, end.offset)).ravel(), end.momentum.ravel()])

    parts = own.view.blocks(position), normals(jax.random.key(1), own.view)
    return flow, jnp.concatenate([part.ravel() for part in parts])


@BOTH
@pytest.mark.parametrize("level", ["group", "whole"])
def test_flow_turns_back_and_preserves_volume(level: str, scheme: Scheme) -> None:
    """The map of the whole kernel, on the target: 5 steps there and, with the momentum turned round, 5 back."""
    flow, start = phase_map(level, scheme)
    turn = jnp.where(jnp.arange(start.size) < start.size // 2, 1.0, -1.0)
    there = flow(start)
    assert float(jnp.max(jnp.abs(there - start))) > 0.5
    np.testing.assert_allclose(flow(turn * there), turn * start, rtol=0.0, atol=1e-12)
    jacobian = np.asarray(jax.jacfwd(flow)(start))
    assert abs(abs(np.linalg.det(jacobian)) - 1.0) < 1e-10


def test_cached_cells_stay_true() -> None:
    """After 50 steps the carried cells are those of the position, to rounding."""
    target, structure = hierarchy()
    position, y = one_draw()
    start, keys = evaluate(target, structure, position, y), jax.random.split(jax.random.key(8), 50)

    def body(state: State, key: jax.Array) -> tuple[State, None]:
        return OneReplica(kernel("group")).step(key, state, y, GROUP_PARAMETERS)[0], None

    end, _ = jax.lax.scan(body, start, keys)
    fresh = evaluate(target, structure, end.position, y)
    assert float(jnp.abs(log_density(end.cells) - log_density(start.cells))) > 1e-3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), end.cells, fresh.cells)


@pytest.mark.parametrize("spoilt", [jnp.inf, jnp.nan, 1e200], ids=str)
def test_an_overflowing_block_spoils_no_other_gradient(spoilt: float) -> None:
    position, y = one_draw()
    evaluate_at = jax.jit(value_and_gradient(scaled_potential(view("group"), position, y, dense(), 1.0)))
    offset = 0.3 * normals(jax.random.key(4), view("group"))
    potential, gradient = evaluate_at(offset)
    spoilt_potential, spoilt_gradient = evaluate_at(offset.at[:, 2].set(spoilt))
    others = np.arange(GROUPS) != 2
    assert not np.isfinite(spoilt_potential[2])
    np.testing.assert_array_equal(spoilt_potential[others], potential[others])
    np.testing.assert_array_equal(spoilt_gradient[:, others], gradient[:, others])


def independent(blocks: int, kind: str) -> LevelView:
    """Independent blocks of 2: quartic, exp(-sum x^4 / 4); half, exp(-sum x) for x > 0 and nothing below."""

    def log_terms(position: Any, data: Any) -> Any:
        x = position["x"]
        return {"x": jnp.where(x > 0.0, -x, -jnp.inf) if kind == "half" else -0.25 * x**4}

    site, start = Site("x", (blocks, 2), ("block",)), {"x": jnp.full((blocks, 2), 0.7)}
    target = Target({"x": site}, {"x": "prior"}, log_terms, lambda p, d: p, lambda k, d: start)
    structure = discover(target, None, start, key=jax.random.key(0))
    return LevelView(target, structure, structure.level("block"))


def start_of(own: LevelView, x: jax.Array) -> State:
    return evaluate(own.target, own.structure, {"x": x}, None)


@pytest.mark.parametrize(("kind", "h"), [("quartic", 1e200), ("half", 300.0)])
def test_points_that_are_not_finite_are_rejected_and_counted(kind: str, h: float) -> None:
    """Block 1 leaps to where its density overflows, or is 0: it stays to the last bit, and the others move on."""
    own = independent(4, kind)
    state = start_of(own, jnp.full((4, 2), 0.7))
    steps = jnp.full(4, 0.02).at[1].set(h)
    # The first key whose momentum leads out of the half-line: the other half of the leaps stays inside.
    key = next(k for k in jax.random.split(jax.random.key(0)) if leaves(k, own))
    after, info = jax.jit(OneReplica(Hmc(own)).step)(key, state, None, parameters(steps, jnp.ones((2, 4)), 2))
    assert int(info.nonfinite) == 1
    assert float(info.acceptance_probability[1]) == 0.0
    others = np.array([0, 2, 3])
    assert (np.asarray(info.acceptance_probability)[others] > 0.99).all()
    np.testing.assert_array_equal(after.position["x"][1], state.position["x"][1])
    assert (np.asarray(after.position["x"] != state.position["x"])[others]).all()
    fresh = start_of(own, after.position["x"]).cells
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14), after.cells, fresh)


def leaves(key: jax.Array, own: LevelView) -> bool:
    """Whether a long leap of block 1 from this key's momenta has a coordinate below 0."""
    return bool(normals(jax.random.split(key)[0], own)[:, 1].min() < -0.1)


def ragged() -> LevelView:
    """Blocks of 3, 1, 1 and 2 coordinates, tied together by products."""
    first, second = np.array([0, 1, 5]), np.array([1, 2, 6])

    def log_terms(position: Any, data: Any) -> Any:
        x = position["x"]
        return {"x": -0.5 * x**2, "pair": -0.1 * (x[first] * x[second]) ** 2}

    site, start = Site("x", (7,), ("unit",)), {"x": jnp.linspace(0.4, 1.0, 7)}
    kinds: Any = {"x": "prior", "pair": "prior"}
    target = Target({"x": site}, kinds, log_terms, lambda p, d: p, lambda k, d: start)
    structure = discover(target, None, start, key=jax.random.key(0))
    return LevelView(target, structure, structure.levels[0])


def test_padding_never_moves() -> None:
    """In blocks of unequal sizes what pads the smaller ones has no offset and no momentum, and takes no part in H."""
    own = ragged()
    assert sorted(own.level.sizes) == [1, 1, 2, 3]
    mask, width = np.asarray(own.level.mask), own.level.width
    state = start_of(own, jnp.linspace(0.4, 1.0, 7))
    factor = jnp.stack([jnp.tril(jnp.full((width, width), 0.8))] * own.level.n_blocks, axis=-1)
    momentum = normals(jax.random.key(2), own)
    end = jax.jit(lambda used: Hmc(own).flow(momentum, state, None, used))(parameters(0.2, factor, 5))
    for part in (end.offset, end.momentum, end.gradient):
        np.testing.assert_array_equal(np.asarray(part)[~mask], 0.0)
        assert (np.asarray(part)[mask] != 0.0).all()


@BOTH
def test_acceptance_tends_to_one_as_the_square_of_h(scheme: Scheme) -> None:
    """At a fixed length of trajectory with the same momenta at every h, tempered, with a metric: the slope is 2."""
    own = independent(2000, "quartic")
    state = start_of(own, 0.9 * jax.random.normal(jax.random.key(5), (2000, 2)))
    step = jax.jit(
        lambda used: OneReplica(Hmc(own, scheme)).step(jax.random.key(6), state, None, used)[1].acceptance_probability
    )
    counts = np.array([16, 32, 64, 128])
    factor = jnp.broadcast_to(jnp.asarray([[1.2, 0.0], [0.4, 0.8]])[:, :, None], (2, 2, 2000))
    lost = [1.0 - float(jnp.mean(step(parameters(1.6 / count, factor, count, beta=0.5)))) for count in counts]
    slope = np.polyfit(np.log(1.6 / counts), np.log(lost), 1)[0]
    assert abs(slope - 2.0) < 0.1
    assert 0.0 < lost[-1] < 0.001


def test_one_trace_whatever_the_parameters() -> None:
    """New values of beta, step, factor and the number of steps compile nothing."""
    own, (position, y) = view("group"), one_draw()
    state, traces = evaluate(own.target, own.structure, position, y), []

    @jax.jit
    def step(key: jax.Array, used: HmcParameters) -> Info:
        traces.append(used)
        return OneReplica(Hmc(own)).step(key, state, y, used)[1]

    key, steps = jax.random.key(9), jnp.full(GROUPS, 0.2)
    first = step(key, parameters(steps, dense()))
    changed = [
        parameters(2.0 * steps, dense()),
        parameters(steps, 1.1 * dense()),
        parameters(steps, dense(), 7),
        parameters(steps, dense(), beta=0.3),
    ]
    for used in changed:
        assert np.abs(step(key, used).acceptance_probability - first.acceptance_probability).max() > 1e-6
    assert len(traces) == 1


def test_no_steps_stay() -> None:
    """A trajectory of 0 steps proposes its start, which is accepted."""
    own, (position, y) = view("group"), one_draw()
    state = evaluate(own.target, own.structure, position, y)
    after, info = jax.jit(OneReplica(kernel("group")).step)(jax.random.key(3), state, y, parameters(0.5, dense(), 0))
    np.testing.assert_allclose(info.acceptance_probability, 1.0, rtol=1e-13)
    jax.tree.map(np.testing.assert_array_equal, after.position, state.position)


def test_the_energy_is_that_of_the_point_where_the_step_ends() -> None:
    """H of all blocks: at the end of the trajectory for those that moved there, at its start for the others."""
    own, (position, y) = view("group"), one_draw()
    state, used = evaluate(own.target, own.structure, position, y), parameters(0.9, dense(), 4)
    stayed = []
    for key in jax.random.split(jax.random.key(12), 5):
        after, info = jax.jit(OneReplica(Hmc(own)).step)(key, state, y, used)
        momentum = normals(jax.random.split(key)[0], own)
        end = Hmc(own).flow(momentum, state, y, used)
        there = end.potential + 0.5 * jnp.sum(end.momentum**2, axis=0)
        here = own.potential(state.cells) + 0.5 * jnp.sum(momentum**2, axis=0)
        moved = jnp.any(own.blocks(after.position) != own.blocks(state.position), axis=0)
        np.testing.assert_allclose(info.energy, jnp.sum(jnp.where(moved, there, here)), rtol=1e-12)
        assert (int(info.n_steps), float(info.step_size)) == (4, 0.9)
        assert bool(info.diverging) == bool(jnp.any(~(there - here <= 1000.0)))
        stayed.append(~np.asarray(moved))
    assert 0 < np.sum(stayed) < np.size(stayed)


def test_a_trajectory_that_raises_h_by_more_than_a_thousand_diverges() -> None:
    own = independent(4, "quartic")
    state, steps = start_of(own, jnp.full((4, 2), 0.7)), jnp.full(4, 0.9)
    for long, expected in ((0.02, False), (30.0, True), (1e200, True)):
        used = parameters(steps.at[1].set(long), jnp.ones((2, 4)), 2)
        _, info = jax.jit(OneReplica(Hmc(own)).step)(jax.random.key(0), state, None, used)
        assert bool(info.diverging) == expected
        assert np.isfinite(float(info.energy))
