"""Outcomes that are no plain numbers: ordered, counted with too many zeros, of three classes, censored."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import transforms

from workflows.studies.posteriors.posterior import Built


def ordered() -> Built:
    """Grades from 0 to 4 by a cumulative logit of three covariates."""

    def model(x: jax.Array, grade: jax.Array) -> None:
        beta = numpyro.sample("beta", dist.Normal(0, 5).expand([x.shape[1]]).to_event(1))
        cuts = dist.TransformedDistribution(dist.Normal(0, 3).expand([4]).to_event(1), transforms.OrderedTransform())
        cutpoints = numpyro.sample("cutpoints", cuts)
        with numpyro.plate("row", x.shape[0]):
            numpyro.sample("grade", dist.OrderedLogistic(x @ beta, cutpoints), obs=grade)

    rng = np.random.default_rng(701)
    x = rng.normal(size=(400, 3))
    latent = x @ np.array([0.8, -0.5, 0.0]) + rng.logistic(size=400)
    return model, {"x": x, "grade": np.searchsorted([-2.5, -1.0, 0.8, 2.2], latent)}


def zero_inflated() -> Built:
    """Overdispersed counts of 300 sites with zeros in excess."""

    def model(x: jax.Array, y: jax.Array) -> None:
        beta = numpyro.sample("beta", dist.Normal(0, 5).expand([x.shape[1]]).to_event(1))
        concentration = numpyro.sample("concentration", dist.Exponential(0.2))
        gate = numpyro.sample("gate", dist.Beta(1, 1))
        mean = jnp.exp(x @ beta)
        with numpyro.plate("site", x.shape[0]):
            numpyro.sample("y", dist.ZeroInflatedNegativeBinomial2(mean, concentration, gate=gate), obs=y)

    rng = np.random.default_rng(702)
    x = np.column_stack([np.ones(300), rng.normal(size=(300, 2))])
    mean = np.exp(x @ np.array([1.2, 0.6, -0.4]))
    y = rng.poisson(rng.gamma(1.5, mean / 1.5)) * (rng.random(300) > 0.3)
    return model, {"x": x, "y": y}


def multinomial() -> Built:
    """Choices among three classes by four covariates, the first class as the base."""

    def model(x: jax.Array, choice: jax.Array) -> None:
        a = numpyro.sample("a", dist.Normal(0, 5).expand([2]).to_event(1))
        beta = numpyro.sample("beta", dist.Normal(0, 5).expand([2, x.shape[1]]).to_event(2))
        eta = jnp.concatenate([jnp.zeros((x.shape[0], 1)), a + x @ beta.T], axis=1)
        with numpyro.plate("person", x.shape[0]):
            numpyro.sample("choice", dist.Categorical(logits=eta), obs=choice)

    rng = np.random.default_rng(703)
    x = rng.normal(size=(300, 4))
    eta = np.array([0.3, -0.5]) + x @ rng.normal(0, 1.0, (4, 2))
    utility = np.column_stack([np.zeros(300), eta]) + rng.gumbel(size=(300, 3))
    return model, {"x": x, "choice": utility.argmax(axis=1)}


def weibull() -> Built:
    """Survival in days of 200 patients, a third censored, with a treatment and an age in years as it is."""

    def model(age: jax.Array, treated: jax.Array, time: jax.Array, died: jax.Array) -> None:
        shape = numpyro.sample("shape", dist.Gamma(1, 0.1))
        a = numpyro.sample("a", dist.Normal(0, 10))
        b_age = numpyro.sample("b_age", dist.Normal(0, 1))
        b_treated = numpyro.sample("b_treated", dist.Normal(0, 2))
        log_scale = a + b_age * age + b_treated * treated
        log_ratio = jnp.log(time) - log_scale
        log_hazard = jnp.log(shape) - log_scale + (shape - 1) * log_ratio
        numpyro.factor("survival", died * log_hazard - jnp.exp(shape * log_ratio))

    rng = np.random.default_rng(704)
    age, treated = rng.uniform(35, 80, 200).round(), (rng.random(200) < 0.5).astype(float)
    time = np.exp(8.0 - 0.03 * age + 0.5 * treated) * rng.weibull(1.4, 200)
    censored = rng.uniform(200, 1500, 200)
    died = (time < censored).astype(float)
    return model, {"age": age, "treated": treated, "time": np.minimum(time, censored), "died": died}
