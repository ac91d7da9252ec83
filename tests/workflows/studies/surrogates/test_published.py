"""The published monitored scheme does not leave a law as it is; the kernels that ask the true density do.

A deliberately poor network: it knows the left one of two modes only, and holds that for narrower than it is. The scheme
follows it in the left mode, where its errors stay below 10 and which its trajectories do not leave; in the right mode
it is soon so far off that the gradient takes over, which crosses. So the left mode fills up. (With modes of sd .35 as
in the paper, and a network that has the left one right, 4,000 replicas did not show it: p = .09.)

Exact draws are compared before and after three draws of a sampler as in tests/support/harness.py, whose false alarms
hold here: below 1e-6 a check.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.dynamics.network import Network, untrained
from kernels.state import LevelView
from kernels.structure.discovery import discover
from kernels.structure.levels import Structure
from kernels.target import Site, Target
from kernels.transitions.hmc import Hmc, HmcParameters
from kernels.transitions.nuts.sampler import NutsParameters
from kernels.transitions.nuts.surrogate import SurrogateNuts
from tests.support.harness import REPLICAS, Report, compare, mover, seed
from workflows.studies.surrogates.monitored import Leaf, Monitored, Rules, Step

FEW = 4_000
"""Replicas of the scheme, which is slow."""
STEP, DEPTH = 0.1, 5
MODE, SD = 1.0, 0.5
"""The law: equal normal modes at +-MODE of this sd."""
LEARNED_SD = 0.2
"""Of the left mode, as the network has it."""


def exact(name: str, count: int) -> np.ndarray:
    """Draws of the mixture, [count]."""
    rng = np.random.default_rng(seed(name))
    return rng.choice([-MODE, MODE], count) + SD * rng.normal(size=count)


def scalars(x: np.ndarray) -> dict[str, np.ndarray]:
    """What is compared."""
    return {"x": x, "x^2": x**2, "right": (x > 0).astype(float)}


def potential(q: np.ndarray) -> float:
    """U of the mixture, without its constant."""
    return -float(np.logaddexp(*(-0.5 * ((q[0] - mode) / SD) ** 2 for mode in (-MODE, MODE))))


def slope(q: np.ndarray) -> np.ndarray:
    """dU/dq = (q - m tanh(m q / s^2)) / s^2."""
    return (q - MODE * np.tanh(MODE * q / SD**2)) / SD**2


def learned_slope(q: np.ndarray) -> np.ndarray:
    """Of the left mode alone."""
    return (q + MODE) / LEARNED_SD**2


def leapfrog(force: Any) -> Step:
    """A step by this force."""

    def step(q: np.ndarray, p: np.ndarray, direction: int) -> Leaf:
        h = direction * STEP
        half = p - 0.5 * h * force(q)
        q = q + h * half
        p = half - 0.5 * h * force(q)
        return q, p, potential(q) + 0.5 * float(p @ p)

    return step


def check_monitored(name: str, force: Any) -> tuple[Report, int]:
    """The scheme with this force in place of the gradient, and how often it left it."""
    rng, before = np.random.default_rng(seed(f"{name} draws")), exact(name, FEW)
    after, switches = np.empty(FEW), 0
    for i, start in enumerate(before):
        scheme, q = Monitored(leapfrog(force), leapfrog(slope), Rules(max_depth=DEPTH)), np.array([start])
        for _ in range(3):
            q = scheme.draw(rng, q, potential)
        after[i], switches = q[0], switches + scheme.switches
    return compare(scalars(before), scalars(after), scalars(exact(f"{name} still", FEW))), switches


def test_the_monitored_scheme_does_not_leave_the_law_as_it_is() -> None:
    report, switches = check_monitored("monitored", learned_slope)
    assert switches > FEW / 4  # in nearly every replica that began in the right mode
    assert not report.passed
    assert report.worst == "z of right"


def test_its_trees_are_right_where_the_network_is() -> None:
    """With the gradient itself as the network it is NUTS: what fails above is the change of force."""
    report, switches = check_monitored("monitored by the gradient", slope)
    assert switches == 0
    assert report.passed, report


@cache
def problem() -> tuple[Target, Structure]:
    """The mixture as a target."""
    start = {"x": jnp.zeros(1)}

    def log_terms(position: Any, data: Any) -> Any:
        return {"x": jnp.logaddexp(*(-0.5 * ((position["x"][0] - mode) / SD) ** 2 for mode in (-MODE, MODE)))}

    target = Target({"x": Site("x", (1,))}, {"x": "prior"}, log_terms, lambda p, d: p, lambda k, d: start)
    return target, discover(target, None, start, key=jax.random.key(0))


def left_mode() -> Network:
    """The same network for the kernels: its parabola alone."""
    blank = untrained(1, (2,))
    network = blank._replace(center=np.array([-MODE]), whiten=np.array([[1.0 / LEARNED_SD]]), trained=np.asarray(True))
    return jax.tree.map(jnp.asarray, network)


@pytest.mark.parametrize("kind", ["hmc", "nuts"])
def test_kernels_with_the_same_network_leave_it_as_it_is(kind: str) -> None:
    target, structure = problem()
    view = LevelView(target, structure, structure.levels[0])
    one, size, factor = jnp.asarray(1.0), jnp.asarray(STEP), jnp.ones((1, 1))
    kernel: Any = Hmc(view) if kind == "hmc" else SurrogateNuts(view, DEPTH)
    parameters: Any = (
        HmcParameters(one, size, factor, jnp.asarray(8), 1e9, left_mode())
        if kind == "hmc"
        else NutsParameters(one, size, factor, jnp.asarray(DEPTH), 1e9, left_mode())
    )
    before = exact(kind, REPLICAS)
    keys = jax.random.split(jax.random.key(seed(kind)), REPLICAS)
    after = mover(kernel, problem)(keys, {"x": jnp.asarray(before)[:, None]}, jnp.zeros(REPLICAS), parameters)
    x = np.asarray(after["x"])[:, 0]
    assert np.mean(x != before) > 0.3
    report = compare(scalars(before), scalars(x), scalars(exact(f"{kind} still", REPLICAS)))
    assert report.passed, report
