"""Leapfrog on the likelihood of the example subject: as it was first shown, and repaired.

First shown: unit mass, 2.5 time units. The step must stay below .0036 for the fastest direction, and 2.5 units are a
twentieth of the slowest period: the trajectory is a short arc and could not look stationary, however exact the
integrator. The repair is a metric, in which all periods are alike, and a trajectory of several of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.integrators import LEAPFROG, Phase, hamiltonian_flows, phase_at, stepper
from workflows.models.rri.curve import Curve, log_likelihood
from workflows.models.rri.published import EXAMPLE, EXAMPLE_SIGMA
from workflows.models.rri.simulate import example
from workflows.studies.demos.conditioning import OBSERVATIONS, factor, information

ORIGINAL_TIME = 2.5
"""Time units of the trajectory as it was first shown."""
ORIGINAL_STEP = 0.0025
REPAIRED_TIME = 6.0 * np.pi
"""Three periods, in the metric."""
REPAIRED_STEP = 0.05
SEED = 0


class Trajectory(NamedTuple):
    """position, velocity [steps + 1, 8], in the units of the parameters (with unit mass the velocity is the momentum);
    energy: the error H - H at the start [steps + 1]; time [steps + 1]."""

    position: np.ndarray
    velocity: np.ndarray
    energy: np.ndarray
    time: np.ndarray


def example_potential() -> Callable[[jax.Array], jax.Array]:
    """Minus the log likelihood of the example recording, as a function of a position [8]."""
    recording = example(OBSERVATIONS, varying=False)
    t, y = jnp.asarray(recording.t), jnp.asarray(recording.y)
    return lambda position: -log_likelihood(Curve(*position[:7]), position[7], t, y)


def integrate(scale: jax.Array, step: float, time: float, momentum: np.ndarray) -> Trajectory:
    """Leapfrog from the true parameters. scale: L [8, 8], x = truth + L q, momenta are unit normals in q."""
    truth, potential = jnp.asarray([*EXAMPLE, EXAMPLE_SIGMA]), example_potential()
    value_and_gradient = jax.value_and_grad(lambda q: potential(truth + scale @ q))
    advance = stepper(LEAPFROG, hamiltonian_flows(value_and_gradient))
    count = round(time / step)

    def body(phase: Phase, _: None) -> tuple[Phase, Phase]:
        return advance(jnp.asarray(step), phase), phase

    start = phase_at(value_and_gradient, jnp.zeros(8), jnp.asarray(momentum))
    _, phases = jax.jit(lambda start: jax.lax.scan(body, start, None, count + 1))(start)
    energy = phases.potential + 0.5 * jnp.sum(phases.momentum**2, axis=1)
    return Trajectory(
        position=np.asarray(truth + phases.offset @ scale.T),
        velocity=np.asarray(phases.momentum @ scale.T),
        energy=np.asarray(energy - energy[0]),
        time=step * np.arange(count + 1),
    )


def original(step: float = ORIGINAL_STEP, time: float = ORIGINAL_TIME) -> Trajectory:
    """With unit mass, in the parameters' own units."""
    return integrate(jnp.eye(8), step, time, first_momentum())


def repaired() -> Trajectory:
    """With the metric of the information matrix, and for three periods."""
    return integrate(factor(information()), REPAIRED_STEP, REPAIRED_TIME, first_momentum())


def first_momentum() -> np.ndarray:
    """The same unit normals for both."""
    return np.random.default_rng(SEED).standard_normal(8)


def share_explored(trajectory: Trajectory) -> np.ndarray:
    """Range of each parameter [8] over the trajectory, as a share of four standard deviations of the likelihood: a
    trajectory that could pass for stationary comes to about 1 in each."""
    sd = np.sqrt(np.diag(np.linalg.inv(information())))
    return np.asarray(np.ptp(trajectory.position, axis=0) / (4.0 * sd))
