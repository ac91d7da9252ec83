"""NumPyro models of many kinds, as users bring them: name -> (model, data). None scales or masks a latent site with a
handler, so that NumPyro's own potential energy is the truth for each."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
from numpyro import handlers
from numpyro.contrib.control_flow import cond, scan
from numpyro.contrib.hsgp.approximation import hsgp_squared_exponential
from numpyro.infer.reparam import LocScaleReparam, TransformReparam

RNG = np.random.default_rng(3)
N = 6
X = RNG.normal(size=(N, 3))
Y = RNG.normal(size=N)
COUNTS = RNG.poisson(3.0, size=N)
GROUP = np.array([0, 0, 1, 1, 2, 2])
FRAME = pd.DataFrame({"y": Y, "x": X[:, 0], "group": GROUP})
MISSING = np.array([True, False, True, True, False, True])


def flat_sigma(y):
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).mask(False))
    numpyro.sample("y", dist.Normal(0.0, sigma), obs=y)


def partly_masked(y):
    with numpyro.plate("row", 4):
        sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).mask(jnp.array([True, False, True, False])))
    numpyro.sample("y", dist.Normal(0.0, sigma.sum()), obs=y)


def masked_event(y):
    with numpyro.plate("row", 2):
        p = numpyro.sample("p", dist.Dirichlet(jnp.ones(3)).mask(jnp.array([True, False])))
    numpyro.sample("y", dist.Normal(p[0, 0] + p[1, 2], 1.0), obs=y)


def masked_likelihood(y):
    mu = numpyro.sample("mu", dist.Normal())
    with numpyro.plate("row", N), handlers.mask(mask=y > 0), handlers.scale(scale=2.5):
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)


def regression(x, y):
    beta = numpyro.sample("beta", dist.Normal(0, 1).expand([3]).to_event(1))
    sigma = numpyro.sample("sigma", dist.Exponential(1.0))
    with numpyro.plate("row", len(y)):
        mu = numpyro.deterministic("mu", x @ beta)
        numpyro.sample("y", dist.Normal(mu, sigma), obs=y)
    return mu


def keyword_only(*, y, x, group=None, groups=3, link="identity"):
    with numpyro.plate("g", groups):
        a = numpyro.sample("a", dist.Normal())
    b = numpyro.sample("b", dist.Normal())
    eta = a[group] + b * x
    numpyro.sample("y", dist.Normal(eta if link == "identity" else jnp.exp(eta), 1.0), obs=y)


def optional_data(y, weights=None):
    mu = numpyro.sample("mu", dist.Normal())
    if weights is None:
        weights = jnp.ones(len(y))
    numpyro.factor("lik", weights * dist.Normal(mu, 1.0).log_prob(y))


def plates_by_dim(y):
    rows, columns = numpyro.plate("rows", 2, dim=-2), numpyro.plate("columns", 3, dim=-1)
    with rows:
        a = numpyro.sample("a", dist.HalfNormal(1.0))
    with columns:
        b = numpyro.sample("b", dist.Dirichlet(jnp.ones(4)))
    with rows, columns:
        c = numpyro.sample("c", dist.LogNormal(0.0, a))
        numpyro.sample("y", dist.Normal(c + b[:, 0], 1.0), obs=y.reshape(2, 3))


def nested_plates(y):
    with numpyro.plate_stack("stack", [2, 3]):
        z = numpyro.sample("z", dist.Gamma(2.0, 1.0))
        numpyro.sample("y", dist.Normal(z, 1.0), obs=y.reshape(2, 3))


def time_series(y):
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))

    def step(carry, y_t):
        x = numpyro.sample("x", dist.Normal(carry, sigma))
        numpyro.deterministic("level", x + 1.0)
        numpyro.sample("y", dist.Normal(x, 1.0), obs=y_t)
        return x, x

    scan(step, 0.0, y)


def positive_time_series(y):
    with numpyro.plate("unit", 3):
        start = numpyro.sample("start", dist.LogNormal(0.0, 1.0))

    def step(carry, y_t):
        with numpyro.plate("unit", 3):
            x = numpyro.sample("x", dist.LogNormal(jnp.log(carry), 0.3))
            numpyro.sample("y", dist.Normal(x, 1.0), obs=y_t)
        p = numpyro.sample("p", dist.Dirichlet(jnp.ones(2)))
        bounded = numpyro.sample("bounded", dist.Uniform(0.0, x.sum()))
        return x + bounded * p[0], None

    scan(step, start, y.reshape(2, 3))


def branches(y):
    switch = numpyro.sample("switch", dist.Normal())
    scale = cond(
        switch > 0,
        lambda _: numpyro.sample("scale", dist.Gamma(2.0, 1.0)),
        lambda _: numpyro.sample("scale", dist.Gamma(3.0, 2.0)),
        None,
    )
    numpyro.sample("y", dist.Normal(0.0, scale), obs=y)


def scoped(y):
    def part():
        with numpyro.plate("n", 3):
            return numpyro.sample("x", dist.HalfNormal(1.0)).sum()

    with handlers.scope(prefix="a"):
        first = part()
    with handlers.scope(prefix="b"):
        second = numpyro.deterministic("twice", 2 * part())
    numpyro.sample("y", dist.Normal(first - second, 1.0), obs=y)


def odd_plate_names(y):
    with numpyro.plate("a*b", 2), numpyro.plate("c/d", 3):
        x = numpyro.sample("x", dist.Normal())
    numpyro.sample("y", dist.Normal(x.sum(), 1.0), obs=y)


REPARAM = {"theta": LocScaleReparam(0.0), "phi": TransformReparam(), "psi": LocScaleReparam(0.5, ["df"])}


@partial(handlers.reparam, config=REPARAM)
def reparametrised(y):
    mu = numpyro.sample("mu", dist.Normal())
    with numpyro.plate("row", 3):
        theta = numpyro.sample("theta", dist.Normal(mu, 2.0))
        phi = numpyro.sample(
            "phi", dist.TransformedDistribution(dist.Normal(), dist.transforms.AffineTransform(mu, 3.0))
        )
    psi = numpyro.sample("psi", dist.StudentT(4.0, mu, 1.0))
    numpyro.sample("y", dist.Normal(theta.sum() + phi.sum() + psi, 1.0), obs=y)


def transformed(y):
    squash = [dist.transforms.AffineTransform(1.0, 2.0), dist.transforms.SigmoidTransform()]
    a = numpyro.sample("a", dist.TransformedDistribution(dist.Normal(), squash))
    ordered = dist.TransformedDistribution(
        dist.Normal(0, 1).expand([3]).to_event(1), dist.transforms.OrderedTransform()
    )
    cut = numpyro.sample("cut", ordered)
    numpyro.sample("y", dist.Normal(jnp.log(a) + cut.sum(), 1.0), obs=y)


def correlated(y):
    chol = numpyro.sample("chol", dist.LKJCholesky(3, 2.0))
    sd = numpyro.sample("sd", dist.HalfCauchy(1.0).expand([3]).to_event(1))
    corr = numpyro.sample("corr", dist.LKJ(2, 1.0))
    with numpyro.plate("row", 2):
        numpyro.sample("y", dist.MultivariateNormal(0.0, scale_tril=sd[:, None] * chol), obs=y.reshape(2, 3))
    numpyro.factor("tie", corr[0, 1])


def ordered_answers(x, counts):
    cut = numpyro.sample("cut", dist.ImproperUniform(dist.constraints.ordered_vector, (), (2,)))
    beta = numpyro.sample("beta", dist.Normal())
    numpyro.factor("proper", dist.Normal().log_prob(cut).sum())
    with numpyro.plate("row", N):
        numpyro.sample("y", dist.OrderedLogistic(beta * x[:, 0], cut), obs=jnp.minimum(counts, 2))


def zero_inflated(counts):
    rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
    gate = numpyro.sample("gate", dist.Beta(1.0, 1.0))
    with numpyro.plate("row", N):
        numpyro.sample("y", dist.ZeroInflatedPoisson(gate, rate), obs=counts)


def mixture(y):
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.ones(2)))
    means = numpyro.sample("means", dist.Normal(0, 3).expand([2]).to_event(1))
    parts = dist.MixtureSameFamily(dist.Categorical(weights), dist.Normal(means, 1.0))
    general = dist.MixtureGeneral(dist.Categorical(weights), [dist.Normal(0, 1), dist.Normal(means[0], 1)])
    latent = numpyro.sample("latent", general)
    with numpyro.plate("row", N):
        numpyro.sample("y", parts, obs=y - latent)


def spatial(counts):
    adjacency = np.diag(np.ones(N - 1), 1) + np.diag(np.ones(N - 1), -1)
    tau = numpyro.sample("tau", dist.Gamma(2.0, 1.0))
    phi = numpyro.sample("phi", dist.CAR(0.0, 0.6, tau, adj_matrix=adjacency))
    numpyro.sample("y", dist.Poisson(jnp.exp(phi)).to_event(1), obs=counts)


def walk(y):
    sd = numpyro.sample("sd", dist.HalfNormal(1.0))
    level = numpyro.sample("level", dist.GaussianRandomWalk(sd, num_steps=N))
    numpyro.sample("y", dist.Normal(level, 1.0), obs=y)


def gaussian_process(x, y):
    length = numpyro.sample("length", dist.InverseGamma(3.0, 2.0))
    f = hsgp_squared_exponential(x[:, 0], alpha=1.0, length=length, ell=3.0, m=5)
    numpyro.sample("y", dist.Normal(f, 1.0), obs=y)


def varied_supports(y):
    numpyro.sample("interval", dist.Uniform(-1.0, 4.0))
    numpyro.sample("above", dist.Pareto(2.0, 3.0))
    numpyro.sample("truncated", dist.TruncatedNormal(0.0, 1.0, high=1.0))
    numpyro.sample("angle", dist.VonMises(0.0, 1.0))
    numpyro.sample("wishart", dist.Wishart(5.0, jnp.eye(2)))
    numpyro.sample("zero_sum", dist.ZeroSumNormal(1.0, (4,)))
    numpyro.sample("matrix", dist.MatrixNormal(jnp.zeros((2, 3)), jnp.eye(2), jnp.eye(3)))
    with numpyro.plate("row", 2):
        numpyro.sample("kumaraswamy", dist.Kumaraswamy(2.0, 3.0))
        numpyro.sample("half", dist.InverseGamma(3.0, 1.0).expand([2]))
    mu = numpyro.sample("mu", dist.Levy(0.0, 1.0))
    numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)


def with_constants(y):
    scale = numpyro.deterministic("scale", 2.0)
    numpyro.deterministic("grid", jnp.linspace(0, 1, 4))
    mu = numpyro.sample("mu", dist.Normal(0.0, scale), sample_shape=(2,))
    numpyro.sample("y", dist.Normal(mu.sum(), 1.0), obs=y)


def class_instance() -> Callable[..., None]:
    class Built:
        """A model with state of its own."""

        def __init__(self) -> None:
            self.sd = 2.0

        def __call__(self, y):
            numpyro.sample("y", dist.Normal(numpyro.sample("mu", dist.Normal(0, self.sd)), 1.0), obs=y)

    return Built()


def chosen_subset(y, index):
    z = numpyro.sample("z", dist.HalfNormal(1.0).mask(False))
    with handlers.substitute(data={"row": index}), numpyro.plate("row", N, subsample_size=3) as rows:
        numpyro.sample("y", dist.Normal(z, 1.0), obs=y[rows])


def all_latent(n):
    mu = numpyro.sample("mu", dist.Normal())
    sd = numpyro.sample("sd", dist.HalfNormal(1.0))
    with numpyro.plate("row", n):
        numpyro.sample("y", dist.Normal(mu, sd))


Y_ONLY = {"y": Y}
ZOO: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "flat sigma": (flat_sigma, Y_ONLY),
    "prior masked by element": (partly_masked, Y_ONLY),
    "simplex masked by element": (masked_event, Y_ONLY),
    "likelihood masked and scaled": (masked_likelihood, Y_ONLY),
    "regression": (regression, {"x": X, "y": Y}),
    "data frames": (regression, {"x": FRAME[["x", "group", "y"]], "y": FRAME["y"]}),
    "lists": (regression, {"x": X.tolist(), "y": list(Y)}),
    "keyword-only": (keyword_only, {"y": FRAME["y"], "x": FRAME["x"], "group": FRAME["group"]}),
    "factor alone": (optional_data, Y_ONLY),
    "plates by dim": (plates_by_dim, Y_ONLY),
    "plate_stack": (nested_plates, Y_ONLY),
    "scan": (time_series, Y_ONLY),
    "scan with plates and supports": (positive_time_series, Y_ONLY),
    "cond": (branches, Y_ONLY),
    "scope": (scoped, Y_ONLY),
    "odd plate names": (odd_plate_names, Y_ONLY),
    "reparam": (reparametrised, Y_ONLY),
    "TransformedDistribution": (transformed, Y_ONLY),
    "LKJ": (correlated, Y_ONLY),
    "OrderedLogistic, ImproperUniform": (ordered_answers, {"x": X, "counts": COUNTS}),
    "ZeroInflatedPoisson": (zero_inflated, {"counts": COUNTS}),
    "mixtures": (mixture, Y_ONLY),
    "CAR": (spatial, {"counts": COUNTS}),
    "GaussianRandomWalk": (walk, Y_ONLY),
    "HSGP": (gaussian_process, {"x": X, "y": Y}),
    "supports": (varied_supports, Y_ONLY),
    "constants": (with_constants, Y_ONLY),
    "callable object": (class_instance(), Y_ONLY),
    "partial": (partial(keyword_only, link="log", group=jnp.asarray(GROUP)), {"y": Y, "x": X[:, 0]}),
    "condition": (handlers.condition(all_latent, data={"y": jnp.asarray(Y)}), {"n": N}),
    "substitute": (handlers.substitute(all_latent, data={"sd": jnp.asarray(1.0)}), {"n": N}),
    "chosen subset": (chosen_subset, {"y": Y, "index": jnp.array([0, 2, 5])}),
}
