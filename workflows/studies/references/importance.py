"""Posterior moments by adaptive importance sampling: a reference where a chain may miss a part, in few dimensions.

    python -m workflows.studies.references.importance glmm --out tests/references/glmm.npz

The density is that of workflows.modelling.stock. Points are drawn from a mixture of multivariate t distributions and
weighed by density over proposal; the mixture is then fitted to them, round by round. In early rounds the log weights
are multiplied by the power that leaves an effective share of SHARE, so that the mixture follows the density from a flat
one to its own; rounds end when SETTLED in a row needed no such power (population Monte Carlo; Cappe, Douc, Guillin,
Marin and Robert 2008, Statistics and Computing 18, 447-459). Moments are of a last sample, whose mixture is fixed: its
points are independent, and their errors estimated from the weights. Unlike chains it has no parts that it gets into
seldom and stays in long; what no round has ever seen it misses as they do.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.util import log_density
from scipy.cluster.vq import kmeans2
from scipy.special import logsumexp
from scipy.stats import multivariate_t

import kernels  # noqa: F401  (turns 64-bit floats on)
from workflows.modelling.stock import Stock, stock
from workflows.studies.references.nuts import save

ROUNDS, POINTS = 30, 20_000
"""Most rounds that fit the mixture, and points in each."""
SETTLED = 4
"""Rounds in a row."""
NAMES = ("glmm", "glmm_informed")
"""Those of workflows.modelling.stock with few coordinates and no constraints."""
COMPONENTS, DEGREES = 8, 5
"""Of the mixture."""
WIDER = 1.3
"""Of the components' covariances."""
LEAST = 0.04
"""Share of points that a component has at least, so that a small part of the posterior is not lost again."""
SHARE = 0.02
"""Effective share of the points of a round, at least; five times that of the last sample."""
SPREAD = 10.0
"""Width of the first proposal, in units of the spread of the stock model's starts."""
BATCH = 32

Density = Callable[[np.ndarray], np.ndarray]
"""[n, d] -> log density [n], up to a constant."""


class Mixture(NamedTuple):
    """shares [K]; means [K, d]; covariances [K, d, d] of multivariate t distributions."""

    shares: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def laws(self) -> list[multivariate_t]:
        """The components."""
        pairs = zip(self.means, self.covariances, strict=True)
        return [multivariate_t(mean, covariance, df=DEGREES) for mean, covariance in pairs]

    def draw(self, rng: np.random.Generator, points: int) -> np.ndarray:
        """[points, d]"""
        counts = rng.multinomial(points, self.shares)
        drawn = [np.reshape(law.rvs(n, rng), (n, -1)) for law, n in zip(self.laws(), counts, strict=True) if n]
        return np.concatenate(drawn)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """[n, d] -> [n]"""
        logs = [law.logpdf(x) for law in self.laws()]
        return np.asarray(logsumexp(np.stack(logs, axis=1), axis=1, b=self.shares))


class Sample(NamedTuple):
    """Points [n, d] and their weights [n], which add up to 1."""

    points: np.ndarray
    weights: np.ndarray

    @property
    def effective(self) -> float:
        """Number of independent draws with the same error."""
        return float(1.0 / np.sum(self.weights**2))

    def mean(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted mean of values [n, ...] and its standard error, [...]."""
        mean = np.tensordot(self.weights, values, axes=1)
        return mean, np.sqrt(np.tensordot(self.weights**2, (values - mean) ** 2, axes=1))


def flat_density(of: Stock) -> tuple[Density, dict[str, tuple[int, ...]]]:
    """The stock model's log density of flat points, and the shapes of its sites in order."""
    shapes = {name: np.shape(value) for name, value in of.start(0).items()}
    ends = _ends(shapes)

    def one(x: jax.Array) -> jax.Array:
        parts = zip(shapes.items(), jnp.split(x, ends), strict=True)
        sites = {name: jnp.reshape(part, shape) for (name, shape), part in parts}
        value: jax.Array = log_density(of.model, of.arguments, {}, sites)[0]
        return value

    compiled = jax.jit(lambda x: jax.lax.map(one, x, batch_size=BATCH))
    return lambda x: np.asarray(compiled(jnp.asarray(x))), shapes


def _ends(shapes: dict[str, tuple[int, ...]]) -> np.ndarray:
    """Where all sites but the last end in a flat point."""
    return np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]


def weighed(points: np.ndarray, log_weights: np.ndarray) -> Sample:
    """The sample with the weights exp(log_weights), made to add up to 1."""
    return Sample(points, np.exp(log_weights - logsumexp(log_weights)))


def tempered(points: np.ndarray, log_weights: np.ndarray) -> tuple[Sample, float]:
    """The sample whose log weights have the greatest power up to 1 that leaves it the effective share; that power.

    Raises ValueError for weights that are NaN, and where the density is 0 at almost all points.
    """
    low, high, wanted = 0.0, 1.0, SHARE * len(points)
    if (wrong := int(np.isnan(log_weights).sum())) or np.isfinite(log_weights).sum() < wanted:
        raise ValueError(
            f"of {len(points)} points {wrong} have a density that is NaN, and {np.isfinite(log_weights).sum()} one "
            f"above 0; needed are none, and {wanted:.0f}: begin nearer to the posterior, or mend the density"
        )
    if (whole := weighed(points, log_weights)).effective >= wanted:
        return whole, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        enough = weighed(points, middle * log_weights).effective >= wanted
        low, high = (middle, high) if enough else (low, middle)
    return weighed(points, low * log_weights), low


def fitted(sample: Sample, rng: np.random.Generator) -> Mixture:
    """A mixture for clusters of points drawn from the sample by weight."""
    drawn = sample.points[rng.choice(len(sample.points), size=len(sample.points), p=sample.weights)]
    d = drawn.shape[1]
    whole = np.cov(drawn.T)
    white = np.linalg.solve(np.linalg.cholesky(whole), (drawn - drawn.mean(axis=0)).T).T
    labels = kmeans2(white, COMPONENTS, minit="++", rng=rng)[1]
    clusters = [drawn[labels == k] for k in range(COMPONENTS) if np.sum(labels == k) > 1]
    # A cluster of few points borrows the covariance of all.
    covariances = [((len(x) - 1) * np.cov(x.T) + 2 * d * whole) / (len(x) - 1 + 2 * d) for x in clusters]
    shares = np.maximum([len(x) / len(drawn) for x in clusters], LEAST)
    return Mixture(shares / shares.sum(), np.stack([x.mean(axis=0) for x in clusters]), WIDER * np.stack(covariances))


def first_mixture(of: Stock) -> Mixture:
    """One component about the stock model's starts, SPREAD times as wide."""
    starts = np.stack([np.concatenate([np.ravel(x) for x in of.start(k).values()]) for k in range(64)])
    return Mixture(np.ones(1), starts.mean(axis=0)[None], np.diag(SPREAD**2 * starts.var(axis=0))[None])


def run(density: Density, first: Mixture, seed: int, points: int) -> tuple[Sample, list[tuple[float, float]]]:
    """The last sample, of so many points, and the power and effective size of every round.

    Raises ValueError where the rounds do not settle, or the last sample has too small an effective size.
    """
    rng, mixture, course = np.random.default_rng(seed), first, list[tuple[float, float]]()
    while any(power < 1.0 for power, _ in course[-SETTLED:]) or len(course) < SETTLED:
        if len(course) == ROUNDS:
            raise ValueError(f"not settled after {ROUNDS} rounds, whose powers and effective sizes are {course}")
        x = mixture.draw(rng, POINTS)
        sample, power = tempered(x, density(x) - mixture.log_density(x))
        course.append((power, sample.effective))
        mixture = fitted(sample, rng)
    x = mixture.draw(rng, points)
    sample = weighed(x, density(x) - mixture.log_density(x))
    if not sample.effective > 5.0 * SHARE * points:
        raise ValueError(f"the effective size of {points} points is {sample.effective:.0f}: the mixture does not fit")
    return sample, course


def digest(of: Stock) -> str:
    """SHA-256 of the stock model's arguments: data, nodes and priors."""
    arrays = [np.asarray(argument) for argument in jax.tree.leaves(of.arguments)]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def summarise(sample: Sample, shapes: dict[str, tuple[int, ...]], sites: Sequence[str]) -> dict[str, np.ndarray]:
    """`<site>/<mean|sd|ess|mcse_mean|mcse_sd>`, as references.nuts has them; the sd's error by the delta method."""
    mean, mean_error = sample.mean(sample.points)
    variance, variance_error = sample.mean((sample.points - mean) ** 2)
    sd = np.sqrt(variance)
    columns = {"mean": mean, "sd": sd, "mcse_mean": mean_error, "mcse_sd": variance_error / (2.0 * sd)}
    columns["ess"] = np.full(mean.shape, sample.effective)
    table: dict[str, np.ndarray] = {}
    for kind, values in columns.items():
        parts = dict(zip(shapes, np.split(values, _ends(shapes)), strict=True))
        table |= {f"{name}/{kind}": parts[name].reshape(shapes[name]) for name in sites}
    return table


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command-line settings."""
    parser = argparse.ArgumentParser(
        prog="python -m workflows.studies.references.importance", description=__doc__.splitlines()[0]
    )
    parser.add_argument("name", choices=NAMES, help="configuration whose posterior it is")
    parser.add_argument("--out", type=Path, required=True, help="summary to write (.npz)")
    parser.add_argument("--points", type=int, default=60_000, help="of the last sample")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Fit, sample, and write the summary with what it takes to make it again."""
    arguments = parse(argv)
    of = stock(arguments.name)
    density, shapes = flat_density(of)
    sample, course = run(density, first_mixture(of), arguments.seed, arguments.points)
    provenance = {
        "command": f"python -m workflows.studies.references.importance {arguments.name} --points {arguments.points} "
        f"--seed {arguments.seed}",
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpyro", "numpy", "scipy")},
        "python": sys.version.split()[0],
        "arguments": digest(of),
        "rounds": course,
        "effective": sample.effective,
        "largest_weight": float(sample.weights.max()),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save(arguments.out, summarise(sample, shapes, of.sites) | {"provenance": np.array(json.dumps(provenance))})


if __name__ == "__main__":
    main()
