"""The scout: it finds the typical set from far away, keeps to its blocks and terms, and reports what happens."""

from functools import cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.state import LevelView, State, evaluate, log_density
from kernels.structure.discovery import discover
from kernels.structure.joining import level_of_all_sites
from kernels.target import Site, Target
from kernels.transitions.momentum_diffusion import MomentumDiffusion, MomentumDiffusionParameters, ScoutInfo
from tests.support.harness import hierarchy, one_draw, view
from tests.support.one_replica import OneReplica

REPLICAS, BLOCKS = 16, 16


def parameters(scale: Any, **changes: float) -> MomentumDiffusionParameters:
    """A plain set of parameters with some changed; `scale` is [p, B]."""
    plain = {"step_size": 0.2, "difference": 1e-3, "noise": 0.3, "viscosity": 0.1, "hot_start": 1.0}
    values = plain | {"trigger": 10.0, "delta": 1.0, "slack": 1.0} | changes
    # A dtype is given because an array made from a Python number alone is weakly typed and would be traced anew.
    arrays = {name: jnp.asarray(value, jnp.float64) for name, value in values.items()}
    return MomentumDiffusionParameters(scale=jnp.asarray(scale, jnp.float64), **arrays)


def independent(width: int, kind: str, blocks: int = BLOCKS) -> LevelView:
    """Independent blocks of `width` coordinates; quartic is steep, poisson an exponential wall, half a half-line."""

    def log_terms(position: Any, data: Any) -> Any:
        x = position["x"]
        if kind == "poisson":
            return {"x": jnp.sum(20.0 * x - jnp.exp(x), axis=-1)}
        if kind == "quartic":
            return {"x": -jnp.sum(x**4, axis=-1)}
        if kind == "wells":
            return {"x": jnp.sum(jnp.logaddexp(-0.5 * (x - 4.0) ** 2, -0.5 * (x + 4.0) ** 2), axis=-1)}
        if kind == "half":
            return {"x": jnp.sum(jnp.where(x > 0.0, -x, -jnp.inf), axis=-1)}
        together = jnp.sum(x, axis=-1)
        return {"x": -0.5 * (jnp.sum(x**2, axis=-1) + together**2)}

    site = Site("x", (blocks, width), ("block",))
    target = Target({"x": site}, {"x": "prior"}, log_terms, lambda p, d: p, lambda k, d: {"x": jnp.ones(site.shape)})
    structure = discover(target, None, {"x": 2.0 + jnp.zeros(site.shape)}, key=jax.random.key(0))
    return LevelView(target, structure, structure.level("block"))


def start(own: LevelView, x: jax.Array) -> State:
    """States of replicas; x [R, B, p]."""
    return jax.vmap(lambda values: evaluate(own.target, own.structure, {"x": values}, None))(x)


def rounds(kernel: MomentumDiffusion, states: State, count: int) -> tuple[State, MomentumDiffusionParameters]:
    """The rule of the docstring, played by a coordinator: 10 steps a round, then log h and scale adapted by block."""

    def one_round(
        carry: tuple[State, MomentumDiffusionParameters], key: jax.Array
    ) -> tuple[tuple[State, MomentumDiffusionParameters], None]:
        def sweep(states: State, key: jax.Array) -> tuple[State, ScoutInfo]:
            keys = jax.random.split(key, REPLICAS)
            return kernel.step(keys, states, None, carry[1])

        states, info = jax.lax.scan(sweep, carry[0], jax.random.split(key, 10))
        scale = jnp.std(states.position["x"], axis=0).T
        shrunk = jnp.mean(jnp.log(carry[1].scale / scale), axis=0)
        log_step = jnp.log(carry[1].step_size) + jnp.mean(info.score, axis=(0, 1)) - 0.7 + shrunk
        return (states, carry[1]._replace(step_size=jnp.exp(log_step), scale=scale)), None

    scale = jnp.std(states.position["x"], axis=0).T
    used = parameters(scale)._replace(step_size=jnp.full(scale.shape[1], 0.2, jnp.float64))
    keys = jax.random.split(jax.random.key(1), count)
    return jax.jit(lambda carry: jax.lax.scan(one_round, carry, keys)[0])((states, used))


@pytest.mark.parametrize(
    ("kind", "width", "spread", "highest"),
    [("gauss", 6, 150.0, 12.0), ("quartic", 3, 50.0, 6.0), ("poisson", 2, 10.0, -70.0)],
)
def test_finds_the_typical_set(kind: str, width: int, spread: float, highest: float) -> None:
    """From 10 to 150 sd away, potentials up to 1e5 and more, to every block of every replica in 15 rounds of 10 steps.

    `highest`: a potential that 99 % of the blocks must be below; the ensemble must not have collapsed either.
    """
    own = independent(width, kind)
    states = start(own, spread * jax.random.normal(jax.random.key(2), (REPLICAS, BLOCKS, width)))
    assert float(-states.cells["x"].min()) > 1e3
    states, used = rounds(MomentumDiffusion(own, 10), states, 15)
    potential = -np.asarray(states.cells["x"])
    assert (potential < highest).mean() > 0.99
    assert potential.max() < highest + 10.0
    assert np.isfinite(np.asarray(used.step_size)).all()
    assert 0.1 < float(jnp.median(jnp.std(states.position["x"], axis=0))) < 2.0


def test_hot_start_crosses_a_barrier() -> None:
    """Wells at -4 and 4, sd 1, a barrier of 8 in log density: 10 hot trajectories cross where 10 plain ones do not."""
    own = independent(1, "wells")
    kernel = MomentumDiffusion(own, 20)

    @jax.jit
    def crossed(hot: jax.Array) -> jax.Array:
        used = parameters(jnp.ones((1, BLOCKS)), step_size=0.3, viscosity=0.05)._replace(hot_start=hot)

        def body(states: State, key: jax.Array) -> tuple[State, None]:
            return kernel.step(jax.random.split(key, REPLICAS), states, None, used)[0], None

        states = start(own, jnp.full((REPLICAS, BLOCKS, 1), -4.0))
        states, _ = jax.lax.scan(body, states, jax.random.split(jax.random.key(3), 10))
        return jnp.mean(states.position["x"] > 0.0)

    assert float(crossed(jnp.asarray(1.0, jnp.float64))) < 0.05
    assert float(crossed(jnp.asarray(4.0, jnp.float64))) > 0.2


@cache
def half_line() -> tuple[LevelView, Any]:
    own = independent(1, "half")
    return own, jax.jit(lambda keys, states, used: MomentumDiffusion(own, 10).step(keys, states, None, used))


def test_never_enters_a_forbidden_region() -> None:
    own, step = half_line()
    states = start(own, jnp.full((REPLICAS, BLOCKS, 1), 0.3))
    states, info = step(jax.random.split(jax.random.key(4), REPLICAS), states, parameters(jnp.ones((1, BLOCKS))))
    assert int(jnp.sum(info.nonfinite)) > 100
    assert float(states.position["x"].min()) > 0.0
    assert bool(jnp.isfinite(states.cells["x"]).all())
    assert float(jnp.mean(info.moved)) > 0.3


def test_stays_where_no_point_is_finite() -> None:
    """Blocks that start at a forbidden point stay there, the others go on."""
    own, step = half_line()
    x = jnp.full((REPLICAS, BLOCKS, 1), 0.3).at[:, ::2].set(-1.0)
    states, info = step(jax.random.split(jax.random.key(4), REPLICAS), start(own, x), parameters(jnp.ones((1, BLOCKS))))
    assert bool((states.position["x"][:, ::2] == -1.0).all())
    assert not bool(info.moved[:, ::2].any())
    assert float(jnp.mean(info.moved[:, 1::2])) > 0.3
    assert float(info.score[:, ::2].max()) == 0.0


@cache
def group_step() -> Any:
    own = view("group")
    return jax.jit(OneReplica(MomentumDiffusion(own, 5, directions=2)).step)


def test_moves_its_own_level_only_and_keeps_its_cells_true() -> None:
    position, y = one_draw()
    first = evaluate(*hierarchy(), position, y)
    state = first
    for number in range(5):
        state, info = group_step()(jax.random.key(number), state, y, parameters(jnp.ones((2, 5))))
        assert info.score.shape == info.moved.shape == info.triggered.shape == (5,)
    assert float(jnp.abs(state.position["x"] - position["x"]).min()) > 0.0
    assert state.position["mu"] == position["mu"]
    assert state.position["log_sd"] == position["log_sd"]
    fresh = evaluate(*hierarchy(), state.position, y)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), state.cells, fresh.cells)


def test_blocks_do_not_feel_each_other() -> None:
    """Moving the start of one block far away changes no bit of the others."""
    position, y = one_draw()
    far = {**position, "x": position["x"].at[0].add(30.0)}
    ends = [
        group_step()(jax.random.key(9), evaluate(*hierarchy(), start, y), y, parameters(jnp.ones((2, 5))))[0]
        for start in (position, far)
    ]
    same = np.asarray(ends[0].position["x"] == ends[1].position["x"]).all(axis=1)
    assert same.tolist() == [False, True, True, True, True]


def test_whole_vector_goes_down_as_one_block() -> None:
    target, structure = hierarchy()
    position, y = one_draw()
    own = LevelView(target, structure, level_of_all_sites(target, structure))
    assert (own.level.width, own.level.n_blocks) == (12, 1)
    far = {name: values + 8.0 * (name == "x") for name, values in position.items()}
    state = evaluate(target, structure, far, y)
    before = float(log_density(state.cells))
    step = jax.jit(lambda key, state, used: OneReplica(MomentumDiffusion(own, 10, 3)).step(key, state, y, used))
    for number in range(30):
        state, info = step(jax.random.key(number), state, parameters(jnp.ones((12, 1)), step_size=0.05))
    assert info.score.shape == (1,)
    assert float(log_density(state.cells)) > before + 200.0


def test_controls_never_recompile_and_the_signal_falls_with_the_step() -> None:
    own = independent(3, "gauss")
    traces = []

    def step(keys: jax.Array, states: State, used: MomentumDiffusionParameters) -> ScoutInfo:
        traces.append(keys)
        info: ScoutInfo = MomentumDiffusion(own, 10).step(keys, states, None, used)[1]
        return info

    compiled = jax.jit(step)
    states = start(own, jax.random.normal(jax.random.key(5), (REPLICAS, BLOCKS, 3)))
    keys = jax.random.split(jax.random.key(6), REPLICAS)
    signal = []
    for h in (0.01, 0.05, 0.15, 0.4, 1.0, 3.0):
        used = parameters(jnp.ones((3, BLOCKS)), step_size=h, hot_start=1.0 + h, noise=h, trigger=5.0 + h)
        signal.append(float(jnp.mean(compiled(keys, states, used).score)))
    assert len(traces) == 1
    assert all(later < earlier for earlier, later in pairwise(signal))
    assert signal[0] > 0.95
    assert signal[-1] < 0.05
    always = compiled(keys, states, parameters(jnp.ones((3, BLOCKS)), trigger=0.0)).triggered
    never = compiled(keys, states, parameters(jnp.ones((3, BLOCKS)), trigger=1e9)).triggered
    assert (float(always.min()), float(never.max())) == (1.0, 0.0)


@pytest.mark.parametrize(("n_steps", "directions"), [(0, 1), (5, 0)])
def test_refuses_empty_trajectories(n_steps: int, directions: int) -> None:
    with pytest.raises(ValueError, match=f"n_steps = {n_steps} and directions = {directions}"):
        MomentumDiffusion(view("group"), n_steps, directions)
