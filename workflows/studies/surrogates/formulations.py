"""Five things that a network can learn, on the mixed model and on Rosenbrock's valley: errors, acceptance, ESS.

    python -m workflows.studies.surrogates.formulations glmm rosenbrock_10 --out FILE.jsonl

Prints a markdown table of the file too. All learn from the same trajectories of an ensemble in equilibrium, for the
same number of steps. target: squared error of what is learned on trajectories held out, over its squares; force: of
the force on theta against the slope of the exact marginal density. accepted: mean acceptance, on the true H, of
trajectories of the same step and length from states of the ensemble; where the force is not one of position alone that
says nothing, as the steps change volume. ESS: bulk, of the slowest coordinate, over gradients with those of the
training examples. Where u is held, it is refreshed between trajectories by a correlated proposal. The first rows have
no network: the gradient of the estimate with u moving (pseudo-marginal HMC), the exact slope with u held, and the
parabola of the metric.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from workflows.studies.lines import add
from workflows.studies.posteriors.table import number
from workflows.studies.references.nuts import statistics
from workflows.studies.surrogates.learning.learners import FORMULATIONS, Formulation, Layers, train
from workflows.studies.surrogates.learning.pilot import CHAINS, LENGTH, Equilibrium, Kick, moved, settled
from workflows.studies.surrogates.learning.problems import PROBLEMS

TRANSITIONS = 300
"""Of each chain."""
KEPT, REFRESHES = 0.9, 3
"""Of u where it is held: correlation of a proposal with what was, and proposals after a trajectory."""
HEADER = "| problem | formulation | exact | target | force | accepted | ESS | gradients | ESS per 1,000 gradients |"


class Found(NamedTuple):
    """accepted: mean acceptance; ess: of the slowest coordinate."""

    accepted: float
    ess: float


def refreshed(known: Any, key: jax.Array, z: jax.Array, u: jax.Array) -> jax.Array:
    """u after proposals that leave its normal law as it is, accepted on the estimate."""

    def propose(u: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        one, two = jax.random.split(key)
        new = KEPT * u + np.sqrt(1 - KEPT**2) * jax.random.normal(one, u.shape)
        ratio = known.log_density(z, new) - known.log_density(z, u)
        return jnp.where(jnp.log(jax.random.uniform(two)) < ratio, new, u), None

    return jax.lax.scan(propose, u, jax.random.split(key, REFRESHES))[0]


def sampled(at: Equilibrium, kick: Kick, seed: int, *, held: bool) -> Found:
    """Chains from the states of the ensemble."""
    known = at.known

    def one(key: jax.Array, z: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        move_key, u_key = jax.random.split(key)
        z, u, accepted = moved(known, kick, move_key, z, u, held=held)
        return z, refreshed(known, u_key, z, u) if held and u.size else u, accepted

    def advance(state: Any, key: jax.Array) -> Any:
        z, u, accepted = jax.vmap(one)(jax.random.split(key, CHAINS), *state)
        return (z, u), (z, accepted)

    keys = jax.random.split(jax.random.key(seed), TRANSITIONS)
    _, (seen, accepted) = jax.jit(partial(jax.lax.scan, advance))((at.z, at.u), keys)
    ess = statistics(np.swapaxes(np.asarray(seen), 0, 1))["ess"]
    return Found(float(jnp.mean(accepted)), float(np.min(ess)))


def force_error(at: Equilibrium, kick: Kick) -> float:
    """Of the force on z against the slope of the marginal density, at the examples' last trajectories."""
    held = jax.tree.map(lambda x: jnp.concatenate(x[-CHAINS:, ::3]).astype(jnp.float64), at.examples.phases)
    true = jax.vmap(jax.grad(at.known.marginal))(held.z)
    found = jax.vmap(kick)(held)[0]
    return float(jnp.sum((found - true) ** 2) / jnp.sum(true**2))


def of_formulation(at: Equilibrium, formulation: Formulation, seed: int) -> dict[str, Any]:
    """Train and measure it."""
    learned = train(formulation, at.examples, at.known.step, seed)
    layers: Layers = learned.layers
    kick = partial(formulation.kick, layers)
    found = sampled(at, kick, seed, held=not formulation.moves_u)
    examples = int(np.prod(at.examples.by_z.shape[:2]))
    exact = formulation.exact
    return {
        "exact": exact,
        "target": learned.error,
        "trained_steps": learned.steps,
        "force": force_error(at, kick),
        "accepted": found.accepted,
        "ess": found.ess if exact else None,
        "gradients": examples,
    }


def without_network(at: Equilibrium, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the gradient of the estimate, and the exact slope, do."""
    slope = jax.grad(at.known.marginal)
    each = CHAINS * TRANSITIONS * LENGTH
    kinds: list[tuple[str, Kick, bool, int]] = [("gradient of the estimate", at.known.kick, False, each)]
    if at.known.problem.auxiliary:
        kinds.append(("exact slope", lambda x: (slope(x.z), jnp.zeros_like(x.u)), True, each))
    kinds.append(("parabola alone", lambda x: (-x.z, jnp.zeros_like(x.u)), True, 0))
    for name, kick, held, gradients in kinds:
        found = sampled(at, kick, seed, held=held)
        yield (
            name,
            {"exact": True, "target": None, "force": force_error(at, kick), **found._asdict(), "gradients": gradients},
        )


def rows(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """Lines of a problem."""
    at = settled(PROBLEMS[name](), seed)
    facts = {"name": name, "seed": seed, "step": float(at.known.step), "auxiliary": at.known.problem.auxiliary}
    for label, line in without_network(at, seed):
        yield {**facts, "formulation": label, **line}
    for label, formulation in FORMULATIONS.items():
        # Without auxiliary variables the first is the fourth.
        if at.known.problem.auxiliary or label[0] != "1":
            yield {**facts, "formulation": label, **of_formulation(at, formulation, seed)}


def table(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Of all lines."""
    yield HEADER
    yield "|" + " --- |" * (HEADER.count("|") - 1)
    for line in lines:
        ess = line["ess"]
        cells = [
            line["name"],
            line["formulation"],
            "yes" if line["exact"] else "no",
            *(number(line[key]) for key in ("target", "force", "accepted", "ess")),
            f"{line['gradients']:,}",
            number(None if ess is None or not line["gradients"] else 1000 * ess / line["gradients"]),
        ]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name in arguments.names:
        for line in rows(name, arguments.seed):
            add(line, arguments.out)
            print(line, flush=True)
    print(*table([json.loads(line) for line in arguments.out.read_text("utf-8").splitlines()]), sep="\n")


if __name__ == "__main__":
    main()
