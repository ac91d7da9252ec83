"""A long NumPyro NUTS run on a shipped model: the reference that the ensemble's posterior is held against.

    python -m workflows.studies.references.nuts airway_small --out tests/references/airway_small.npz --work FOLDER

It shares no arithmetic with the models of this project: the densities are those of workflows.modelling.stock.
Chains run one after another, each saved in the work folder; a second call takes up the finished ones, and the summary
is rewritten after every chain.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import arviz
import jax
import numpy as np
from numpyro.infer import MCMC, NUTS, init_to_value

import kernels  # noqa: F401  (turns 64-bit floats on)
from workflows.modelling.stock import Stock, stock, stock_names


def sample_chain(of: Stock, chain: int, *, seed: int, warmup: int, draws: int) -> dict[str, np.ndarray]:
    """One NUTS chain: site -> [draws, ...], with n_steps, diverging and the warm-up's and the draws' seconds."""
    kernel = NUTS(of.model, init_strategy=init_to_value(values=of.start(chain)), target_accept_prob=0.8)
    mcmc = MCMC(kernel, num_warmup=warmup, num_samples=draws, num_chains=1, progress_bar=False)
    key = jax.random.fold_in(jax.random.key(seed), chain)
    began = time.monotonic()
    mcmc.warmup(key, *of.arguments)
    jax.block_until_ready(mcmc.post_warmup_state)
    warmed = time.monotonic()
    mcmc.run(mcmc.post_warmup_state.rng_key, *of.arguments, extra_fields=("num_steps", "diverging"))
    samples = mcmc.get_samples()
    samples = {name: np.asarray(samples[name]) for name in of.sites}
    extra = {name: np.asarray(value) for name, value in mcmc.get_extra_fields().items()}
    seconds = np.array([warmed - began, time.monotonic() - warmed])
    return samples | {"n_steps": extra["num_steps"], "diverging": extra["diverging"], "seconds": seconds}


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz under a temporary name and rename it, so that an interrupted run leaves no half of a file."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def summarise(sites: Sequence[str], chains: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Statistics of every coordinate: `<site>/<mean|sd|ess|mcse_mean|mcse_sd|rhat>`.

    ess is the bulk ESS. With a single chain R-hat is that of its two halves, as ArviZ splits chains.
    """
    table: dict[str, np.ndarray] = {}
    for name in sites:
        draws = np.stack([chain[name] for chain in chains])
        table |= {f"{name}/{label}": values for label, values in statistics(draws).items()}
    return table


def statistics(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, sd, bulk ESS, Monte Carlo errors and R-hat of draws [chain, draw, ...], each of shape [...]."""
    dataset = arviz.convert_to_dataset({"x": draws})
    return {
        "mean": draws.mean(axis=(0, 1)),
        "sd": draws.std(axis=(0, 1), ddof=1),
        "ess": arviz.ess(dataset)["x"].to_numpy(),
        "mcse_mean": arviz.mcse(dataset, method="mean")["x"].to_numpy(),
        "mcse_sd": arviz.mcse(dataset, method="sd")["x"].to_numpy(),
        "rhat": arviz.rhat(dataset)["x"].to_numpy(),
    }


def provenance(arguments: argparse.Namespace, chains: list[dict[str, np.ndarray]]) -> dict[str, object]:
    """What it takes to run this again, and how the run went."""
    return {
        "command": f"python -m workflows.studies.references.nuts {arguments.name} "
        + " ".join(f"--{k} {v}" for k, v in settings(arguments).items()),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpyro", "numpy", "scipy", "arviz")},
        "python": sys.version.split()[0],
        "chains_done": len(chains),
        "divergences": [int(chain["diverging"].sum()) for chain in chains],
        "mean_steps": [float(chain["n_steps"].mean()) for chain in chains],
        "seconds": [chain["seconds"].tolist() for chain in chains],
        **settings(arguments),
    }


def settings(arguments: argparse.Namespace) -> dict[str, int]:
    """The settings that determine the draws."""
    return {name: getattr(arguments, name) for name in ("chains", "warmup", "draws", "seed")}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command-line settings."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.studies.references.nuts", description=__doc__.splitlines()[0]
    )
    parser.add_argument("name", choices=stock_names(), help="configuration whose posterior it is")
    parser.add_argument("--out", type=Path, required=True, help="summary to write (.npz)")
    parser.add_argument("--work", type=Path, required=True, help="folder of the draws, one file a chain")
    for name, default in (("chains", 6), ("warmup", 1000), ("draws", 2000), ("seed", 20240601)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the missing chains, one after another, and rewrite the summary after each."""
    arguments = parse(argv)
    of = stock(arguments.name)
    tag = "-".join(str(value) for value in (arguments.name, *settings(arguments).values()))
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    chains: list[dict[str, np.ndarray]] = []
    for chain in range(arguments.chains):
        path = arguments.work / f"{tag}-chain-{chain}.npz"
        if not path.exists():
            lengths = {"warmup": arguments.warmup, "draws": arguments.draws}
            save(path, sample_chain(of, chain, seed=arguments.seed, **lengths))
        chains.append(dict(np.load(path)))
        report = json.dumps(provenance(arguments, chains))
        save(arguments.out, summarise(of.sites, chains) | {"provenance": np.array(report)})


if __name__ == "__main__":
    main()
