"""A long NumPyro NUTS run on the small airway model: the reference that the ensemble's posterior is held against.

    python -m workflows.reference --out tests/references/airway_small.npz --work FOLDER

It shares no arithmetic with the models of this project: the density below uses NumPyro's stock distributions only.
Chains run one after another, each saved in the work folder; a second call takes up the finished ones, and the summary
is rewritten after every chain.
"""

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import arviz
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS, init_to_value

import kernels  # noqa: F401  (turns 64-bit floats on)
from workflows.datasets.airway import Airway, load

SHARED = ("mu_a", "sd_a", "sd_d", "mu_p", "sd_p")
STARTS = (
    dict(zip(SHARED, (4.0, 2.0, 0.3, -3.0, 1.2), strict=True)),
    dict(zip(SHARED, (5.0, 3.0, 0.15, -4.0, 2.0), strict=True)),
)
"""Two starts on either side of the published means; chains take them in turn."""


def stock_model(library: jax.Array, treated: jax.Array, counts: jax.Array) -> None:
    """Negative binomial counts [sample, gene] with gene effects around shared parameters, centred.

    y ~ NB(mean = exp(lib_s + a_g + d_g treated_s), variance = mean + phi_g mean^2), log phi_g ~ N(mu_p, sd_p).
    """
    mu_a = numpyro.sample("mu_a", dist.Normal(4.0, 5.0))
    sd_a = numpyro.sample("sd_a", dist.HalfNormal(5.0))
    sd_d = numpyro.sample("sd_d", dist.HalfNormal(1.0))
    mu_p = numpyro.sample("mu_p", dist.Normal(-2.0, 2.0))
    sd_p = numpyro.sample("sd_p", dist.HalfNormal(1.0))
    with numpyro.plate("gene", counts.shape[1]):
        a = numpyro.sample("a", dist.Normal(mu_a, sd_a))
        d = numpyro.sample("d", dist.Normal(0.0, sd_d))
        log_phi = numpyro.sample("log_phi", dist.Normal(mu_p, sd_p))
        with numpyro.plate("sample", counts.shape[0]):
            mean = jnp.exp(library[:, None] + a + d * treated[:, None])
            numpyro.sample("y", dist.NegativeBinomial2(mean, jnp.exp(-log_phi)), obs=counts)


def start(airway: Airway, chain: int) -> dict[str, np.ndarray]:
    """A start for one chain: shared parameters from STARTS, gene effects jittered around crude estimates."""
    shared = STARTS[chain % len(STARTS)]
    rng = np.random.default_rng(100 + chain)
    genes = len(airway.genes)
    level = np.log((airway.counts / np.exp(airway.library)[:, None]).mean(axis=0) + 0.5)
    effects = {
        "a": level + 0.1 * rng.standard_normal(genes),
        "d": 0.1 * rng.standard_normal(genes),
        "log_phi": shared["mu_p"] + 0.5 * rng.standard_normal(genes),
    }
    return {name: np.asarray(value) for name, value in (shared | effects).items()}


def sample_chain(airway: Airway, chain: int, *, seed: int, warmup: int, draws: int) -> dict[str, np.ndarray]:
    """One NUTS chain: site -> [draws, ...], with n_steps, diverging and the warm-up's and the draws' seconds."""
    kernel = NUTS(stock_model, init_strategy=init_to_value(values=start(airway, chain)), target_accept_prob=0.8)
    mcmc = MCMC(kernel, num_warmup=warmup, num_samples=draws, num_chains=1, progress_bar=False)
    data = (jnp.asarray(airway.library), jnp.asarray(airway.treated), jnp.asarray(airway.counts))
    key = jax.random.fold_in(jax.random.key(seed), chain)
    began = time.monotonic()
    mcmc.warmup(key, *data)
    jax.block_until_ready(mcmc.post_warmup_state)
    warmed = time.monotonic()
    mcmc.run(mcmc.post_warmup_state.rng_key, *data, extra_fields=("num_steps", "diverging"))
    samples = {name: np.asarray(value) for name, value in mcmc.get_samples().items()}
    extra = {name: np.asarray(value) for name, value in mcmc.get_extra_fields().items()}
    seconds = np.array([warmed - began, time.monotonic() - warmed])
    return samples | {"n_steps": extra["num_steps"], "diverging": extra["diverging"], "seconds": seconds}


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz under a temporary name and rename it, so that an interrupted run leaves no half of a file."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def summarise(chains: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Statistics of every coordinate: `<site>/<mean|sd|ess|mcse_mean|mcse_sd|rhat>`.

    ess is the bulk ESS. With a single chain R-hat is that of its two halves, as ArviZ splits chains.
    """
    table: dict[str, np.ndarray] = {}
    for name in (*SHARED, "a", "d", "log_phi"):
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
        "command": "python -m workflows.reference " + " ".join(f"--{k} {v}" for k, v in settings(arguments).items()),
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
    return {name: getattr(arguments, name) for name in ("genes", "chains", "warmup", "draws", "seed")}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command-line settings."""
    parser = argparse.ArgumentParser(prog="python -m workflows.reference", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="summary to write (.npz)")
    parser.add_argument("--work", type=Path, required=True, help="folder of the draws, one file a chain")
    for name, default in (("genes", 2000), ("chains", 6), ("warmup", 1000), ("draws", 2000), ("seed", 20240601)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the missing chains, one after another, and rewrite the summary after each."""
    arguments = parse(argv)
    airway = load(arguments.genes)
    tag = "-".join(str(value) for value in settings(arguments).values())
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    chains: list[dict[str, np.ndarray]] = []
    for chain in range(arguments.chains):
        path = arguments.work / f"{tag}-chain-{chain}.npz"
        if not path.exists():
            drawn = sample_chain(airway, chain, seed=arguments.seed, warmup=arguments.warmup, draws=arguments.draws)
            save(path, drawn)
        chains.append(dict(np.load(path)))
        report = json.dumps(provenance(arguments, chains))
        save(arguments.out, summarise(chains) | {"genes": airway.genes, "provenance": np.array(report)})


if __name__ == "__main__":
    main()
