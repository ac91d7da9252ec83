"""Traces of pseudo-marginal HMC on the mixed model with the published sizes, beside the exact posterior.

    python -m workflows.studies.demos.glmm_trace --out FOLDER

500 individuals, N = 128 samples of the estimator `wide`, step .02, 50 steps, mass 10, from the published start; beside
it NUTS on the likelihood by quadrature from the same start. Writes trace.png and prints means and standard deviations
of the second half of each chain. Minutes on one core.
Source: Alenlov, Doucet and Lindsten (2021), Journal of Machine Learning Research 22, 1-45.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from kernels.dynamics.metric import Leading
from kernels.state import LevelView, State, evaluate
from kernels.structure.discovery import discover
from kernels.structure.joining import level_of_all_sites
from kernels.structure.levels import Structure
from kernels.transitions.hmc import HmcParameters
from kernels.transitions.nuts.sampler import Nuts, NutsParameters
from kernels.transitions.pseudo_marginal.trajectories import joint_view, pseudo_marginal_hmc
from kernels.types import Data, Position
from workflows.modelling.model import Model
from workflows.models.glmm.model import build
from workflows.models.glmm.simulate import INDIVIDUALS, START
from workflows.studies.demos.canvas import COLD, EXACT, label, panels, save

SAMPLES, STEP, STEPS, MASS = 128, 0.02, 50, 10.0
ITERATIONS = 1000
NUTS_STEP, NUTS_DEPTH = 0.1, 6
NAMES = ("mu1", "mu2", "1/lambda1", "1/lambda2")
SEED = 1

Step = Callable[[jax.Array, State, Data], State]
"""(keys [1], states [1], data) -> states: of the one chain."""


def pseudo_marginal(iterations: int, individuals: int = INDIVIDUALS, samples: int = SAMPLES) -> np.ndarray:
    """The published chain: [iterations, 4], by NAMES."""
    model = build(estimator="wide", gradient="hand", individuals=individuals, samples=samples)
    found = structure_of(model)
    kernel = pseudo_marginal_hmc(joint_view(model.target, found))
    factor = Leading(jnp.full((model.target.dimension_of_interest, 1), MASS**-0.5))
    parameters = HmcParameters(jnp.asarray(1.0), jnp.asarray(STEP), factor, jnp.asarray(STEPS))
    return chain(model, found, lambda keys, states, data: kernel.step(keys, states, data, parameters)[0], iterations)


def exact(iterations: int, individuals: int = INDIVIDUALS) -> np.ndarray:
    """NUTS on the likelihood by quadrature, with the same mass: [iterations, 4]."""
    model = build(estimator="exact", individuals=individuals)
    found = structure_of(model)
    kernel = Nuts(LevelView(model.target, found, level_of_all_sites(model.target, found)), NUTS_DEPTH)
    factor = jnp.full((model.target.dimension, 1), MASS**-0.5)
    parameters = NutsParameters(jnp.asarray(1.0), jnp.asarray(NUTS_STEP), factor, jnp.asarray(NUTS_DEPTH))
    return chain(model, found, lambda keys, states, data: kernel.step(keys, states, data, parameters)[0], iterations)


def structure_of(model: Model) -> Structure:
    """The model's structure."""
    return discover(
        model.target, model.data, model.target.initial(jax.random.key(0), model.data), key=jax.random.key(0)
    )


def chain(model: Model, found: Structure, step: Step, iterations: int) -> np.ndarray:
    """One chain from the published theta, with u, if there is any, from its prior: [iterations, 4]."""
    start_key, key = jax.random.split(jax.random.key(SEED))

    @jax.jit
    def run(data: Data) -> jax.Array:
        position = model.target.initial(start_key, data) | {name: jnp.asarray(x) for name, x in START.items()}
        start = jax.tree.map(lambda x: x[None], evaluate(model.target, found, position, data))

        def body(states: State, key: jax.Array) -> tuple[State, jax.Array]:
            states = step(key[None], states, data)
            return states, watched({name: x[0] for name, x in states.position.items()})

        return jax.lax.scan(body, start, jax.random.split(key, iterations))[1]

    return np.asarray(run(jax.tree.map(jnp.asarray, model.data)))


def watched(theta: Position) -> jax.Array:
    """The four numbers of NAMES."""
    return jnp.concatenate([theta["mu"], jnp.exp(-theta["log_l"])])


def draw(folder: Path, iterations: int = ITERATIONS, individuals: int = INDIVIDUALS, samples: int = SAMPLES) -> str:
    """Run both chains and write trace.png; the table to print."""
    estimated, true = pseudo_marginal(iterations, individuals, samples), exact(iterations, individuals)
    save(picture(estimated, true), folder / "trace.png")
    return table(estimated, true)


def picture(estimated: np.ndarray, true: np.ndarray) -> Figure:
    """A panel for each of NAMES."""
    figure, axes = panels(2, 2, "Pseudo-marginal HMC (blue) and NUTS on the exact likelihood (black)")
    for axis, name, ours, theirs in zip(axes, NAMES, estimated.T, true.T, strict=True):
        axis.plot(theirs, color=EXACT, linewidth=0.7)
        axis.plot(ours, color=COLD, linewidth=0.9)
        label(axis, name, "iteration", "")
    return figure


def table(estimated: np.ndarray, true: np.ndarray) -> str:
    """Means and standard deviations of the second halves."""
    rows = [f"{'':<12}{'PM-HMC':>18}{'exact':>18}"]
    for name, *chains in zip(NAMES, estimated.T, true.T, strict=True):
        halves = [values[len(values) // 2 :] for values in chains]
        rows.append(f"{name:<12}" + "".join(f"{half.mean():>11.3f} ({half.std():.2f})" for half in halves))
    return "\n".join(rows)


def main() -> None:
    """Run, draw and print."""
    parser = argparse.ArgumentParser(description="traces of the mixed model, pseudo-marginal and exact")
    parser.add_argument("--out", type=Path, default=Path("glmm"), metavar="FOLDER")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, metavar="N")
    chosen = parser.parse_args()
    sys.stdout.write(draw(chosen.out, chosen.iterations) + "\n")


if __name__ == "__main__":
    main()
