"""One run of one sampler on one density: the process whose cost is counted.

    python -m workflows.studies.surrogates.one_run NAME SAMPLER --out FILE.npz

The file holds the draws x, [chains, draws, d], and what the run says of itself, as JSON: `facts`. gradients, densities:
evaluations of the true density with and without its gradient, over all chains, warm-up and training included. Density
and gradient come together at a leaf, which counts as one gradient.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ensemble.protocol.progress import NullProgress
from workflows.studies.surrogates.densities import Density, density

Outcome = tuple[np.ndarray, dict[str, Any]]
"""Draws [chains, draws, d], and facts of the run."""
CHAINS, WARMUP, DRAWS = 4, 1000, 1000
"""Of NumPyro, one chain after another."""
ACCEPT = 0.8
"""Its target."""
BOX = 2.0
"""Every sampler starts uniform(-BOX, BOX) in every coordinate."""


class Choices(NamedTuple):
    """seed; ess: what a run of maxwell is to reach; minutes: limit of wall time."""

    seed: int
    ess: float
    minutes: float


class Told(NullProgress):
    """Keeps what a run tells its user."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)


def with_maxwell(kernel: str, entry: Density, choices: Choices) -> Outcome:
    """An ensemble whose whole vector is moved by this kernel."""
    from workflows.modelling.frontends.function import function_model

    model = function_model(lambda position, data: entry.log_density(position["x"]), {"x": entry.dimension})
    return of_maxwell(model, kernel, choices)


def of_maxwell(
    model: Any, kernel: str, choices: Choices, data: Mapping[str, Any] | None = None, names: Sequence[str] = ("x",)
) -> Outcome:
    """A run in this process; draws of the variables of these names, flattened, side by side."""
    from workflows.sampling.session import sample

    told = Told()
    run = sample(
        model,
        data,
        local=True,
        progress=told,
        seed=choices.seed,
        kernels={"levels": {"whole": kernel}},
        goals={"ess": choices.ess},
        limits={"minutes": choices.minutes},
    )
    variables = [run.data.posterior[name].to_numpy() for name in names]
    draws = np.concatenate([values.reshape(*values.shape[:2], -1) for values in variables], axis=2)
    return draws, {**spent(run.summary()), "said": [text for text in told.said if "network" in text]}


def spent(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a run has cost, of its summary."""
    goals, stages, chains = summary["goals_met"] or {}, summary["stages"], summary["chains"]
    keys = ("stage", "sweeps", "chains", "ess_online_min", "nested_rhat_max", "compile_seconds", "core_seconds")
    return {
        "goals_met": bool(goals) and all(goals.values()),
        "unmet": [goal for goal, met in goals.items() if not met],
        "gradients": chains * summary["gradients"]["own"],
        "gradients_by_stage": {name: chains * stage["gradients"] for name, stage in stages.items()},
        "sweeps_by_stage": {name: stage["sweeps"] for name, stage in stages.items()},
        "densities": sum(stage["trajectories"] for stage in summary["divergences"].values()),
        "acceptance": summary["acceptance"],
        **{"own_core_seconds" if key == "core_seconds" else key: summary.get(key) for key in keys},
    }


def with_numpyro(entry: Density, choices: Choices) -> Outcome:
    """NUTS with a dense metric, 4 chains of 1,000 and 1,000 draws, one after another."""
    import jax
    from numpyro.infer import MCMC, NUTS

    kernel = NUTS(potential_fn=lambda x: -entry.log_density(x), dense_mass=True, target_accept_prob=ACCEPT)
    mcmc = MCMC(
        kernel, num_warmup=WARMUP, num_samples=DRAWS, num_chains=CHAINS, chain_method="sequential", progress_bar=False
    )
    start_key, warm_key = jax.random.split(jax.random.key(choices.seed))
    start = jax.random.uniform(start_key, (CHAINS, entry.dimension), float, -BOX, BOX)
    mcmc.warmup(warm_key, init_params=start, extra_fields=("num_steps",), collect_warmup=True)
    warm = int(np.sum(mcmc.get_extra_fields()["num_steps"]))
    mcmc.run(mcmc.post_warmup_state.rng_key, init_params=start, extra_fields=("num_steps", "diverging"))
    fields = mcmc.get_extra_fields()
    kept = int(np.sum(fields["num_steps"]))
    facts = {"gradients": warm + kept, "densities": 0, "divergences": int(np.sum(fields["diverging"]))}
    stages = {"gradients_by_stage": {"warmup": warm, "sample": kept}}
    return np.asarray(mcmc.get_samples(group_by_chain=True)), {**facts, **stages}


def with_published(entry: Density, choices: Choices) -> Outcome:
    """Latent Hamiltonian networks with monitored NUTS. Approximate."""
    from workflows.studies.surrogates.published import sampled

    return sampled(entry, choices.seed)


MAXWELL = ("surrogate_hmc", "surrogate_nuts", "nuts")
SAMPLERS: Mapping[str, Callable[[Density, Choices], Outcome]] = {
    **{kernel: partial(with_maxwell, kernel) for kernel in MAXWELL},
    "numpyro": with_numpyro,
    "published": with_published,
}


def main() -> None:
    """Run, and write the draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("sampler", choices=SAMPLERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ess", type=float, default=2000.0)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    choices = Choices(arguments.seed, arguments.ess, arguments.minutes)
    draws, facts = SAMPLERS[arguments.sampler](density(arguments.name), choices)
    np.savez(arguments.out, allow_pickle=False, facts=np.array(json.dumps(facts)), x=draws)


if __name__ == "__main__":
    main()
