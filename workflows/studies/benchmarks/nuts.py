"""What a NUTS draw of many chains costs: against its gradients, and beside BlackJAX's vectorised NUTS.

python -m workflows.studies.benchmarks.nuts            (make bench)
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

from kernels.state import LevelView, evaluate
from kernels.structure.discovery import discover
from kernels.structure.joining import all_sites
from kernels.target import Site, Target
from kernels.transitions.nuts.sampler import Nuts, NutsParameters
from workflows.modelling.model import Model
from workflows.studies.benchmarks.timing import medians
from workflows.studies.depth import german_credit
from workflows.studies.depth.targets import flat_log_density, flatten

CHAINS = 256
DRAWS = 10
REPEATS = 5
WARM = 5
"""Calls of DRAWS draws before any is timed."""
GRADIENTS = 20
"""Evaluations in a timed call."""
MAX_DEPTH = 10

Draws = Callable[[jax.Array, Any], Any]
"""From a key and the states of all chains: the states after DRAWS draws, and what each draw reports."""


class Row(NamedTuple):
    """gradient: ms of one vectorised value and gradient of all chains; draw: ms of a draw; longest: steps of the chain
    that takes most, a draw; ratio: draw / (longest x gradient); waste: steps done in lock-step over a chain's own;
    ungrouped: the same, were all chains in one group; blackjax: ms of its draw."""

    gradient: float
    draw: float
    longest: float
    ratio: float
    waste: float
    ungrouped: float
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
    draws, states = _ours(model, step)
    for warm in range(WARM):
        states, _ = draws(jax.random.key(100 + warm), states)
    density, positions, key = flat_log_density(model), flatten(model.target, states.position), jax.random.key(7)
    their_draws, their_states = _blackjax(density, step, positions)
    calls: list[Callable[[], Any]] = [
        partial(_gradients(density), positions),
        partial(draws, key, states),
        partial(their_draws, key, their_states),
    ]
    times = medians(calls, REPEATS)
    longest, executed, own = (float(np.mean(x)) for x in draws(key, states)[1])
    gradient, draw, other = 1e3 * times[0] / GRADIENTS, 1e3 * times[1] / DRAWS, 1e3 * times[2] / DRAWS
    return Row(gradient, draw, longest, draw / (longest * gradient), executed / own, longest / own, other)


def _ours(model: Model, step: float) -> tuple[Draws, Any]:
    """Draws by our kernel, of which each reports the steps of the longest chain, the mean of those in lock-step and of
    the chains' own; the starts."""
    target, data = model.target, jax.tree.map(jnp.asarray, model.data)
    starts = jax.vmap(target.initial, in_axes=(0, None))(jax.random.split(jax.random.key(0), CHAINS), data)
    one = {name: x[0] for name, x in starts.items()}
    structure = all_sites(target, discover(target, data, one, key=jax.random.key(0)))
    (level,) = structure.levels
    kernel = Nuts(LevelView(target, structure, level), MAX_DEPTH)
    parameters = NutsParameters(
        jnp.ones(()), jnp.asarray(step), jnp.ones((level.width, 1)), jnp.asarray(MAX_DEPTH), 1e3
    )

    def draw(keys: jax.Array, states: Any) -> Any:
        states, info = kernel.step(keys, states, data, parameters)
        return states, (jnp.max(info.n_steps_lockstep), jnp.mean(info.n_steps_lockstep), jnp.mean(info.n_steps))

    return _draws(draw), jax.vmap(lambda p: evaluate(target, structure, p, data))(starts)


def _blackjax(density: Callable[[jax.Array], jax.Array], step: float, positions: jax.Array) -> tuple[Draws, Any]:
    """Draws by BlackJAX's kernel, and its states at these positions [chains, d]."""
    kernel = blackjax.nuts(density, step, jnp.ones(positions.shape[1]), max_num_doublings=MAX_DEPTH)

    def draw(keys: jax.Array, states: Any) -> Any:
        states, info = jax.vmap(kernel.step)(keys, states)
        return states, info.num_integration_steps

    return _draws(draw), jax.vmap(kernel.init)(positions)


def _draws(draw: Callable[[jax.Array, Any], Any]) -> Draws:
    """DRAWS draws of all chains in one compiled call."""

    def body(states: Any, key: jax.Array) -> Any:
        return draw(jax.random.split(key, CHAINS), states)

    return jax.jit(lambda key, states: jax.lax.scan(body, states, jax.random.split(key, DRAWS)))


def _gradients(density: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """GRADIENTS values and gradients of all chains, one after another, in one compiled call."""
    gradient = jax.vmap(jax.value_and_grad(density))

    def evaluations(positions: jax.Array) -> jax.Array:
        # Each depends on the one before, lest they be shared.
        return jax.lax.fori_loop(0, GRADIENTS, lambda _, x: x + 1e-12 * gradient(x)[1], positions)

    return jax.jit(evaluations)


def main() -> None:
    """Print the table."""
    print(f"NUTS, {CHAINS} chains, one thread, medians of {REPEATS} x {DRAWS} draws; ms")
    columns = ("gradient", "draw", "longest", "ratio", "waste", "ungrouped", "BlackJAX draw")
    print(f"{'target':<42}" + "".join(f"{name:>{len(name) + 3}}" for name in columns))
    for label, case in CASES.items():
        numbers = (f"{value:>{len(name) + 3}.2f}" for name, value in zip(columns, measure(*case), strict=True))
        print(f"{label:<42}" + "".join(numbers), flush=True)


if __name__ == "__main__":
    main()
