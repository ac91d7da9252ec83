"""Reference moments of the depth targets by long NumPyro NUTS runs.

    python -m workflows.studies.depth.references german_credit --out tests/references

Writes depth_<name>.npz: the moments of every coordinate with their Monte Carlo errors, and how they were made. Targets
whose moments need no sampling (EXACT) are refused.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import MCMC, NUTS

from kernels.types import Position
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Model
from workflows.studies.depth import item_response, stochastic_volatility
from workflows.studies.depth.bias import Moments, own_b2
from workflows.studies.depth.targets import EXACT, build, flat_log_density, flatten, probe, reference_file
from workflows.studies.references.nuts import save, statistics


class Run(NamedTuple):
    """Chains that advance together; warm-up and kept draws of each; acceptance that the step size aims at."""

    chains: int
    warmup: int
    draws: int
    accept: float = 0.8


RUNS: Mapping[str, Run] = {
    "german_credit": Run(64, 500, 1200, 0.9),
    "item_response": Run(16, 200, 1500),
    "stochastic_volatility": Run(64, 250, 250),
}
EASIER: Mapping[str, Callable[[Position], tuple[Position, jax.Array]]] = {
    "item_response": item_response.from_levels,
    "stochastic_volatility": stochastic_volatility.from_whitened,
}
"""Coordinates in which NUTS runs faster: their map to those of the target, with its log Jacobian."""


class Draws(NamedTuple):
    """Flat draws [chain, draw, d]; leapfrog steps and divergences of every draw [chain, draw]; seconds in all."""

    flat: np.ndarray
    steps: np.ndarray
    diverging: np.ndarray
    seconds: float


def sample(model: Model, run: Run, seed: int) -> Draws:
    """NUTS with a diagonal metric, every chain adapted on its own."""
    data = jax.tree.map(jnp.asarray, model.data)
    change = EASIER.get(model.name, _same)
    key_start, key_run = jax.random.split(jax.random.key(seed))
    starts = jax.vmap(model.target.initial, in_axes=(0, None))(jax.random.split(key_start, run.chains), data)
    kernel = NUTS(potential_fn=_potential(model, change), target_accept_prob=run.accept)
    mcmc = MCMC(
        kernel,
        num_warmup=run.warmup,
        num_samples=run.draws,
        num_chains=run.chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    began = time.monotonic()
    mcmc.run(key_run, init_params=starts, extra_fields=("num_steps", "diverging"))
    samples = jax.vmap(jax.vmap(lambda position: change(position)[0]))(mcmc.get_samples(group_by_chain=True))
    extra = {field: np.asarray(value) for field, value in mcmc.get_extra_fields(group_by_chain=True).items()}
    seconds = time.monotonic() - began
    return Draws(np.asarray(flatten(model.target, samples)), extra["num_steps"], extra["diverging"], seconds)


def _same(position: Position) -> tuple[Position, jax.Array]:
    """The coordinates of the target."""
    return position, jnp.zeros(())


def _potential(
    model: Model, change: Callable[[Position], tuple[Position, jax.Array]]
) -> Callable[[Position], jax.Array]:
    """-log density of the position in the coordinates from which `change` leads to the target's."""
    log_density = flat_log_density(model)

    def potential(position: Position) -> jax.Array:
        changed, log_jacobian = change(position)
        return -log_density(flatten(model.target, changed)) - log_jacobian

    return potential


def moments_of(flat: np.ndarray) -> tuple[Moments, dict[str, float]]:
    """Moments of draws [chain, draw, d], and the worst ESS and R-hat over coordinates of x and of x^2."""
    of_x, of_square = statistics(flat), statistics(flat**2)
    moments = Moments(
        mean=of_x["mean"],
        square=of_square["mean"],
        variance=of_square["sd"] ** 2,
        mean_error=of_x["mcse_mean"],
        square_error=of_square["mcse_mean"],
    )
    worst = {
        "ess_min": float(of_x["ess"].min()),
        "ess_square_min": float(of_square["ess"].min()),
        "rhat_max": float(max(of_x["rhat"].max(), of_square["rhat"].max())),
        "own_b2_max": float(own_b2(moments).max()),
        "own_b2_avg": float(own_b2(moments).mean()),
    }
    return moments, worst


def identities(model: Model, flat: np.ndarray) -> dict[str, float]:
    """How far the draws [chain, draw, d] are from E[dU/dx_i] = 0 and E[(x_i - E[x_i]) dU/dx_i] = 1, U = -log density.

    Both hold for every density that vanishes at infinity, and for few samplers by mistake. Largest z over coordinates.
    """
    gradient = jax.grad(lambda x: -flat_log_density(model)(x))
    gradients = np.asarray(jax.lax.map(gradient, flat.reshape(-1, flat.shape[-1]), batch_size=16)).reshape(flat.shape)
    virial = (flat - flat.mean(axis=(0, 1))) * gradients
    return {
        name: float(np.abs((of["mean"] - expected) / of["mcse_mean"]).max())
        for name, of, expected in (
            ("gradient_z_max", statistics(gradients), 0.0),
            ("virial_z_max", statistics(virial), 1.0),
        )
    }


def provenance(model: Model, arguments: argparse.Namespace, draws: Draws) -> dict[str, object]:
    """What it takes to make the moments again, and how the run went."""
    settings = {name: getattr(arguments, name) for name in ("chains", "warmup", "draws", "accept", "seed")}
    flags = " ".join(f"--{name} {value}" for name, value in settings.items())
    return {
        "command": f"python -m workflows.studies.depth.references {model.name} {flags}",
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpyro", "numpy", "arviz")},
        "python": sys.version.split()[0],
        "log_density_at_probe": probe(model).log_density,
        "divergences": int(draws.diverging.sum()),
        "mean_steps": float(draws.steps.mean()),
        "seconds": draws.seconds,
    }


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command-line settings; lengths that are not given are those of RUNS."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.studies.depth.references", description=__doc__.splitlines()[0]
    )
    parser.add_argument("name", help=f"one of {', '.join(RUNS)}")
    parser.add_argument("--out", type=Path, required=True, help="folder of the reference files")
    parser.add_argument("--seed", type=int, default=20240615)
    parser.add_argument("--chains", type=int)
    parser.add_argument("--warmup", type=int)
    parser.add_argument("--draws", type=int)
    parser.add_argument("--accept", type=float)
    arguments = parser.parse_args(argv)
    for field, value in RUNS.get(arguments.name, Run(4, 1000, 1000))._asdict().items():
        if getattr(arguments, field) is None:
            setattr(arguments, field, value)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Run NUTS on one target and write its moments. Raises ModelError for a target that needs or has none."""
    arguments = parse(argv)
    if arguments.name in EXACT:
        raise ModelError(f"the moments of {arguments.name!r} need no sampling: choose one of {', '.join(RUNS)}")
    model = build(arguments.name)
    run = Run(arguments.chains, arguments.warmup, arguments.draws, arguments.accept)
    draws = sample(model, run, arguments.seed)
    moments, worst = moments_of(draws.flat)
    report = json.dumps(provenance(model, arguments, draws) | worst | identities(model, draws.flat))
    arguments.out.mkdir(parents=True, exist_ok=True)
    save(arguments.out / reference_file(model.name), moments._asdict() | {"provenance": np.array(report)})


if __name__ == "__main__":
    main()
