"""One run of one sampler on one posterior, under the sampler's default settings: the process whose cost is counted.

    python -m workflows.studies.posteriors.one_run NAME SAMPLER --out FILE.npz

The file holds the draws of every variable, [chains, draws, ...], and what the run says of itself, as JSON: `facts`.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workflows.studies.posteriors.posterior import Built
from workflows.studies.posteriors.suite import posterior

Outcome = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Draws [chains, draws, ...] of every variable, and facts of the run."""
STARTS = ("prior", "box")
CHAINS = 4
"""Of the other samplers, one after another."""


class Choices(NamedTuple):
    """start: prior, or box, uniform(-2, 2) on the unconstrained coordinates. minutes: limit of wall time."""

    start: str
    seed: int
    minutes: float


def with_maxwell(built: Built, choices: Choices) -> Outcome:
    """As the README tells users to sample, in this process."""
    from workflows.sampling.session import sample

    run = sample(
        *built,
        local=True,
        progress=False,
        seed=choices.seed,
        start={"kind": {"prior": "prior", "box": "uniform"}[choices.start]},
        limits={"minutes": choices.minutes},
    )
    summary = run.summary()
    goals = summary["goals_met"] or {}
    keys = ("stage", "sweeps", "d", "divergences", "ess_online_min", "nested_rhat_max", "compile_seconds", "worst")
    facts = {
        "goals_met": bool(goals) and all(goals.values()),
        "unmet": [goal for goal, met in goals.items() if not met],
        **{key: summary.get(key) for key in keys},
    }
    return {str(name): values.to_numpy() for name, values in run.data.posterior.data_vars.items()}, facts


def with_numpyro(built: Built, choices: Choices) -> Outcome:
    """NUTS with 4 chains of 1,000 and 1,000 draws, one after another."""
    import jax
    from numpyro.infer import MCMC, NUTS, init_to_sample, init_to_uniform

    model, data = built
    kernel = NUTS(model, init_strategy={"prior": init_to_sample, "box": init_to_uniform}[choices.start])
    mcmc = MCMC(
        kernel, num_warmup=1000, num_samples=1000, num_chains=CHAINS, chain_method="sequential", progress_bar=False
    )
    mcmc.run(jax.random.key(choices.seed), **data, extra_fields=("diverging",))
    draws = {name: np.asarray(values) for name, values in mcmc.get_samples(group_by_chain=True).items()}
    return draws, {"divergences": int(np.sum(mcmc.get_extra_fields()["diverging"]))}


def with_nutpie(built: Built, choices: Choices) -> Outcome:
    """nutpie's NUTS (which learns its metric from draws and gradients) on NumPyro's density, with as many draws."""
    try:
        import nutpie
        from nutpie.compiled_pyfunc import from_pyfunc
    except ImportError as error:
        raise SystemExit("nutpie is not installed: pip install nutpie (dependency group rivals)") from error
    import jax
    from jax.flatten_util import ravel_pytree
    from numpyro.infer import init_to_sample, init_to_uniform
    from numpyro.infer.util import initialize_model

    model, data = built
    strategy = {"prior": init_to_sample, "box": init_to_uniform}[choices.start]
    keys = jax.random.split(jax.random.key(choices.seed), CHAINS)
    found = initialize_model(keys, model, init_strategy=strategy, model_kwargs=data)
    first = jax.vmap(lambda z: ravel_pytree(z)[0])(found.param_info.z)
    unravel = ravel_pytree(jax.tree.map(lambda z: z[0], found.param_info.z))[1]
    slope = jax.jit(jax.value_and_grad(lambda x: -found.potential_fn(unravel(x))))
    constrained = jax.jit(jax.vmap(jax.vmap(lambda x: found.postprocess_fn(unravel(x)))))

    def log_density() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        def at(x: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = slope(x)
            return float(value), np.asarray(gradient)

        return at

    width = first.shape[1]
    starts = iter(np.asarray(first))
    compiled = from_pyfunc(
        width,
        log_density,
        lambda *_: lambda x: {"x": x},
        [np.dtype(np.float64)],
        [(width,)],
        ["x"],
        make_initial_point_fn=lambda _: next(starts),
    )
    trace = nutpie.sample(
        compiled, draws=1000, tune=1000, chains=CHAINS, cores=1, seed=choices.seed, progress_bar=False
    )
    draws = constrained(jax.numpy.asarray(trace.posterior["x"].to_numpy()))
    diverging = int(trace.sample_stats["diverging"].sum())
    return {name: np.asarray(values) for name, values in draws.items()}, {"divergences": diverging}


SAMPLERS: Mapping[str, Callable[[Built, Choices], Outcome]] = {
    "maxwell": with_maxwell,
    "numpyro": with_numpyro,
    "nutpie": with_nutpie,
}


def main() -> None:
    """Run, and write the draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("sampler", choices=SAMPLERS)
    parser.add_argument("--start", choices=STARTS, default="prior")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    choices = Choices(arguments.start, arguments.seed, arguments.minutes)
    draws, facts = SAMPLERS[arguments.sampler](posterior(arguments.name).build(), choices)
    np.savez(arguments.out, allow_pickle=False, facts=np.array(json.dumps(facts)), **draws)


if __name__ == "__main__":
    main()
