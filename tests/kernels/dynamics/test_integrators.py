"""Integrators, by measurement: order, error constants, reversibility, volume, gradients a step; and clear refusals."""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import logm

import kernels  # noqa: F401 - turns 64-bit floats on
from kernels.dynamics.integrators import (
    LEAPFROG,
    SCHEMES,
    STRANG,
    TWO_STAGE,
    Flow,
    Phase,
    Scheme,
    ValueAndGradient,
    hamiltonian_flows,
    phase_at,
    stepper,
)

ALL = [LEAPFROG, TWO_STAGE, STRANG]
START = (jnp.asarray([0.3, -0.2]), jnp.asarray([0.25, 0.3]))
"""Offset and momentum on a regular orbit of the coupled oscillator."""


LONGEST = 320
"""Steps of an orbit: always the same, to compile once for each scheme."""


def harmonic(offset: jax.Array) -> jax.Array:
    return 0.5 * jnp.sum(offset**2)


def cubic(offset: jax.Array) -> jax.Array:
    """What couples the two coordinates of Henon and Heiles's oscillator."""
    return offset[0] ** 2 * offset[1] - offset[1] ** 3 / 3.0


def coupled(offset: jax.Array) -> jax.Array:
    return harmonic(offset) + cubic(offset)


def rotation(force: ValueAndGradient) -> Flow:
    """The exact flow of |q|^2 / 2 + |p|^2 / 2, to be used between kicks by what is left of U."""

    def rotate(time: jax.Array, phase: Phase) -> Phase:
        cos, sin = jnp.cos(time), jnp.sin(time)
        turned = cos * phase.offset + sin * phase.momentum, cos * phase.momentum - sin * phase.offset
        return phase_at(force, *turned)

    return rotate


def pieces(scheme: Scheme) -> tuple[ValueAndGradient, dict[str, Flow]]:
    """The force that the scheme's kicks use on the coupled oscillator, and its flows."""
    force = jax.value_and_grad(cubic if scheme is STRANG else coupled)
    return force, hamiltonian_flows(force) | {"rotate": rotation(force)}


@partial(jax.jit, static_argnums=0)
def orbit(scheme: Scheme, h: float, offset: jax.Array, momentum: jax.Array) -> Phase:
    """The phases after 1 .. LONGEST steps on the coupled oscillator, stacked."""
    force, flows = pieces(scheme)
    step = stepper(scheme, flows)

    def advance(phase: Phase, _: None) -> tuple[Phase, Phase]:
        phase = step(jnp.asarray(h), phase)
        return phase, phase

    return jax.lax.scan(advance, phase_at(force, offset, momentum), None, length=LONGEST)[1]


def energy(offset: jax.Array, momentum: jax.Array) -> jax.Array:
    return coupled(offset) + 0.5 * jnp.sum(momentum**2)


@cache
def truth(time: float) -> np.ndarray:
    """Offset and momentum at a time by a method of another kind: Runge-Kutta of order 8 with a tolerance of 1e-13."""
    gradient = jax.jit(jax.grad(coupled))

    def slope(_: float, phase: np.ndarray) -> np.ndarray:
        return np.concatenate([phase[2:], -np.asarray(gradient(phase[:2]))])

    solved = solve_ivp(slope, (0.0, time), np.concatenate(START), method="DOP853", rtol=1e-13, atol=1e-13)
    return solved.y[:, -1]


def order(steps: np.ndarray, errors: list[float]) -> float:
    """Slope of log error on log step size."""
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_order_is_two(scheme: Scheme) -> None:
    time, counts = 8.0, np.array([40, 80, 160, LONGEST])
    energies, ends = [], []
    for count in counts:
        phases = jax.tree.map(lambda values, n=count: values[:n], orbit(scheme, time / count, *START))
        drift = jax.vmap(energy)(phases.offset, phases.momentum) - energy(*START)
        energies.append(float(jnp.max(jnp.abs(drift))))
        end = np.concatenate([phases.offset[-1], phases.momentum[-1]])
        ends.append(float(np.linalg.norm(end - truth(time))))
    assert abs(order(time / counts, energies) - 2.0) < 0.05
    assert abs(order(time / counts, ends) - 2.0) < 0.05
    assert ends[-1] > 1e-8, "errors at the level of the reference's would say nothing"


def one_step(scheme: Scheme, h: float) -> np.ndarray:
    """The matrix of a step on the harmonic oscillator: (q, p) -> (q', p')."""
    force = jax.value_and_grad(harmonic)
    step = stepper(scheme, hamiltonian_flows(force))
    after = [step(jnp.asarray(h), phase_at(force, q, p)) for q, p in np.eye(2)]
    return np.array([[float(end.offset), float(end.momentum)] for end in after]).T


def two_stage(b: float) -> Scheme:
    stages = (("kick", b), ("drift", 0.5), ("kick", 1.0 - 2.0 * b), ("drift", 0.5), ("kick", b))
    return Scheme("other", stages)


def error_constants(scheme: Scheme, h: float = 0.02) -> tuple[float, float]:
    """Errors of p^2 / 2 and q^2 / 2 in the energy that a small step conserves, over h^2: entries of its generator."""
    generator = np.real(logm(one_step(scheme, h))) / h
    return (generator[0, 1] - 1.0) / h**2, (-generator[1, 0] - 1.0) / h**2


def test_error_constants() -> None:
    """Leapfrog's are 1/6 and -1/12; the two-stage table has the smallest sum of squares of its family."""
    np.testing.assert_allclose(error_constants(LEAPFROG), (1 / 6, -1 / 12), rtol=1e-3)
    np.testing.assert_allclose(error_constants(two_stage(0.5)), (1 / 6, -1 / 12), rtol=1e-3)
    b = TWO_STAGE.stages[0][1]
    np.testing.assert_allclose(48 * b**3 - 72 * b**2 + 38 * b, 5.0, rtol=1e-14)
    by_formula = -2.0 * (1 - 6 * b) / 24, 2.0 * (1 - 6 * b + 6 * b**2) / 12
    np.testing.assert_allclose(error_constants(TWO_STAGE), by_formula, rtol=0.01)
    shifts = np.linspace(-0.01, 0.01, 9)
    sizes = [np.hypot(*error_constants(two_stage(b + shift))) for shift in shifts]
    assert abs(shifts[int(np.argmin(sizes))]) < 0.0026


def worst_energy_error(scheme: Scheme, h: float) -> float:
    """Largest relative energy error over a hundred units of time on the harmonic oscillator, over all its starts."""
    step, power, worst = one_step(scheme, h), np.eye(2), 0.0
    for _ in range(round(100.0 / h)):
        power = step @ power
        worst = max(worst, float(np.abs(np.linalg.eigvalsh(power.T @ power) - 1.0).max()))
    return worst


@pytest.mark.parametrize(("h", "gain"), [(0.1, 26.0), (0.5, 26.0), (1.0, 17.0), (2.0, 1.3)])
def test_two_stage_conserves_more_energy_than_leapfrog_at_its_cost(h: float, gain: float) -> None:
    """h: of the two-stage step, with two gradients; leapfrog takes two steps of h / 2."""
    assert gain * worst_energy_error(TWO_STAGE, h) < worst_energy_error(LEAPFROG, h / 2.0)


@pytest.mark.parametrize(("scheme", "limit"), [(LEAPFROG, 2.0), (TWO_STAGE, 2.55)], ids=lambda value: str(value)[:20])
def test_limit_of_stability(scheme: Scheme, limit: float) -> None:
    """The trace of a step of the harmonic oscillator passes 2 in size where powers of it begin to grow."""
    assert abs(np.trace(one_step(scheme, limit - 0.01))) < 2.0 < abs(np.trace(one_step(scheme, limit + 0.01)))


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_reversible(scheme: Scheme) -> None:
    """320 steps, the momentum turned round, 320 steps: the start with its momentum turned round."""
    end = jax.tree.map(lambda values: values[-1], orbit(scheme, 0.1, *START))
    assert float(jnp.max(jnp.abs(end.offset - START[0]))) > 0.1
    back = jax.tree.map(lambda values: values[-1], orbit(scheme, 0.1, end.offset, -end.momentum))
    np.testing.assert_allclose(back.offset, START[0], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(back.momentum, -START[1], rtol=0.0, atol=1e-12)


def test_lopsided_scheme_is_not_reversible() -> None:
    """What the test above would find: symplectic Euler leads somewhere else."""
    lopsided = Scheme("euler", (("kick", 1.0), ("drift", 1.0)))
    assert not lopsided.palindromic
    end = jax.tree.map(lambda values: values[-1], orbit(lopsided, 0.1, *START))
    back = jax.tree.map(lambda values: values[-1], orbit(lopsided, 0.1, end.offset, -end.momentum))
    assert float(jnp.max(jnp.abs(back.offset - START[0]))) > 1e-3


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_volume_is_preserved(scheme: Scheme) -> None:
    def flat(phase: jax.Array) -> jax.Array:
        ends = orbit(scheme, 0.1, phase[:2], phase[2:])
        return jnp.concatenate([ends.offset[19], ends.momentum[19]])

    jacobian = np.asarray(jax.jacfwd(flat)(jnp.concatenate(START)))
    assert abs(np.linalg.det(jacobian) - 1.0) < 1e-10
    assert np.abs(jacobian - np.eye(4)).max() > 0.3


def test_strang_solves_the_rotation_exactly() -> None:
    """Without a rest to kick by, any step size follows the harmonic oscillator to rounding."""
    force = jax.value_and_grad(lambda offset: jnp.zeros(()))
    step, phase = stepper(STRANG, {**hamiltonian_flows(force), "rotate": rotation(force)}), phase_at(force, *START)
    for _ in range(50):
        phase = step(jnp.asarray(1.7), phase)
    cos, sin = np.cos(50 * 1.7), np.sin(50 * 1.7)
    np.testing.assert_allclose(phase.offset, cos * START[0] + sin * START[1], atol=1e-13)
    np.testing.assert_allclose(phase.momentum, cos * START[1] - sin * START[0], atol=1e-13)


@pytest.mark.parametrize(("scheme", "gradients"), [(LEAPFROG, 1), (TWO_STAGE, 2), (STRANG, 1)])
def test_gradients_a_step(scheme: Scheme, gradients: int) -> None:
    calls: list[jax.Array] = []

    def force(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        calls.append(offset)
        return jax.value_and_grad(coupled)(offset)

    flows: dict[str, Flow] = hamiltonian_flows(force) | {"rotate": rotation(force)}
    phase = phase_at(jax.value_and_grad(coupled), *START)
    jax.make_jaxpr(stepper(scheme, flows))(jnp.asarray(0.1), phase)
    assert len(calls) == scheme.gradients == gradients


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_tables(scheme: Scheme) -> None:
    """Palindromes from kick to kick, in which every flow runs for one step in all."""
    assert scheme.palindromic
    assert scheme.stages[0][0] == scheme.stages[-1][0] == "kick"
    for flow in {name for name, _ in scheme.stages}:
        assert sum(share for name, share in scheme.stages if name == flow) == pytest.approx(1.0, abs=1e-15)


def test_names_in_settings() -> None:
    assert {name: scheme.name for name, scheme in SCHEMES.items()} == {"leapfrog": "leapfrog", "two_stage": "two_stage"}


def test_each_chain_has_its_own_step() -> None:
    """h of shape [R, 1] on offsets [R, d]: each chain moves as it would alone."""
    force = jax.vmap(jax.value_and_grad(coupled))
    step = stepper(TWO_STAGE, hamiltonian_flows(force))
    offset, momentum = jnp.stack([START[0], START[1]]), jnp.stack([START[1], START[0]])
    sizes = jnp.asarray([[0.1], [0.4]])
    together = step(sizes, phase_at(force, offset, momentum))
    assert together.potential.shape == (2,)
    for chain in range(2):
        alone = orbit(TWO_STAGE, float(sizes[chain, 0]), offset[chain], momentum[chain])
        for joint, single in zip(together, alone, strict=True):
            np.testing.assert_allclose(joint[chain], single[0], rtol=1e-13)


def test_missing_flow_is_refused() -> None:
    flows = hamiltonian_flows(jax.value_and_grad(harmonic))
    with pytest.raises(ValueError, match=r"'strang' has the stages \['rotate'\].*\['drift', 'kick'\] only; give"):
        stepper(STRANG, flows)


def test_the_force_at_the_end_is_that_of_the_next_start() -> None:
    """Whatever the scheme, a phase's potential and gradient are those of its offset."""
    checks: list[Callable[[jax.Array], jax.Array]] = [coupled, coupled, cubic]
    for scheme, potential in zip(ALL, checks, strict=True):
        end = jax.tree.map(lambda values: values[2], orbit(scheme, 0.2, *START))
        np.testing.assert_allclose(end.potential, potential(end.offset), rtol=1e-14)
        np.testing.assert_allclose(end.gradient, jax.grad(potential)(end.offset), rtol=1e-14)
