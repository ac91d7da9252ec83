"""References of the suite's posteriors: independent draws where there is a formula, else long NumPyro NUTS runs.

    python -m workflows.studies.posteriors.reference NAME ... --out tests/references/posteriors

A file a posterior holds, of every recorded variable, `<variable>/<mean|sd|ess|mcse_mean|mcse_sd|rhat>`; of variables of
more than WIDE elements these are of FEW of them, whose places in the flat array are `<variable>/index`. `provenance`
says how the draws were made, with the divergences of every chain.
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.infer import MCMC, NUTS, init_to_value

from workflows.studies.posteriors.exact import EXACT, Draws, moments
from workflows.studies.posteriors.posterior import Built
from workflows.studies.posteriors.recipes import RECIPES, Recipe
from workflows.studies.posteriors.suite import POSTERIORS, posterior
from workflows.studies.references.nuts import save, statistics

CHAINS, WARMUP, DRAWS = 4, 1000, 2500
"""Of NUTS; DRAWS a chain."""
INDEPENDENT = 25_000
"""Independent draws a chain."""
WIDE, FEW = 100, 20
SEED = 20251128


def variables(built: Built) -> list[str]:
    """Names of what is recorded of a model: latent and deterministic sites."""
    model, data = built
    sites = handlers.trace(handlers.substitute(handlers.seed(model, 0), substitute_fn=_improper)).get_trace(**data)
    kinds = ("sample", "deterministic")
    return [name for name, site in sites.items() if site["type"] in kinds and not site.get("is_observed", False)]


def _improper(site: dict[str, Any]) -> Any:
    """Any value for a site that cannot be drawn from."""
    if site["type"] != "sample" or type(site["fn"]).__name__ != "ImproperUniform":
        return None
    transform = biject_to(site["fn"].support)
    return transform(np.zeros(transform.inverse_shape(site["fn"].shape())))


def nuts(name: str, recipe: Recipe, draws: int) -> tuple[Draws, dict[str, Any]]:
    """Draws [chains, draws, ...] of the plain model's variables, and how they were made."""
    plain = posterior(name).build()
    model, data = plain if recipe.build is None else recipe.build()
    kernel = NUTS(
        model,
        target_accept_prob=recipe.target_accept,
        dense_mass=recipe.dense,
        init_strategy=init_to_value(values=dict(recipe.start)),
    )
    mcmc = MCMC(
        kernel, num_warmup=WARMUP, num_samples=draws, num_chains=CHAINS, chain_method="sequential", progress_bar=False
    )
    mcmc.run(jax.random.key(SEED), **data, extra_fields=("diverging", "num_steps"))
    flat = {site: np.asarray(values) for site, values in mcmc.get_samples().items()}
    if recipe.complete is not None:
        flat = recipe.complete(flat, plain[1], np.random.default_rng(SEED))
    extra = mcmc.get_extra_fields(group_by_chain=True)
    how = {
        "method": "NumPyro NUTS" + ("" if recipe.build is None else " on an equivalent model"),
        "target_accept": recipe.target_accept,
        "divergences": np.asarray(extra["diverging"]).sum(axis=1).tolist(),
        "mean_steps": float(np.asarray(extra["num_steps"]).mean()),
    }
    return {site: flat[site].reshape(CHAINS, draws, *flat[site].shape[1:]) for site in variables(plain)}, how


def summarise(draws: Draws) -> dict[str, np.ndarray]:
    """The arrays of a reference file, but its provenance; draws: [chains, draws, ...]."""
    table: dict[str, np.ndarray] = {}
    for name, values in draws.items():
        flat = values.reshape(*values.shape[:2], -1)
        if flat.shape[2] > WIDE:
            table[f"{name}/index"] = np.linspace(0, flat.shape[2] - 1, FEW).astype(int)
            flat = flat[:, :, table[f"{name}/index"]]
        with np.errstate(invalid="ignore", divide="ignore"):
            table |= {f"{name}/{key}": value for key, value in statistics(flat).items()}
    return table


def make(name: str, draws: int) -> dict[str, np.ndarray]:
    """The reference of a posterior."""
    began = time.process_time()
    if name in EXACT:
        flat = EXACT[name](np.random.default_rng(SEED), CHAINS * INDEPENDENT)
        found = {site: values.reshape(CHAINS, INDEPENDENT, *values.shape[1:]) for site, values in flat.items()}
        how: dict[str, Any] = {"method": "independent draws", "divergences": [0] * CHAINS}
    else:
        found, how = nuts(name, RECIPES.get(name, Recipe()), draws)
    table = summarise(found)
    for variable, (mean, sd) in moments(name).items():
        flat = {"mean": mean, "sd": sd, "mcse_mean": np.zeros(mean.shape), "mcse_sd": np.zeros(sd.shape)}
        table |= {f"{variable}/{key}": np.atleast_1d(value) for key, value in flat.items()}
        how["method"] = "moments by formula"
    moving = {key: value for key, value in table.items() if not key.endswith("index")}
    least = {key: [value for k, value in moving.items() if k.endswith("/" + key)] for key in ("ess", "rhat")}
    how |= {
        "command": f"python -m workflows.studies.posteriors.reference {name} --draws {draws}",
        "versions": {package: version(package) for package in ("jax", "numpyro", "numpy", "arviz")},
        "chains": CHAINS,
        "draws": next(iter(found.values())).shape[1],
        "least_ess": float(np.nanmin(np.concatenate([np.ravel(value) for value in least["ess"]]))),
        "largest_rhat": float(np.nanmax(np.concatenate([np.ravel(value) for value in least["rhat"]]))),
        "core_seconds": round(time.process_time() - began, 1),
    }
    return table | {"provenance": np.array(json.dumps(how))}


def main() -> None:
    """Make the references that are asked for, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[entry.name for entry in POSTERIORS], help="all by default")
    parser.add_argument("--out", type=Path, default=Path("tests/references/posteriors"), help="folder of the files")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of NUTS, a chain")
    arguments = parser.parse_args()
    for name in arguments.names:
        posterior(name)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        table = make(name, arguments.draws)
        save(arguments.out / f"{name}.npz", table)
        jax.clear_caches()
        how = json.loads(str(table["provenance"]))
        print(
            f"{name}: least ESS {how['least_ess']:.0f}, largest R-hat {how['largest_rhat']:.3f}, "
            f"divergences {how['divergences']}, {how['core_seconds']} core-seconds",
            flush=True,
        )


if __name__ == "__main__":
    main()
