"""Trajectories by a network's slope: exact whatever the network is, as the true density decides."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.dynamics.forces import normals
from kernels.dynamics.metric import multiply
from kernels.dynamics.network import Network, learned_potential, untrained
from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.structure.joining import level_of_all_sites
from kernels.target import Site, Target
from kernels.transitions.hmc import Hmc, HmcParameters
from kernels.transitions.nuts.sampler import Nuts, NutsInfo, NutsParameters
from kernels.transitions.nuts.surrogate import SurrogateNuts
from tests.support.harness import check_kernel, hierarchy, one_draw
from tests.support.one_replica import OneReplica

HIDDEN = (8, 8)


@cache
def whole_view() -> LevelView:
    target, structure = hierarchy()
    return LevelView(target, structure, level_of_all_sites(target, structure))


def random_network(width: int, seed: int = 0, scale: float = 0.5) -> Network:
    """A network that has seen nothing, in use all the same."""
    rng, blank = np.random.default_rng(seed), untrained(width, HIDDEN)
    return Network(
        center=0.3 * rng.normal(size=width),
        whiten=np.eye(width) + 0.1 * rng.normal(size=(width, width)),
        weights=tuple(scale * rng.normal(size=weights.shape) for weights in blank.weights),
        biases=tuple(scale * rng.normal(size=biases.shape) for biases in blank.biases),
        trained=np.asarray(True),
    )


def hmc_parameters(network: Network | None) -> HmcParameters:
    width = whole_view().level.width
    return HmcParameters(
        jnp.asarray(1.0), jnp.asarray(0.25), jnp.full((width, 1), 0.8), jnp.asarray(4), 1e9, _on_device(network)
    )


def nuts_parameters(network: Network | None) -> NutsParameters:
    width = whole_view().level.width
    return NutsParameters(
        jnp.asarray(1.0), jnp.asarray(0.4), jnp.full((width, 1), 0.8), jnp.asarray(3), 1e9, _on_device(network)
    )


def _on_device(network: Network | None) -> Network | None:
    return jax.tree.map(jnp.asarray, network)


@pytest.mark.parametrize("seed", [0, 1])
def test_hmc_with_an_untrained_network_is_exact(seed: int) -> None:
    report = check_kernel(
        f"surrogate hmc {seed}", Hmc(whole_view()), hmc_parameters(random_network(whole_view().level.width, seed))
    )
    assert report.passed, report


@pytest.mark.parametrize("seed", [0, 1])
def test_nuts_with_an_untrained_network_is_exact(seed: int) -> None:
    network = random_network(whole_view().level.width, seed)
    report = check_kernel(f"two-stage nuts {seed}", SurrogateNuts(whole_view(), 3), nuts_parameters(network))
    assert report.passed, report


class OneStageNuts(SurrogateNuts):
    """Wrong: takes the network's draw as it is."""

    def step(self, keys: jax.Array, states: State, data: Any, parameters: NutsParameters) -> tuple[State, NutsInfo]:
        return Nuts.step(self, keys, states, data, parameters)


def test_the_networks_own_decision_is_not_exact() -> None:
    network = random_network(whole_view().level.width)
    assert not check_kernel("one-stage nuts", OneStageNuts(whole_view(), 3), nuts_parameters(network)).passed


class Unchecked(Hmc):
    """Wrong: takes the end of every trajectory."""

    def one(self, key: jax.Array, state: State, data: Any, parameters: HmcParameters) -> Any:
        end = self.flow(normals(key, self.view), state, data, parameters)
        old = self.view.blocks(state.position)
        position = self.view.level.scatter(state.position, old + multiply(parameters.factor, end.offset))
        return evaluate(self.view.target, self.view.structure, position, data), jnp.zeros(())


def test_trajectories_that_nothing_accepts_are_not_exact() -> None:
    parameters = hmc_parameters(random_network(whole_view().level.width))
    assert not check_kernel("unchecked hmc", Unchecked(whole_view()), parameters).passed


def test_an_untrained_network_is_not_asked() -> None:
    """Until it is trained, both kernels are those of the gradient, draw for draw (but for rounding)."""
    target, structure = hierarchy()
    position, y = one_draw()
    state, width = evaluate(target, structure, position, y), whole_view().level.width
    unused = random_network(width)._replace(trained=np.asarray(False))
    plain = OneReplica(Hmc(whole_view())).step(jax.random.key(3), state, y, hmc_parameters(None))
    other = OneReplica(Hmc(whole_view())).step(jax.random.key(3), state, y, hmc_parameters(unused))
    _equal(plain[0].position, other[0].position)
    first = jax.random.split(jax.random.key(3))[0]
    plain = OneReplica(Nuts(whole_view(), 3)).step(first, state, y, nuts_parameters(None))
    other = OneReplica(SurrogateNuts(whole_view(), 3)).step(jax.random.key(3), state, y, nuts_parameters(unused))
    _equal(plain[0].position, other[0].position)


@pytest.mark.parametrize("kind", ["hmc", "nuts"])
def test_a_network_of_nan_moves_nothing_and_is_counted(kind: str) -> None:
    target, structure = hierarchy()
    position, y = one_draw()
    state, width = evaluate(target, structure, position, y), whole_view().level.width
    network = random_network(width)
    network = network._replace(weights=tuple(np.full(weights.shape, np.nan) for weights in network.weights))
    if kind == "hmc":
        moved, info = OneReplica(Hmc(whole_view())).step(jax.random.key(0), state, y, hmc_parameters(network))
    else:
        kernel = SurrogateNuts(whole_view(), 3)
        moved, info = OneReplica(kernel).step(jax.random.key(0), state, y, nuts_parameters(network))
    _equal(state.position, moved.position)
    assert int(info.nonfinite) == 1


@cache
def line() -> tuple[Target, LevelView, Any]:
    """One coordinate under a skewed density."""

    def log_terms(position: Any, data: Any) -> Any:
        return {"x": -0.5 * position["x"] ** 2 + 0.7 * jnp.sin(2.0 * position["x"])}

    target = Target({"x": Site("x", ())}, {"x": "prior"}, log_terms, lambda p, d: p, lambda k, d: {"x": jnp.zeros(())})
    structure = discover(target, None, {"x": jnp.zeros(())}, key=jax.random.key(0))
    return target, LevelView(target, structure, structure.levels[0]), structure


def test_a_trajectory_by_the_network_is_undone_and_balanced() -> None:
    """From its end with the momentum turned round a trajectory comes back, and both ways are accepted in the ratio of
    the true joint densities: detailed balance, to 1e-12."""
    target, view, structure = line()
    network = _on_device(random_network(1, scale=1.0))
    kernel = Hmc(view)
    parameters = HmcParameters(jnp.asarray(1.0), jnp.asarray(0.3), jnp.ones((1, 1)), jnp.asarray(5), 1e9, network)
    for start, momentum in [(0.4, 1.1), (-1.3, 0.2), (2.0, -0.7)]:
        states = [evaluate(target, structure, {"x": jnp.asarray(start)}, None)]
        end = kernel.flow(jnp.asarray([[momentum]]), states[0], None, parameters)
        arrived = start + float(end.offset[0, 0])
        states.append(evaluate(target, structure, {"x": jnp.asarray(arrived)}, None))
        back = kernel.flow(-end.momentum, states[1], None, parameters)
        assert arrived + float(back.offset[0, 0]) == pytest.approx(start, abs=1e-12)
        assert float(back.momentum[0, 0]) == pytest.approx(-momentum, abs=1e-12)
        joint = [
            -float(view.potential(state.cells)[0]) - 0.5 * p**2
            for state, p in zip(states, (momentum, float(end.momentum[0, 0])), strict=True)
        ]
        there, here = (np.exp(min(0.0, rise)) for rise in (joint[1] - joint[0], joint[0] - joint[1]))
        assert np.exp(joint[0]) * there == pytest.approx(np.exp(joint[1]) * here, rel=1e-12)


def test_the_slope_is_that_of_the_potential() -> None:
    network, x = _on_device(random_network(3)), np.array([0.3, -1.0, 0.5])
    assert network is not None
    slope = jax.grad(lambda at: learned_potential(network, at))(jnp.asarray(x))
    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        rise = learned_potential(network, jnp.asarray(x + step)) - learned_potential(network, jnp.asarray(x - step))
        assert float(slope[i]) == pytest.approx(float(rise) / 2e-6, rel=1e-6)


def _equal(one: Any, other: Any) -> None:
    for name, values in one.items():
        np.testing.assert_allclose(np.asarray(values), np.asarray(other[name]), rtol=1e-12, atol=1e-14)
