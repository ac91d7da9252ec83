"""Pseudo-marginal HMC on the mixed model: acceptance as N grows, the cost of a step, and what float32 changes.

    python -m workflows.studies.benchmarks.pseudo_marginal         (minutes, on one thread)

Acceptance: from the truth and u of its prior, at one step size for all N, mass 10 for theta, beside leapfrog on all
coordinates. Cost: a trajectory of STEPS steps against as many evaluations of the gradient that it follows, in turn, on
one chain; the trajectory has its rotations, random numbers and decision besides. float32: the log estimate and its
gradient by theta and u against float64, at the same points.
"""

import os
from typing import Any, NamedTuple

os.environ["PJRT_NPROC"] = "1"

import jax
import jax.numpy as jnp

from kernels.dynamics.forces import scaled_potential
from kernels.dynamics.metric import Leading
from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.transitions.hmc import Hmc, HmcParameters
from kernels.transitions.pseudo_marginal.target import ESTIMATE, Precision
from kernels.transitions.pseudo_marginal.trajectories import joint_view, pseudo_marginal_hmc
from kernels.types import Data
from workflows.models.glmm.model import build
from workflows.models.glmm.simulate import INDIVIDUALS, TRUTH
from workflows.studies.benchmarks.timing import medians

MASS = 10.0
CHAINS, DRAWS = 4, 10
STEP, STEPS = 0.1, 8
REPEATS = 15
GROWING = (16, 128, 512, 2048)
TIMED = (16, 128)
PRECISIONS: tuple[Precision, ...] = ("float64", "float32")


class Problem(NamedTuple):
    """The mixed model with theta and u in one block: the view, its data, and starts of CHAINS chains at the truth."""

    view: LevelView
    data: Data
    starts: State


class Rounding(NamedTuple):
    """Of float32 against float64, largest over the chains: the difference of the log estimate of all individuals, and
    the norm of that of its gradient over the gradient's."""

    estimate: float
    gradient: float


def problem(samples: int, precision: Precision = "float64", individuals: int = INDIVIDUALS) -> Problem:
    """The estimator `split` with N = samples."""
    model = build(samples=samples, individuals=individuals, precision=precision)
    data, target = jax.tree.map(jnp.asarray, model.data), model.target
    start = target.initial(jax.random.key(0), data)
    structure = discover(target, data, start, key=jax.random.key(1))

    def at_truth(key: jax.Array) -> State:
        position = target.initial(key, data) | {name: jnp.asarray(value) for name, value in TRUTH.items()}
        return evaluate(target, structure, position, data)

    starts = jax.jit(jax.vmap(at_truth))(jax.random.split(jax.random.key(2), CHAINS))
    return Problem(joint_view(target, structure), data, starts)


def parameters(step_size: float, n_steps: int) -> HmcParameters:
    """With the published mass for theta."""
    mass = Leading(jnp.full((13, 1), MASS**-0.5))
    return HmcParameters(jnp.asarray(1.0), jnp.asarray(step_size), mass, jnp.asarray(n_steps))


def acceptance(of: Problem, step: float = STEP, steps: int = STEPS) -> tuple[float, float]:
    """Mean acceptance over DRAWS trajectories of each chain: of PM-HMC, and of leapfrog on theta and u."""
    chosen = parameters(step, steps)

    def mean(kernel: Hmc) -> float:
        def body(states: State, key: jax.Array) -> tuple[State, jax.Array]:
            states, info = kernel.step(jax.random.split(key, CHAINS), states, of.data, chosen)
            return states, info.acceptance_probability

        keys = jax.random.split(jax.random.key(3), DRAWS)
        return float(jnp.mean(jax.jit(lambda keys, starts: jax.lax.scan(body, starts, keys)[1])(keys, of.starts)))

    return mean(pseudo_marginal_hmc(of.view)), mean(Hmc(of.view))


def cost(of: Problem) -> tuple[float, float]:
    """Milliseconds of one evaluation of the gradient, and of a step of a trajectory with all that belongs to it."""
    kernel, chosen = pseudo_marginal_hmc(of.view), parameters(STEP, STEPS)
    first = jax.tree.map(lambda leaf: leaf[:1], of.starts)
    state = jax.tree.map(lambda leaf: leaf[0], first)

    @jax.jit
    def trajectory(states: State) -> Any:
        return kernel.step(jax.random.split(jax.random.key(4), 1), states, of.data, chosen)

    @jax.jit
    def gradients(state: State) -> jax.Array:
        potential = scaled_potential(of.view, state.position, of.data, chosen.factor, chosen.beta)
        gradient = jax.grad(lambda offset: jnp.sum(potential(offset)))
        # Each depends on the one before, lest they be shared.
        start = jnp.zeros((of.view.level.width, 1))
        return jax.lax.fori_loop(0, STEPS, lambda _, offset: offset + 1e-12 * gradient(offset), start)

    times = medians([lambda: gradients(state), lambda: trajectory(first)], REPEATS)
    return 1e3 * times[0] / STEPS, 1e3 * times[1] / STEPS


def rounding(exact: Problem, single: Problem) -> Rounding:
    """What the estimator in float32 changes at the starts."""

    def values(of: Problem) -> Any:
        def total(position: Any) -> jax.Array:
            return jnp.sum(of.view.target.log_terms(position, of.data)[ESTIMATE])

        return jax.jit(jax.vmap(jax.value_and_grad(total)))(exact.starts.position)

    (value, slope), (rounded, other) = values(exact), values(single)
    difference = jax.tree.map(jnp.subtract, slope, other)
    norms = [sum(jnp.sum(x.reshape(CHAINS, -1) ** 2, axis=1) for x in jax.tree.leaves(g)) for g in (difference, slope)]
    return Rounding(float(jnp.max(jnp.abs(value - rounded))), float(jnp.sqrt(jnp.max(norms[0] / norms[1]))))


def main() -> None:
    """Print the three tables."""
    print(f"acceptance, {INDIVIDUALS} individuals, {STEPS} steps of {STEP}, {CHAINS} chains of {DRAWS} trajectories")
    print(f"{'N':>6}{'coordinates of u':>18}{'PM-HMC':>9}{'in float32':>12}{'leapfrog':>10}")
    for samples in GROWING:
        exact, leapfrog = acceptance(problem(samples))
        single, _ = acceptance(problem(samples, "float32"))
        print(f"{samples:>6}{INDIVIDUALS * samples:>18,}{exact:>9.3f}{single:>12.3f}{leapfrog:>10.3f}", flush=True)
    print(f"\nmilliseconds, one chain, medians of {REPEATS}")
    print(f"{'N':>6}{'precision':>11}{'gradient':>10}{'step':>8}{'ratio':>7}")
    for samples in TIMED:
        for precision in PRECISIONS:
            gradient, step = cost(problem(samples, precision))
            print(f"{samples:>6}{precision:>11}{gradient:>10.2f}{step:>8.2f}{step / gradient:>7.2f}", flush=True)
    print("\nfloat32 against float64")
    print(f"{'N':>6}{'log estimate':>14}{'gradient':>10}")
    for samples in TIMED:
        off = rounding(problem(samples), problem(samples, "float32"))
        print(f"{samples:>6}{off.estimate:>14.1e}{off.gradient:>10.1e}", flush=True)


if __name__ == "__main__":
    main()
