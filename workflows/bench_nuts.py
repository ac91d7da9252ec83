"""What a NUTS draw of many chains costs: against its gradients, and beside BlackJAX's vectorised NUTS."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

from kernels.joining import whole
from kernels.nuts import Controls, Nuts
from kernels.state import LevelView, evaluate
from kernels.structure import discover
from kernels.target import Site, Target
from workflows.depth import german_credit
from workflows.depth.targets import flat_log_density, flatten
from workflows.model import Model

CHAINS = 256
DRAWS = 10
REPEATS = 5
MAX_DEPTH = 10


class Row(NamedTuple):
    """gradient: ms of one vectorised value and gradient of all chains; draw: ms of a draw; executed: steps in lock-step
    a draw; ratio: draw / (executed x gradient); waste: executed over a chain's own steps; blackjax: ms of its draw."""

    gradient: float
    draw: float
    executed: float
    ratio: float
    waste: float
    blackjax: float


def correlated_normal() -> Model:
    """A normal in 100 dimensions, rotated, with sds from .3 to 3."""
    width = 100
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(width, width)))[0]
    precision = rotation @ np.diag(np.geomspace(0.3, 3.0, width) ** -2.0) @ rotation.T
    target = Target(
        sites={"x": Site("x", (width,))},
        term_kinds={"x": "prior"},
        log_terms=lambda position, data: {"x": -0.5 * position["x"] @ (data["precision"] @ position["x"])},
        constrain=lambda position, data: position,
        initial=lambda key, data: {"x": jax.random.normal(key, (width,))},
    )
    return Model("normal", target, {"precision": precision})


CASES: dict[str, tuple[Callable[[], Model], float]] = {
    "correlated normal, d = 100": (correlated_normal, 0.45),
    "logistic regression, 1,000 x 25, d = 51": (german_credit.build, 0.1),
}
"""Model and step size."""


def measure(build: Callable[[], Model], step: float) -> Row:
    """Time one case; both samplers start from the same states, which ours brought near equilibrium."""
    model = build()
    target, data = model.target, jax.tree.map(jnp.asarray, model.data)
    starts = jax.vmap(target.initial, in_axes=(0, None))(jax.random.split(jax.random.key(0), CHAINS), data)
    one = {name: x[0] for name, x in starts.items()}
    structure = whole(target, discover(target, data, one, key=jax.random.key(0)))
    (level,) = structure.levels
    kernel = Nuts(LevelView(target, structure, level), MAX_DEPTH)
    controls = Controls(jnp.ones(()), jnp.asarray(step), jnp.ones((level.width, 1)), jnp.asarray(MAX_DEPTH), 1e3)
    states = jax.vmap(lambda p: evaluate(target, structure, p, data))(starts)

    @jax.jit
    def draws(key: jax.Array, states: Any) -> Any:
        def body(states: Any, key: jax.Array) -> Any:
            states, info = kernel.step(jax.random.split(key, CHAINS), states, data, controls)
            return states, (jnp.max(info.executed), jnp.mean(info.leapfrogs))

        return jax.lax.scan(body, states, jax.random.split(key, DRAWS))

    for warm in range(5):
        states, _ = draws(jax.random.key(100 + warm), states)
    density = flat_log_density(model)
    positions = flatten(target, states.position)
    gradient = jax.vmap(jax.value_and_grad(density))

    @jax.jit
    def gradients(positions: jax.Array) -> jax.Array:
        # Each evaluation depends on the one before, lest they be shared.
        return jax.lax.fori_loop(0, 20, lambda _, x: x + 1e-12 * gradient(x)[1], positions)

    theirs = blackjax.nuts(density, step, jnp.ones(level.width), max_num_doublings=MAX_DEPTH)
    their_states = jax.vmap(theirs.init)(positions)

    @jax.jit
    def their_draws(key: jax.Array, states: Any) -> Any:
        def body(states: Any, key: jax.Array) -> Any:
            states, info = jax.vmap(theirs.step)(jax.random.split(key, CHAINS), states)
            return states, info.num_integration_steps

        return jax.lax.scan(body, states, jax.random.split(key, DRAWS))

    key = jax.random.key(7)
    calls: list[Callable[[], Any]] = [
        partial(gradients, positions),
        partial(draws, key, states),
        partial(their_draws, key, their_states),
    ]
    times = _medians(calls)
    executed, own = (float(np.mean(x)) for x in draws(key, states)[1])
    per_gradient, per_draw, per_other = 1e3 * times[0] / 20, 1e3 * times[1] / DRAWS, 1e3 * times[2] / DRAWS
    return Row(per_gradient, per_draw, executed, per_draw / (executed * per_gradient), executed / own, per_other)


def _medians(calls: list[Callable[[], Any]]) -> list[float]:
    """Median seconds of each call, in turn; the first round compiles."""
    times = np.zeros((REPEATS + 1, len(calls)))
    for repeat in range(REPEATS + 1):
        for number, call in enumerate(calls):
            began = time.perf_counter()
            jax.block_until_ready(call())
            times[repeat, number] = time.perf_counter() - began
    return [float(median) for median in np.median(times[1:], axis=0)]


def main() -> None:
    """Print the table."""
    print(f"NUTS, {CHAINS} chains, one thread, medians of {REPEATS} x {DRAWS} draws; ms")
    print(f"{'target':<42}{'gradient':>10}{'draw':>8}{'steps':>8}{'ratio':>8}{'waste':>8}{'BlackJAX draw':>15}")
    for label, case in CASES.items():
        row = measure(*case)
        numbers = f"{row.gradient:>10.2f}{row.draw:>8.1f}{row.executed:>8.1f}{row.ratio:>8.2f}{row.waste:>8.2f}"
        print(f"{label:<42}{numbers}{row.blackjax:>15.1f}", flush=True)


if __name__ == "__main__":
    main()
